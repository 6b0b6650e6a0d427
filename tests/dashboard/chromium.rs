//! A real Chromium without a screen, spoken to over its two pipes: no driver, no socket, no port.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{DEADLINE, Served, TOKEN};

/// Names that the browser has on various systems.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// One browser with one page.
pub(crate) struct Browser {
    child: Child,
    to: File,
    from: Receiver<Value>,
    /// What it said while another answer was waited for.
    said: VecDeque<Value>,
    session: String,
    next: u64,
    served: String,
    _folder: TempDir,
}

/// The browser's program. Without one the tests are skipped, which CI does not allow.
pub(crate) fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).flat_map(|dir| NAMES.map(|name| dir.join(name))).find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no Chromium: CI has to install one");
        eprintln!("SKIPPED: no Chromium here (`apt-get install chromium`): the dashboard is not tested in a browser");
    }
    found
}

impl Browser {
    /// A browser that has opened nothing yet; `None` = there is none on this machine.
    pub(crate) fn start(served: &Served) -> Option<Self> {
        let program = installed()?;
        let folder = tempfile::tempdir().unwrap();
        let (into, out) = (folder.path().join("in"), folder.path().join("out"));
        assert!(Command::new("mkfifo").args([&into, &out]).status().unwrap().success());
        // The shell gives it the pipes as the numbers it expects.
        let script = "exec \"$1\" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                      --disable-extensions --disable-background-networking --disable-component-update \
                      --remote-debugging-pipe --user-data-dir=\"$4\" about:blank 3<\"$2\" 4>\"$3\"";
        let mut child = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([&program, &into, &out, &folder.path().join("profile")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Each waits for the browser to open the other end.
        let to = OpenOptions::new().write(true).open(&into).unwrap();
        let mut answers = BufReader::new(File::open(&out).unwrap());
        let (sender, from) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while answers.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    break;
                }
                message.clear();
            }
        });
        if let Some(status) = child.try_wait().unwrap() {
            panic!("Chromium ended: {status}");
        }
        let mut browser = Self {
            child,
            to,
            from,
            said: VecDeque::new(),
            session: String::new(),
            next: 0,
            served: format!("http://{}", served.address),
            _folder: folder,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let session = browser.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        session["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "DOM", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.size(1280, 900);
        Some(browser)
    }

    /// The same, signed in through the form.
    pub(crate) fn signed_in(served: &Served) -> Option<Self> {
        let mut browser = Self::start(served)?;
        browser.open("/");
        browser.until("document.title.startsWith('Sign in')");
        browser.click("#token");
        browser.write(TOKEN);
        browser.press("Enter");
        browser.until("document.title.startsWith('Overview')");
        Some(browser)
    }

    /// One command, and its answer.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.ask(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// One command, and its answer or what was wrong with it.
    #[expect(clippy::needless_pass_by_value, reason = "a literal is written where it is sent")]
    fn ask(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        let started = Instant::now();
        loop {
            let left = DEADLINE.saturating_sub(started.elapsed());
            let answer = match self.from.recv_timeout(left) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout) => panic!("no answer to {method}"),
                Err(RecvTimeoutError::Disconnected) => panic!("Chromium is gone"),
            };
            if answer["id"] == json!(self.next) {
                let error = answer["error"].clone();
                return if error.is_null() { Ok(answer["result"].clone()) } else { Err(error) };
            }
            self.said.push_back(answer);
        }
    }

    /// Opens a page of the server.
    pub(crate) fn open(&mut self, path: &str) {
        let url = format!("{}{path}", self.served);
        // The old page must not be taken for the new one.
        self.eval("void (window.before = true)");
        self.call("Page.navigate", json!({ "url": url }));
        self.until("!window.before && document.readyState === 'complete'");
    }

    /// What an expression is.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true. While a page changes there may be nothing to ask.
    pub(crate) fn until(&mut self, expression: &str) {
        let started = Instant::now();
        loop {
            let guarded = format!("(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()");
            let params = json!({ "expression": guarded, "returnByValue": true });
            match self.ask("Runtime.evaluate", params) {
                Ok(answer) if answer["result"]["value"] == json!(true) => return,
                Ok(_) => {}
                // The page went away under the question (-32000): the next one is asked.
                Err(error) => assert_eq!(error["code"], json!(-32000), "{expression}: {error}"),
            }
            if started.elapsed() > DEADLINE {
                let page = self.eval("document.documentElement.outerHTML");
                panic!("never true: {expression}\n{}", page.as_str().unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Clicks what a selector finds where a person would.
    pub(crate) fn click(&mut self, selector: &str) {
        let quoted = json!(selector);
        self.until(&format!("document.querySelector({quoted})"));
        let place = self.eval(&format!(
            "(() => {{ const e = document.querySelector({quoted}); e.scrollIntoView({{ block: 'center' }}); \
             const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", params);
        }
    }

    /// Types a text.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            other => panic!("no code for {other}"),
        };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_empty() {
                params["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// The window.
    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let params = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", params);
    }

    /// `light` or `dark`.
    pub(crate) fn scheme(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Without scripts from the next page on.
    pub(crate) fn scripts(&mut self, on: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !on }));
    }

    /// The whole page as a picture, for people: kept where `DASHBOARD_PICTURES` names a folder.
    pub(crate) fn picture(&mut self, name: &str) {
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }));
        let bytes = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        assert!(bytes.len() > 1000, "an empty picture");
        if let Some(folder) = std::env::var_os("DASHBOARD_PICTURES") {
            std::fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
        }
    }

    /// Nothing may have gone wrong on any page so far: no exception, nothing that the policy forbids, no error in the
    /// console. Pictures of other hosts may be missing.
    pub(crate) fn assert_clean(&mut self) {
        assert_eq!(self.errors(), Vec::<Value>::new());
    }

    /// What has gone wrong.
    pub(crate) fn errors(&mut self) -> Vec<Value> {
        self.eval("1");
        let bad = |message: &&Value| {
            let text = message.to_string();
            let picture = text.contains("net::ERR_") && !text.contains(&self.served);
            let error = match message["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Log.entryAdded") => message["params"]["entry"]["level"] == "error",
                Some("Runtime.consoleAPICalled") => message["params"]["type"] == "error",
                _ => false,
            };
            error && !picture
        };
        self.said.iter().filter(bad).cloned().collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
