//! Killed at every crash point, then opened again: nothing marked is lost, nothing unmarked appears, and the run ends
//! like one that was never killed. The test binary starts itself as the process that dies.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{StreamExt as _, TryStreamExt as _};
use parser::checkpoint::{Checkpoint, LockProbe, LockStatus, Phase, RunMode, RunSpec, StateError, StatePaths, Status};
use parser::model::SeriesId;

use crate::support::{TestResult, at, block_on, count, entry, open, paths};

const TITLES: std::ops::RangeInclusive<u64> = 1..=24;
const PAGES: u32 = 3;

/// `point`, and how often it is passed before the process dies there.
const POINTS: &[(&str, &[usize])] = &[
    ("checkpoint.begin.before", &[0]),
    ("checkpoint.begin.after", &[0]),
    ("checkpoint.page.before", &[0, 2]),
    ("checkpoint.page.after", &[0, 2]),
    ("checkpoint.phase.before", &[0]),
    ("checkpoint.phase.after", &[0]),
    ("checkpoint.mark.before_ledger", &[0, 3]),
    ("checkpoint.mark.after_ledger", &[0, 3]),
    ("checkpoint.mark.after_state", &[0, 5, 7]),
    ("checkpoint.finish.before", &[0]),
    ("checkpoint.finish.after", &[0]),
    ("checkpoint.ledger.sync", &[0, 2]),
    ("atomic_file.before_write", &[0, 1, 2, 6]),
    ("atomic_file.sync", &[0, 1, 2, 6]),
    ("atomic_file.before_rename", &[0, 1, 2, 6]),
    ("atomic_file.after_rename", &[0, 1, 2, 6]),
    ("checkpoint.migrate.before_backup", &[0]),
    ("checkpoint.migrate.after_backup", &[0]),
    ("checkpoint.migrate.after_ledger", &[0]),
    ("checkpoint.migrate.after_checkpoint", &[0]),
    ("checkpoint.compact.before", &[0]),
    ("checkpoint.compact.after", &[0]),
    ("checkpoint.repair.before_truncate", &[0]),
    ("checkpoint.repair.after_truncate", &[0]),
];

/// What is there before the run.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    Former,
    Superseded,
    Torn,
}

const OLD_TITLE: u64 = 900_101;

fn old_line(number: usize) -> String {
    format!(
        "{{\"id\":{OLD_TITLE},\"title\":\"Old\",\"run\":0,\"status\":\"done\",\"episodes\":{number},\"at\":\"2026-01-01T00:00:00Z\"}}\n"
    )
}

fn prepare(paths: &StatePaths, before: Before) -> std::io::Result<()> {
    match before {
        Before::Nothing => {}
        Before::Former => {
            std::fs::write(&paths.checkpoint, include_str!("../../fixtures/state/v1-minimal.json"))?;
        }
        Before::Superseded => {
            let lines = (0..1100).fold(String::new(), |mut text, number| {
                text += &old_line(number);
                text
            });
            std::fs::write(&paths.ledger, lines)?;
        }
        Before::Torn => std::fs::write(&paths.ledger, old_line(1) + "{\"id\":2,\"title\":\"To")?,
    }
    Ok(())
}

/// The process that runs, and may die. Does nothing in an ordinary test run.
#[test]
fn crawling_process() -> TestResult {
    let Ok(dir) = std::env::var("CHECKPOINT_TEST_DIR") else { return Ok(()) };
    let dir = Path::new(&dir);
    if let Ok(point) = std::env::var("CHECKPOINT_TEST_POINT") {
        let after: usize = std::env::var("CHECKPOINT_TEST_AFTER")?.parse()?;
        let passed = AtomicUsize::new(0);
        fail::cfg_callback(point, move || {
            if passed.fetch_add(1, Ordering::SeqCst) == after {
                std::process::abort();
            }
        })?;
    }
    block_on(crawl(dir))
}

/// A small run: pages, then titles, four at a time. Says in two files what it is about to mark and what is marked.
async fn crawl(dir: &Path) -> TestResult {
    let log = |name: &str| OpenOptions::new().append(true).create(true).open(dir.join(name));
    let (asked, marked) = (log("asked.log")?, log("marked.log")?);
    let state = Arc::new(Checkpoint::open(&paths(&dir.join("state")), at(0), "crash test")?);
    state.set_target("embedded:test").await?;
    let run = match state.resumable() {
        Some(run) => run,
        None if state.last_run().is_some_and(|last| last.id.is_some()) => return Ok(()),
        None => state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?,
    };
    if run.phase == Phase::Listing {
        for page in run.last_page + 1..=PAGES {
            state.finish_page(page, Some(format!("cursor-{page}")), Some(at(i64::from(page)).to_string())).await?;
        }
        state.enter_titles_phase().await?;
    }
    let work = TITLES.filter(|id| !state.is_done(SeriesId(*id), run.seq)).map(|id| {
        let (state, mut asked, mut marked) = (Arc::clone(&state), &asked, &marked);
        async move {
            asked.write_all(format!("{id}\n").as_bytes())?;
            let status = if id % 5 == 0 { Status::Unchanged } else { Status::Done };
            state.mark(entry(id, status)).await?;
            marked.write_all(format!("{id}\n").as_bytes())?;
            Ok::<(), Box<dyn std::error::Error>>(())
        }
    });
    futures::stream::iter(work).buffer_unordered(4).try_collect::<Vec<()>>().await?;
    let watermark = state.run().and_then(|run| run.watermark_candidate);
    state.finish_run(0, watermark, at(100)).await?;
    Ok(())
}

fn command(dir: &Path) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "crash::crawling_process", "--nocapture"]).env("CHECKPOINT_TEST_DIR", dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

fn run_to_death(dir: &Path, point: &str, after: usize) -> std::io::Result<Output> {
    command(dir)?.env("CHECKPOINT_TEST_POINT", point).env("CHECKPOINT_TEST_AFTER", after.to_string()).output()
}

fn ids(path: &Path) -> std::io::Result<BTreeSet<u64>> {
    match File::open(path) {
        Ok(file) => Ok(std::io::BufReader::new(file).lines().map_while(Result::ok).flat_map(|id| id.parse()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

#[test]
fn killed_at_every_point_nothing_is_lost_and_nothing_invented() -> TestResult {
    let mut problems = String::new();
    for (point, passes) in POINTS {
        let before = match *point {
            point if point.contains("migrate") => Before::Former,
            point if point.contains("compact") => Before::Superseded,
            point if point.contains("repair") => Before::Torn,
            _ => Before::Nothing,
        };
        for after in *passes {
            if let Err(problem) = kill_and_resume(point, *after, before) {
                writeln!(problems, "{point} after {after}: {problem}")?;
            }
        }
    }
    // Files are replaced in migration and compaction as well; a kill inside must be harmless there, too.
    for before in [Before::Former, Before::Superseded] {
        for after in 0..4 {
            if let Err(problem) = kill_and_resume("atomic_file.before_rename", after, before) {
                writeln!(problems, "replacement {after} of a start that mends: {problem}")?;
            }
        }
    }
    assert!(problems.is_empty(), "{problems}");
    Ok(())
}

fn kill_and_resume(point: &str, after: usize, before: Before) -> TestResult {
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("state"))?;
    let paths = paths(&dir.path().join("state"));
    prepare(&paths, before)?;

    let died = run_to_death(dir.path(), point, after)?;
    if died.status.success() {
        return Err("the point was never reached".into());
    }
    let (asked, marked) = (ids(&dir.path().join("asked.log"))?, ids(&dir.path().join("marked.log"))?);
    {
        let state = Checkpoint::open_read_only(&paths, at(200))?;
        let seq = state.resumable().map(|run| run.seq).or_else(|| state.last_run().map(|_| 1)).unwrap_or_default();
        if let Some(lost) = marked.iter().find(|id| !state.is_done(SeriesId(**id), seq)) {
            return Err(format!("title {lost} was marked and is lost").into());
        }
        let known: BTreeSet<u64> = state.select(|id, _| TITLES.contains(&id.0)).iter().map(|(id, _)| id.0).collect();
        if let Some(invented) = known.difference(&asked).next() {
            return Err(format!("title {invented} was never marked").into());
        }
        if let Some(run) = state.resumable()
            && run.counters.extracted != known.len() as u64
        {
            return Err(format!("{:?} for {} titles", run.counters, known.len()).into());
        }
    }

    let resumed = command(dir.path())?.output()?;
    if !resumed.status.success() {
        return Err(format!("cannot resume: {}", String::from_utf8_lossy(&resumed.stdout)).into());
    }
    let asked = ids(&dir.path().join("asked.log"))?;
    let state = open(&paths)?;
    let last = state.last_run().ok_or("no run finished")?;
    assert!(state.resumable().is_none());
    assert_eq!(asked.len(), TITLES.count(), "{point}: every title is worked on");
    assert_eq!((last.exit, last.counters.extracted), (0, 24), "{point} after {after}");
    assert_eq!((last.counters.loaded, last.counters.unchanged), (20, 4));
    assert_eq!(state.watermark(), Some(at(i64::from(PAGES)).to_string()));
    for id in TITLES {
        assert!(state.known_fingerprint(SeriesId(id)).is_some(), "{id}");
    }
    let old = state.entry(SeriesId(OLD_TITLE)).map(|entry| entry.episodes());
    let expected = match before {
        Before::Nothing => None,
        Before::Former => Some(13),
        Before::Superseded => Some(1099),
        Before::Torn => Some(1),
    };
    assert_eq!(old, expected, "what was known before the run");
    assert_eq!(count(&paths.dir, "tmp")?, 0, "{point}: no litter");
    let backups = count(&paths.dir, "bak")?;
    assert_eq!(
        backups,
        usize::from(before == Before::Former),
        "one backup of a migrated file, however often it starts"
    );
    Ok(())
}

/// A process that holds the lock until its input ends. Does nothing in an ordinary test run.
#[test]
fn locking_process() -> TestResult {
    let Ok(dir) = std::env::var("CHECKPOINT_TEST_LOCK") else { return Ok(()) };
    let _state = Checkpoint::open(&paths(Path::new(&dir)), at(0), "run --mode full")?;
    File::create(Path::new(&dir).join("ready"))?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Kills the process when the test ends, however it ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_second_process_is_told_who_works_and_a_killed_one_lets_go() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(dir.path());
    let mut holder = Killed(
        Command::new(std::env::current_exe()?)
            .args(["--exact", "crash::locking_process", "--nocapture"])
            .env("CHECKPOINT_TEST_LOCK", dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?,
    );
    while !dir.path().join("ready").exists() {
        assert!(holder.0.try_wait()?.is_none(), "the holder has ended");
        std::thread::yield_now();
    }
    match open(&paths) {
        Err(StateError::Locked { holder: told, .. }) => {
            assert_eq!((told.pid, told.command.as_str()), (holder.0.id(), "run --mode full"));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(LockProbe::new(&paths.lock).status(), LockStatus::Held(_)));
    holder.0.kill()?;
    holder.0.wait()?;
    assert_eq!(LockProbe::new(&paths.lock).status(), LockStatus::Free);
    open(&paths)?;
    Ok(())
}

/// The process whose disk is full for a while. Does nothing in an ordinary test run.
#[test]
fn process_with_a_full_disk() -> TestResult {
    let Ok(dir) = std::env::var("CHECKPOINT_TEST_FULL") else { return Ok(()) };
    let point = std::env::var("CHECKPOINT_TEST_POINT")?;
    block_on(async {
        let paths = paths(Path::new(&dir));
        let state = open(&paths)?;
        let run = state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
        state.mark(entry(1, Status::Done)).await?;
        fail::cfg(point.as_str(), "return")?;
        for id in [2, 3] {
            match state.mark(entry(id, Status::Done)).await {
                Err(StateError::DiskFull { .. }) => {}
                other => return Err(format!("{other:?}").into()),
            }
        }
        match state.finish_page(9, None, None).await {
            Err(StateError::DiskFull { .. }) => {}
            other if point == "atomic_file.sync" => return Err(format!("{other:?}").into()),
            _ => {}
        }
        fail::remove(&point);
        state.mark(entry(4, Status::Done)).await?;
        let counters = state.run().ok_or("no run")?.counters;
        drop(state);
        let state = open(&paths)?;
        let after = state.resumable().ok_or("no run after")?;
        assert_eq!(after.counters, counters, "memory and disk count the same");
        assert!(state.is_done(SeriesId(1), run.seq) && state.is_done(SeriesId(4), run.seq));
        if point == "atomic_file.sync" {
            assert_eq!(after.last_page, 0, "a page that was not saved is not finished");
        } else {
            assert!(state.entry(SeriesId(2)).is_none(), "a line that was not saved is not there");
        }
        Ok(())
    })
}

#[test]
fn a_full_disk_is_a_clear_error_and_costs_nothing_saved() -> TestResult {
    for point in ["atomic_file.sync", "checkpoint.ledger.sync"] {
        let dir = tempfile::tempdir()?;
        let output = Command::new(std::env::current_exe()?)
            .args(["--exact", "crash::process_with_a_full_disk", "--nocapture"])
            .env("CHECKPOINT_TEST_FULL", dir.path())
            .env("CHECKPOINT_TEST_POINT", point)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{point}: {text}");
    }
    Ok(())
}
