//! A folder, two sources and the binary.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use parser::sandbox::{Sandbox, SandboxOptions, Service, Titles};
use parser::store::{Store, catalogue};
use tempfile::TempDir;

/// Nothing here takes longer, so whatever does hangs.
const DEADLINE: Duration = Duration::from_secs(180);

/// Quick limits and short waits, so that tests wait for nothing.
const HASTE: &[(&str, &str)] = &[
    ("KODIK_RATE_LIMIT_RPS", "0"),
    ("SHIKIMORI_RATE_LIMIT_RPS", "0"),
    ("SHIKIMORI_RATE_LIMIT_RPM", "0"),
    ("BACKOFF_BASE_SECONDS", "0.01"),
    ("BACKOFF_MAX_SECONDS", "0.05"),
    ("BREAKER_COOLDOWN_SECONDS", "0.05"),
    ("BREAKER_GIVE_UP_SECONDS", "1"),
];

/// One test's world. The state is in a folder of its own, apart from whatever the test itself writes.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) folder: TempDir,
    outputs: TempDir,
    env: BTreeMap<String, OsString>,
    titles: Titles,
}

/// Clean catalogues by what was served: every test would make the same.
static CLEAN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

impl World {
    /// The hand-written catalogue without limits.
    pub(crate) fn new() -> Self {
        Self::with(&SandboxOptions::default())
    }

    /// A generated catalogue: more pages than the hand-written one.
    pub(crate) fn generated(titles: u64) -> Self {
        Self::with(&SandboxOptions { titles: Titles::Generated { titles, seed: 7 }, ..SandboxOptions::default() })
    }

    pub(crate) fn with(options: &SandboxOptions) -> Self {
        let sandbox = Sandbox::start(options).expect("the sandbox starts");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let outputs = tempfile::tempdir().expect("a temporary folder");
        let mut world = Self { folder, outputs, env: BTreeMap::new(), sandbox, titles: options.titles };
        world.set("KODIK_BASE_URL", world.sandbox.kodik_url());
        world.set("SHIKIMORI_BASE_URL", world.sandbox.shikimori_url());
        world.set("KODIK_API_TOKEN", world.sandbox.token());
        world.set("STATE_PATH", "state");
        for (name, value) in HASTE {
            world.set(name, value);
        }
        world
    }

    /// Sets an environment variable of every later run.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.env.insert(name.to_owned(), value.into());
    }

    /// Takes one away.
    pub(crate) fn unset(&mut self, name: &str) {
        self.env.remove(name);
    }

    /// The working directory of every run.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root().join("state")
    }

    pub(crate) fn catalogue_path(&self) -> PathBuf {
        self.state().join("catalog.db")
    }

    /// A place for reports and the like, apart from the working directory.
    pub(crate) fn output(&self, name: &str) -> PathBuf {
        self.outputs.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parser"));
        command.args(args).current_dir(self.root()).env_clear().envs(&self.env).stdin(Stdio::null());
        command
    }

    /// Starts the binary and leaves it running.
    pub(crate) fn spawn(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.spawn(args).wait()
    }

    /// `run --mode full`, which must end with this code.
    pub(crate) fn full(&self, code: i32) -> Ran {
        self.run(&["run", "--mode", "full"]).expect(code)
    }

    /// `run --resume`, which must end with this code.
    pub(crate) fn resume(&self, code: i32) -> Ran {
        self.run(&["run", "--resume"]).expect(code)
    }

    /// The catalogue's content as text.
    pub(crate) fn catalogue(&self) -> String {
        dump(&self.catalogue_path())
    }

    /// What a run without any trouble makes of the same sources.
    pub(crate) fn clean_catalogue(&self) -> String {
        let key = format!("{:?}", self.titles);
        if let Some(known) = CLEAN.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let world = Self::with(&SandboxOptions { titles: self.titles, ..SandboxOptions::default() });
        world.full(0);
        let catalogue = world.catalogue();
        CLEAN.lock().unwrap_or_else(PoisonError::into_inner).insert(key, catalogue.clone());
        catalogue
    }

    /// One text from the catalogue.
    pub(crate) fn query(&self, sql: &str) -> String {
        let catalogue = rusqlite::Connection::open(self.catalogue_path()).expect("the catalogue opens");
        catalogue.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0)).map_or_else(
            |error| format!("{error}"),
            |value| match value {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Real(number) => number.to_string(),
                rusqlite::types::Value::Text(text) => text,
                other => format!("{other:?}"),
            },
        )
    }

    /// How often a service has been asked.
    pub(crate) fn asked(&self, service: Service) -> usize {
        self.sandbox.log().entries().iter().filter(|entry| entry.service == service).count()
    }

    /// Waits until something is true; a run that ends before it never will be.
    pub(crate) fn wait_for(&self, what: &str, running: &mut Running, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            assert!(running.is_running(), "the run ended before {what}:\n{}", running.errors());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A catalogue's content as text.
pub(crate) fn dump(path: &Path) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open_file_read_only(path).await.expect("the catalogue opens").expect("a catalogue");
        store.read(catalogue::dump).await.expect("the catalogue reads")
    })
}

/// Every file and folder below `folder`, with bytes and time of change.
pub(crate) fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let changed = path.metadata().and_then(|meta| meta.modified()).expect("a time");
        if path.is_dir() {
            files.extend(snapshot(&path));
            files.insert(path, (Vec::new(), changed));
        } else {
            let bytes = std::fs::read(&path).expect("a readable file");
            files.insert(path, (bytes, changed));
        }
    }
    files
}

/// A running binary. Dropping it ends it.
pub(crate) struct Running {
    child: Child,
    outputs: TempDir,
    started: Instant,
    peak_kib: u64,
    command: String,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let outputs = tempfile::tempdir().expect("a temporary folder");
        // Files cannot fill up like pipes do.
        let file = |name| File::create(outputs.path().join(name)).expect("an output file");
        command.stdout(file("stdout")).stderr(file("stderr"));
        let text = format!("{:?}", command.get_args().collect::<Vec<_>>());
        let child = command.spawn().expect("the binary starts");
        Self { child, outputs, started: Instant::now(), peak_kib: 0, command: text }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.status().is_none()
    }

    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(self.outputs.path().join("stderr")).unwrap_or_default()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    fn status(&mut self) -> Option<ExitStatus> {
        self.peak_kib = self.peak_kib.max(peak_kib(self.child.id()));
        assert!(self.started.elapsed() < DEADLINE, "{} hangs:\n{}", self.command, self.errors());
        self.child.try_wait().expect("it can be waited for")
    }

    pub(crate) fn wait(mut self) -> Ran {
        let status = loop {
            match self.status() {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let read = |name| std::fs::read(self.outputs.path().join(name)).expect("an output");
        let text = |name| String::from_utf8(read(name)).expect("output is UTF-8");
        Ran {
            code: status.code(),
            stdout: text("stdout"),
            stderr: text("stderr"),
            peak_kib: self.peak_kib,
            command: self.command.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The most memory that a process has had so far, as the kernel counts it; 0 once it is gone.
fn peak_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) peak_kib: u64,
    command: String,
}

impl Ran {
    /// It must have ended with this code, and without a panic.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert!(!self.stderr.contains("panicked"), "a panic: {self}");
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Standard error must say all of this.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is missing: {self}");
        }
        self
    }

    /// Standard output must say all of this.
    #[track_caller]
    pub(crate) fn prints(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stdout.contains(word), "`{word}` is missing: {self}");
        }
        self
    }

    /// Standard error's last line must be a hint with all of this in it.
    #[track_caller]
    pub(crate) fn hints(self, words: &[&str]) -> Self {
        let last = self.stderr.trim_end().lines().last().unwrap_or_default().trim();
        assert!(last.starts_with("hint: "), "the last line is no hint: {self}");
        for word in words {
            assert!(last.contains(word), "the hint lacks `{word}`: {self}");
        }
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, command, .. } = self;
        write!(f, "{command} ended with {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Both catalogues must be the same; otherwise the first lines that differ are shown. Slugs do not count: which of
/// several titles of one name has the plain one depends on which was loaded first.
#[track_caller]
pub(crate) fn same(found: &str, expected: &str) {
    let lines = |catalogue: &str| catalogue.lines().map(without_slug).collect::<Vec<_>>();
    let (found, expected) = (lines(found), lines(expected));
    let only = |these: &[String], those: &[String]| {
        let those: std::collections::HashSet<_> = those.iter().collect();
        these.iter().filter(|line| !those.contains(line)).take(3).cloned().collect::<Vec<_>>().join("\n")
    };
    let (more, less) = (only(&found, &expected), only(&expected, &found));
    assert!(
        found == expected,
        "{} and {} lines\nonly found:\n{more}\nonly expected:\n{less}",
        found.len(),
        expected.len()
    );
}

fn without_slug(line: &str) -> String {
    match line.split_once("\"slug\":\"").and_then(|(head, rest)| Some((head, rest.split_once('"')?.1))) {
        Some((head, tail)) => format!("{head}{tail}"),
        None => line.to_owned(),
    }
}
