//! What all crawl tests share: the binary as a child, and what a state folder holds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parser::backend::Catalogue;
use parser::sandbox::{Sandbox, SandboxOptions, Titles};
use parser::store::Store;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use crate::requests::{asked, batches, pages, searches};

/// Nothing here takes this long; what does hangs.
const DEADLINE: Duration = Duration::from_secs(180);
/// Between two looks at something that another process changes.
const LOOK: Duration = Duration::from_millis(1);

/// Seed of every generated catalogue here: two sandboxes with as many titles serve the same ones.
const SEED: u64 = 7;

pub(crate) fn fixture() -> Sandbox {
    Sandbox::start(&SandboxOptions::default()).unwrap()
}

pub(crate) fn generated(titles: u64) -> Sandbox {
    Sandbox::start(&SandboxOptions { titles: Titles::Generated { titles, seed: SEED }, ..SandboxOptions::default() })
        .unwrap()
}

/// A state folder of its own.
pub(crate) struct State(TempDir);

impl State {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The same files again: what two runs make of one past can be compared.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        for entry in std::fs::read_dir(self.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.file(entry.file_name().to_str().unwrap())).unwrap();
        }
        copy
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The catalogue as text: equal text = equal catalogue.
    pub(crate) fn catalogue(&self) -> String {
        block_on(async {
            let store = Store::open_file_read_only(&self.file("catalog.db")).await.unwrap();
            let store = store.unwrap_or_else(|| panic!("no catalogue in {}", self.path().display()));
            Catalogue::new(std::sync::Arc::new(store), "kodik-shikimori").dump().await.unwrap()
        })
    }

    pub(crate) fn checkpoint(&self) -> Value {
        match std::fs::read(self.file("checkpoint.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
            Err(_) => Value::Null,
        }
    }

    /// What the ledger says of each title: the run that ended it last, and how.
    pub(crate) fn ledger(&self) -> BTreeMap<u64, (u64, String)> {
        let text = std::fs::read(self.file("ledger.jsonl")).unwrap_or_default();
        text.split_inclusive(|byte| *byte == b'\n')
            .filter(|line| line.ends_with(b"\n"))
            .map(|line| {
                let line: Value = serde_json::from_slice(line).unwrap();
                let status = line["status"].as_str().unwrap().to_owned();
                (line["id"].as_u64().unwrap(), (line["run"].as_u64().unwrap(), status))
            })
            .collect()
    }

    /// Titles that the unfinished run has ended other than by failing.
    pub(crate) fn done(&self) -> BTreeSet<u64> {
        let Some(seq) = self.checkpoint()["run"]["seq"].as_u64() else { return BTreeSet::new() };
        let ended = self.ledger().into_iter().filter(|(_, (run, status))| *run == seq && status != "failed");
        ended.map(|(id, _)| id).collect()
    }

    pub(crate) fn landed(&self) -> Landed {
        Landed::read(self.path())
    }
}

/// What the landing holds, read from a copy: looking must not mend what the next run has to mend.
#[derive(Debug, Default)]
pub(crate) struct Landed {
    /// Pages of the newest listing.
    pub(crate) pages: usize,
    pub(crate) finished: bool,
    /// Pages whose ids were collected by the newest run that collects.
    pub(crate) collected: usize,
    pub(crate) collecting_finished: bool,
    /// Titles whose metadata is there.
    pub(crate) metadata: BTreeSet<u64>,
    /// Titles whose characters are there.
    pub(crate) roles: BTreeSet<u64>,
}

impl Landed {
    fn read(folder: &Path) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for name in ["landing.db", "landing.db-wal"] {
            let _ = std::fs::copy(folder.join(name), copy.path().join(name));
        }
        let Ok(landing) = rusqlite::Connection::open(copy.path().join("landing.db")) else { return Self::default() };
        let position = |sql: &str| {
            let read = |row: &rusqlite::Row<'_>| Ok((usize::try_from(row.get::<_, i64>(0)?).unwrap(), row.get(1)?));
            landing.query_row(sql, [], read).unwrap_or_default()
        };
        let ids = |table: &str| {
            let found = landing.prepare(&format!("SELECT series_id FROM {table}")).and_then(|mut query| {
                query.query_map([], |row| Ok(u64::try_from(row.get::<_, i64>(0)?).unwrap()))?.collect()
            });
            found.unwrap_or_default()
        };
        let (pages, finished) = position("SELECT page, finished FROM listing ORDER BY generation DESC LIMIT 1");
        let (collected, collecting_finished) =
            position("SELECT page, finished FROM collection ORDER BY run_id DESC LIMIT 1");
        Self { pages, finished, collected, collecting_finished, metadata: ids("metadata"), roles: ids("roles") }
    }
}

/// One run of the binary, in the making.
pub(crate) struct Run<'a> {
    command: Command,
    /// The folder has to be there as long as the run.
    _state: &'a State,
}

impl<'a> Run<'a> {
    /// `parser run ARGS`, with `state`, asking `sandbox` as fast as it can.
    pub(crate) fn new(sandbox: &Sandbox, state: &'a State, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parser"));
        command
            .env_clear()
            .envs([
                ("KODIK_BASE_URL", sandbox.kodik_url().as_str()),
                ("SHIKIMORI_BASE_URL", sandbox.shikimori_url().as_str()),
                ("KODIK_API_TOKEN", sandbox.token().as_str()),
                ("KODIK_RATE_LIMIT_RPS", "0"),
                ("SHIKIMORI_RATE_LIMIT_RPS", "0"),
                ("SHIKIMORI_RATE_LIMIT_RPM", "0"),
                ("BACKOFF_BASE_SECONDS", "0.05"),
                ("LOG_LEVEL", "warn"),
            ])
            .env("STATE_PATH", state.path())
            .current_dir(state.path())
            .arg("run")
            .args(args)
            .arg("--json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { command, _state: state }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn envs(mut self, variables: &[(&str, &str)]) -> Self {
        self.command.envs(variables.iter().copied());
        self
    }

    /// Dies at the `hit`-th passing of the crash point.
    pub(crate) fn crash_at(self, point: &str, hit: u32) -> Self {
        self.env("PARSER_CRASH_AT", &format!("{point}={hit}"))
    }

    pub(crate) fn start(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let out = follow(child.stdout.take().unwrap());
        let err = follow(child.stderr.take().unwrap());
        Running { child: Mortal(child), out, err, ended: None }
    }

    /// To its end, however that is.
    pub(crate) fn finish(self) -> Finished {
        self.start().wait()
    }

    /// To its end, which must be a success.
    pub(crate) fn succeed(self) -> Finished {
        let finished = self.finish();
        assert_eq!(finished.code(), Some(0), "{finished:#?}");
        finished
    }
}

/// What a stream has said so far, and the thread that listens to it.
struct Stream(Arc<Mutex<Vec<u8>>>, JoinHandle<()>);

fn follow(mut stream: impl Read + Send + 'static) -> Stream {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let listener = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            heard.lock().unwrap().extend_from_slice(&buffer[..read]);
        }
    });
    Stream(said, listener)
}

impl Stream {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    fn end(self) -> String {
        self.1.join().unwrap();
        String::from_utf8(Arc::into_inner(self.0).unwrap().into_inner().unwrap()).unwrap()
    }
}

/// A run that goes on. It does not outlive its test.
pub(crate) struct Running {
    child: Mortal,
    out: Stream,
    err: Stream,
    ended: Option<ExitStatus>,
}

/// A child that is killed when nobody waits for it any more.
struct Mortal(Child);

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Looks again and again until `condition` holds (`true`) or the process has ended (`false`).
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        loop {
            if condition() {
                return true;
            }
            if self.has_ended() {
                return false;
            }
            assert!(start.elapsed() < DEADLINE, "waited in vain: {what}\n{}", self.err.text());
            std::thread::sleep(LOOK);
        }
    }

    /// Waits for words on standard error.
    pub(crate) fn until_said(&mut self, words: &str) {
        let said = Arc::clone(&self.err.0);
        let found = self.until(words, || String::from_utf8_lossy(&said.lock().unwrap()).contains(words));
        assert!(found, "ended without `{words}`: {}", self.err.text());
    }

    fn has_ended(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.0.try_wait().unwrap();
        }
        self.ended.is_some()
    }

    /// SIGKILL; `false` = it had ended by itself.
    pub(crate) fn kill(&mut self) -> bool {
        let alive = !self.has_ended();
        if alive {
            self.child.0.kill().unwrap();
        }
        alive
    }

    /// `INT` or `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill` is always there.
        let kill = format!("kill -{name} {}", self.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    pub(crate) fn wait(mut self) -> Finished {
        self.until("the end of the process", || false);
        let Self { out, err, ended, .. } = self;
        Finished { status: ended.unwrap(), stdout: out.end(), stderr: err.end() }
    }
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Died at a crash point.
    pub(crate) fn aborted(&self) -> bool {
        self.status.signal() == Some(6)
    }

    /// What it printed with `--json`.
    pub(crate) fn summary(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The catalogue but for which of several namesakes came first: `slug`, `slug-1`, `slug-2` go to them in the order in
/// which they are loaded, and titles in flight overtake each other.
pub(crate) fn but_for_namesakes(catalogue: &str) -> String {
    let (mut lines, mut slugs) = (Vec::new(), Vec::new());
    for line in catalogue.lines() {
        let mut row: Value = serde_json::from_str(line).unwrap();
        slugs.extend(row.as_object_mut().unwrap().remove("slug").map(|slug| slug.to_string()));
        lines.push(row.to_string());
    }
    slugs.sort();
    lines.extend(slugs);
    lines.join("\n")
}

/// Equal catalogues, or the lines that differ.
pub(crate) fn assert_same(what: &str, expected: &str, found: &str) {
    let differences = differences(expected, found);
    assert!(expected == found, "{what}: another catalogue\n{:#?}", &differences[..differences.len().min(10)]);
}

/// Lines that only one of the two has.
pub(crate) fn differences(before: &str, after: &str) -> Vec<String> {
    let (before, after): (BTreeSet<_>, BTreeSet<_>) = (before.lines().collect(), after.lines().collect());
    let gone = before.difference(&after).map(|line| format!("- {line}"));
    gone.chain(after.difference(&before).map(|line| format!("+ {line}"))).collect()
}

/// `extracted = loaded + unchanged + failed + skipped`, in both counts of a summary.
pub(crate) fn assert_sums(summary: &Value) {
    let number = |value: &Value| value.as_u64().unwrap();
    let titles = &summary["titles"];
    let skipped: u64 = titles["skipped"].as_object().unwrap().values().map(number).sum();
    let parts = ["created", "updated", "unchanged", "failed"].iter().map(|part| number(&titles[part])).sum::<u64>();
    assert_eq!(number(&titles["extracted"]), parts + skipped, "{titles}");
    let run = &summary["whole_run"];
    let parts = ["loaded", "unchanged", "failed", "skipped"].iter().map(|part| number(&run[part])).sum::<u64>();
    assert_eq!(number(&run["extracted"]), parts, "{run}");
}

/// Does the jobs, two at a time.
pub(crate) fn side_by_side<T: Sync>(jobs: &[T], work: impl Fn(&T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    work(job);
                }
            });
        }
    });
}
