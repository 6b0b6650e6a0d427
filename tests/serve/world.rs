//! A running server, a folder, and a client that sees every byte.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing here takes longer, so whatever does hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// The token of servers that are given one.
pub(crate) const TOKEN: &str = "a-token-of-more-than-32-characters-for-tests";

pub(crate) const ANIME: &str = "/api/v1/internal/import/anime";
pub(crate) const EPISODES: &str = "/api/v1/internal/import/episodes";
pub(crate) const VIDEO: &str = "/api/v1/internal/import/video";

/// A running `parser serve`. Dropping it ends it.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What it has printed after the address.
    pub(crate) said: BufReader<std::process::ChildStdout>,
    log: PathBuf,
    folder: Option<TempDir>,
}

/// The binary in a folder, with nothing in its environment but this.
pub(crate) fn command(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parser"));
    command.args(args).current_dir(folder).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    command
}

impl Served {
    /// A server with [`TOKEN`] on a new catalogue.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// The same with more settings.
    pub(crate) fn with(env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut all = vec![("INTERNAL_TOKEN", TOKEN)];
        all.extend_from_slice(env);
        let mut served = Self::start(folder.path(), &all);
        served.folder = Some(folder);
        served
    }

    /// A server in this folder with exactly these settings.
    pub(crate) fn start(folder: &Path, env: &[(&str, &str)]) -> Self {
        let log = folder.join(format!("log-{}", uuid::Uuid::now_v7()));
        let mut child = command(folder, &["serve", "--listen", "127.0.0.1:0"], env)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening on http://") else {
            let _ = child.kill();
            panic!("it said `{line}`:\n{}", std::fs::read_to_string(&log).unwrap());
        };
        Self { child, address: address.parse().unwrap(), said, log, folder: None }
    }

    pub(crate) fn root(&self) -> &Path {
        self.log.parent().unwrap()
    }

    pub(crate) fn catalogue(&self) -> PathBuf {
        self.root().join("state/catalog.db")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Its log as JSON, as it is with `LOG_FORMAT=json`.
    pub(crate) fn log_lines(&self) -> Vec<Value> {
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.log().lines().map(line).collect()
    }

    /// Waits until something is so.
    pub(crate) fn poll_until(&self, so: impl Fn() -> bool) {
        let started = Instant::now();
        while !so() {
            assert!(started.elapsed() < DEADLINE, "it does not happen:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A connection of another program to the same catalogue.
    pub(crate) fn sql(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.catalogue()).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }

    /// One number or text of the catalogue.
    pub(crate) fn one(&self, sql: &str) -> String {
        self.sql()
            .query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0))
            .map(|value| match value {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Text(text) => text,
                other => format!("{other:?}"),
            })
            .unwrap()
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.sql().execute_batch(sql).unwrap();
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        ask(self.address, "GET", path, &[], b"")
    }

    /// A post with the right token.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        ask(self.address, "POST", path, &[("X-Internal-Token", TOKEN)], body.to_string().as_bytes())
    }

    /// A post that must be taken.
    pub(crate) fn import(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body);
        assert_eq!(answer.status, 200, "{body}: {}", answer.text);
        answer.json()
    }

    pub(crate) fn import_anime(&self, id: &str, title: &str) {
        self.import(ANIME, &anime(id, title));
    }

    pub(crate) fn import_episodes(&self, id: &str, numbers: &[u32]) {
        let episodes: Vec<_> =
            numbers.iter().map(|n| json!({ "source_episode_id": format!("{id}:{n}"), "number": n })).collect();
        self.import(EPISODES, &json!({ "source_name": "s", "anime_source_id": id, "episodes": episodes }));
    }

    pub(crate) fn import_video(&self, episode: &str, url: &str, priority: i32) {
        self.import(VIDEO, &video(episode, url, priority));
    }

    /// A signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < DEADLINE, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends it cleanly; gives all that it has printed after the address.
    pub(crate) fn stop(&mut self) -> String {
        self.signal("TERM");
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.log());
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.log());
        }
    }
}

pub(crate) fn anime(id: &str, title: &str) -> Value {
    json!({ "source_name": "s", "source_id": id, "title": title })
}

pub(crate) fn video(episode: &str, url: &str, priority: i32) -> Value {
    json!({ "source_name": "s", "source_episode_id": episode,
        "player": { "type": "iframe", "url": url, "source_name": "kodik", "priority": priority } })
}

/// What a server has answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: `{}`", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Status, code and message of the contract's error envelope, whose other fields must be right.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let body = self.json();
        let error = &body["error"];
        assert_eq!(error["trace_id"].as_str(), self.header("x-trace-id"), "{body}");
        let keys: Vec<_> = error.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "message", "trace_id"]);
        assert_eq!(body.as_object().unwrap().len(), 1);
        let text = |name: &str| error[name].as_str().unwrap().to_owned();
        (self.status, text("code"), text("message"))
    }
}

impl Answer {
    /// Status, code and detail of problem details (RFC 9457), whose other fields must be right.
    pub(crate) fn problem(&self) -> (u16, String, String) {
        let body = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{body}");
        let keys: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "detail", "instance", "status", "title", "trace_id", "type"]);
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        assert_eq!(body["trace_id"].as_str(), self.header("x-trace-id"), "{body}");
        assert_eq!(text("instance"), format!("urn:parser:trace:{}", text("trace_id")));
        assert_eq!(text("type"), format!("urn:parser:problem:{}", text("code")));
        assert_eq!(body["status"], self.status);
        assert!(!text("title").is_empty());
        (self.status, text("code"), text("detail"))
    }
}

/// One request on a connection of its own.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = connect(address);
    stream.write_all(&head(method, path, headers, body.len())).unwrap();
    // A refusal may come before the whole body is sent.
    let _ = stream.write_all(body);
    read_answer(stream)
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// The head of a request.
pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> Vec<u8> {
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The answer on a connection that the server closes.
pub(crate) fn read_answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: `{text}`"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    Answer { status, headers, text: body.to_owned() }
}
