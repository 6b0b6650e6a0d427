//! Marks, runs, torn tails, damage, disks that refuse, sizes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use parser::checkpoint::{Checkpoint, Notice, Phase, Reason, RunMode, RunSpec, StateError, StatePaths, Status};
use parser::error::{Fault as _, Party, Severity};
use parser::model::SeriesId;
use proptest::prelude::*;

use crate::support::{TestResult, at, block_on, count, entry, open, paths, snapshot};

#[test]
fn a_run_from_its_beginning_to_its_end() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(&dir.path().join("deep/state"));
    block_on(async {
        let state = open(&paths)?;
        assert!(state.resumable().is_none() && state.notices().is_empty());
        assert!(matches!(state.mark(entry(1, Status::Done)).await, Err(StateError::NoRun { .. })));
        assert!(matches!(state.finish_page(1, None, None).await, Err(StateError::NoRun { .. })));
        state.set_target("contract:http://localhost").await?;
        let spec = RunSpec { max_pages: Some(9), limit: Some(50), generation: 4, ..RunSpec::new(RunMode::Full) };
        let run = state.begin_run(spec, at(0)).await?;
        assert_eq!((run.seq, run.phase, run.max_pages, run.generation), (1, Phase::Listing, Some(9), 4));
        assert_eq!(run.id.get_version_num(), 7);
        state.finish_page(1, Some("c1".into()), Some("2026-02-01T00:00:00Z".into())).await?;
        state.finish_page(2, Some("c2".into()), Some("2026-01-01T00:00:00Z".into())).await?;
        drop(state);

        let state = open(&paths)?;
        let run = state.resumable().ok_or("nothing to resume")?;
        assert_eq!((run.last_page, run.cursor.as_deref()), (2, Some("c2")));
        assert_eq!(run.watermark_candidate.as_deref(), Some("2026-02-01T00:00:00Z"));
        state.enter_titles_phase().await?;
        state.mark(entry(1, Status::Done)).await?;
        state.mark(entry(2, Status::Failed)).await?;
        state.mark(entry(3, Status::Skipped)).await?;
        assert!(state.is_done(SeriesId(1), 1) && state.is_done(SeriesId(3), 1));
        assert!(!state.is_done(SeriesId(2), 1), "a failed title runs again");
        state.mark(entry(2, Status::Unchanged)).await?;
        let counters = state.run().ok_or("no run")?.counters;
        assert_eq!((counters.extracted, counters.loaded, counters.unchanged), (3, 1, 1));
        assert_eq!((counters.failed, counters.skipped), (0, 1), "marking again replaces");
        state.finish_run(1, Some("2026-02-01T00:00:00Z".into()), at(9)).await?;
        assert!(matches!(state.finish_run(0, None, at(9)).await, Err(StateError::NoRun { .. })));
        drop(state);

        let state = open(&paths)?;
        let last = state.last_run().ok_or("no last run")?;
        assert_eq!((last.exit, last.mode, last.counters), (1, Some(RunMode::Full), counters));
        assert_eq!(state.watermark().as_deref(), Some("2026-02-01T00:00:00Z"));
        assert_eq!(state.counts().titles, 3);
        let next = state.begin_run(RunSpec::new(RunMode::Incremental), at(10)).await?;
        assert_eq!(next.seq, 2);
        assert!(!state.is_done(SeriesId(1), next.seq), "done in an earlier run is not done in this one");
        assert!(state.known_fingerprint(SeriesId(1)).is_some());
        Ok(())
    })
}

#[test]
fn one_title_in_between_leaves_the_long_run_resumable() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(dir.path());
    block_on(async {
        let state = open(&paths)?;
        state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
        state.finish_page(5, Some("c5".into()), None).await?;
        drop(state);
        let state = open(&paths)?;
        let one = RunSpec { source_id: Some(SeriesId(7)), ..RunSpec::new(RunMode::One) };
        let run = state.begin_run(one, at(1)).await?;
        assert_eq!(run.seq, 2);
        state.mark(entry(7, Status::Done)).await?;
        state.finish_run(0, None, at(2)).await?;
        drop(state);
        let state = open(&paths)?;
        let long = state.resumable().ok_or("the long run is gone")?;
        assert_eq!((long.seq, long.last_page, long.mode), (1, 5, RunMode::Full));
        assert_eq!(state.last_run().and_then(|last| last.mode), Some(RunMode::One));
        Ok(())
    })
}

#[test]
fn another_backend_knows_no_fingerprint_and_has_no_title() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(dir.path());
    block_on(async {
        let state = open(&paths)?;
        state.set_target("a").await?;
        let run = state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
        state.mark(entry(1, Status::Done)).await?;
        assert_eq!(state.known_fingerprint(SeriesId(1)), Some([1; 16]));
        state.set_target("b").await?;
        assert_eq!(state.target().as_deref(), Some("b"));
        assert_eq!(state.known_fingerprint(SeriesId(1)), None);
        let resumed = state.resumable().ok_or("no run")?;
        assert_ne!(resumed.seq, run.seq);
        assert!(!state.is_done(SeriesId(1), resumed.seq));
        state.mark(entry(1, Status::Done)).await?;
        assert!(state.known_fingerprint(SeriesId(1)).is_some());
        drop(state);
        let state = open(&paths)?;
        assert!(state.known_fingerprint(SeriesId(1)).is_some());
        state.set_target("a").await?;
        assert_eq!(state.known_fingerprint(SeriesId(1)), None, "what a has is not known any more");
        Ok(())
    })
}

#[test]
fn many_marks_at_once_are_all_durable() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(dir.path());
    block_on(async {
        let state = Arc::new(open(&paths)?);
        state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
        futures::future::try_join_all((1..=500).map(|id| state.mark(entry(id, Status::Done)))).await?;
        let before = std::fs::read_to_string(&paths.ledger)?;
        assert_eq!(before.lines().count(), 500, "on disk when answered");
        drop(state);
        assert_eq!(open(&paths)?.resumable().ok_or("no run")?.counters.loaded, 500);
        Ok(())
    })
}

#[test]
fn the_last_line_may_be_torn_anywhere() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(dir.path());
    block_on(async {
        let state = open(&paths)?;
        state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
        for id in 1..=3 {
            state.mark(entry(id, Status::Done)).await?;
        }
        Ok::<(), StateError>(())
    })?;
    let whole = std::fs::read(&paths.ledger)?;
    let kept = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').ok_or("one line only")? + 1;
    for end in kept..whole.len() {
        std::fs::write(&paths.ledger, &whole[..end])?;
        let looked = Checkpoint::open_read_only(&paths, at(0))?;
        assert_eq!(looked.counts().titles, 2, "cut at {end}");
        assert_eq!(std::fs::metadata(&paths.ledger)?.len(), end as u64, "looking mends nothing");
        let state = open(&paths)?;
        let torn = (end > kept).then(|| Notice::TornTail { bytes: (end - kept) as u64 });
        assert_eq!(state.notices(), torn.as_slice());
        assert_eq!(state.run().ok_or("no run")?.counters.extracted, 2);
        assert_eq!(std::fs::read(&paths.ledger)?, &whole[..kept]);
    }
    block_on(open(&paths)?.mark(entry(4, Status::Done)))?;
    assert_eq!(open(&paths)?.counts().titles, 3, "and goes on behind it");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Marks, restarts and torn tails in any order leave the last mark of every title.
    #[test]
    fn the_ledger_is_a_map(steps in prop::collection::vec((1_u64..12, 0_u8..4, prop::collection::vec(1_u8..=255, 0..40), 0_u8..8), 1..40)) {
        let dir = tempfile::tempdir().map_err(|error| TestCaseError::fail(error.to_string()))?;
        let paths = paths(dir.path());
        let mut model: HashMap<u64, Status> = HashMap::new();
        let outcome = block_on(async {
            let mut state = open(&paths)?;
            state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
            for (id, status, garbage, restart) in &steps {
                let status = [Status::Done, Status::Unchanged, Status::Failed, Status::Skipped][usize::from(*status)];
                state.mark(entry(*id, status)).await?;
                model.insert(*id, status);
                if *restart == 0 {
                    drop(state);
                    let mut bytes = std::fs::read(&paths.ledger)?;
                    bytes.extend(garbage.iter().filter(|byte| **byte != b'\n'));
                    std::fs::write(&paths.ledger, bytes)?;
                    state = open(&paths)?;
                }
            }
            drop(state);
            let state = open(&paths)?;
            let counters = state.resumable().map(|run| run.counters).unwrap_or_default();
            Ok::<_, Box<dyn std::error::Error>>((state.select(|_, _| true), counters))
        });
        let (entries, counters) = outcome.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let known: HashMap<u64, Status> = entries.iter().map(|(id, entry)| (id.0, entry.status())).collect();
        let count = |wanted: Status| model.values().filter(|status| **status == wanted).count() as u64;
        prop_assert_eq!(counters.extracted, model.len() as u64);
        prop_assert_eq!(counters.loaded, count(Status::Done));
        prop_assert_eq!(counters.unchanged, count(Status::Unchanged));
        prop_assert_eq!(counters.failed, count(Status::Failed));
        prop_assert_eq!(counters.skipped, count(Status::Skipped));
        prop_assert_eq!(known, model);
    }
}

#[test]
fn damage_stops_the_run_and_changes_nothing() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(dir.path());
    let good = "{\"id\":1,\"title\":\"A\",\"run\":1,\"status\":\"done\",\"at\":\"2026-01-01T00:00:00Z\"}\n";
    for (checkpoint, ledger, place) in [
        (None, format!("{good}garbage\n{good}"), "line 2"),
        (
            None,
            format!("{good}{good}{{\"id\":0,\"title\":\"\",\"status\":\"done\",\"at\":\"2026-01-01T00:00:00Z\"}}\n"),
            "line 3",
        ),
        (None, format!("{good}\0\0\0\0\n"), "line 2"),
        (Some(String::new()), String::new(), "empty"),
        (Some("{\"format\":\"parser-checkpoint\",\"version\":2,\n\"run_seq\":".to_owned()), String::new(), "line 2"),
        (Some("<html>".to_owned()), String::new(), "not a JSON object"),
        (Some("{\"format\":\"parser-checkpoint\",\"version\":9,\"other\":1}".to_owned()), String::new(), "version 9"),
    ] {
        std::fs::remove_file(&paths.checkpoint).ok();
        if let Some(text) = &checkpoint {
            std::fs::write(&paths.checkpoint, text)?;
        }
        std::fs::write(&paths.ledger, &ledger)?;
        for result in [open(&paths), Checkpoint::open_read_only(&paths, at(0))] {
            let Err(error) = result else { panic!("{place}: opened") };
            assert!(error.to_string().contains(place), "{error} does not say {place}");
            assert_eq!((error.party(), error.severity()), (Party::State, Severity::Permanent));
            let hint = error.hint().unwrap_or_default();
            assert!(hint.contains("parser state"), "{hint}");
        }
        assert_eq!(std::fs::read_to_string(&paths.ledger)?, ledger);
        assert_eq!(std::fs::read_to_string(&paths.checkpoint).ok(), checkpoint);
    }
    Ok(())
}

#[test]
fn looking_and_dry_runs_change_no_byte() -> TestResult {
    let dir = tempfile::tempdir()?;
    let state_dir = dir.path().join("state");
    let paths = paths(&state_dir);
    block_on(async {
        let state = Checkpoint::open_read_only(&paths, at(0))?;
        state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
        state.mark(entry(1, Status::Done)).await?;
        assert!(!state_dir.exists(), "not even the folder");

        let state = open(&paths)?;
        state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
        state.mark(entry(1, Status::Done)).await?;
        std::fs::write(state_dir.join("extra"), b"torn")?;
        let before = snapshot(dir.path())?;
        // While a run works, and with everything a dry run does.
        let dry = Checkpoint::open_read_only(&paths, at(5))?;
        assert!(dry.is_read_only() && dry.is_done(SeriesId(1), 1));
        dry.set_target("other").await?;
        dry.begin_run(RunSpec::new(RunMode::Ongoing), at(5)).await?;
        dry.finish_page(1, None, None).await?;
        dry.enter_titles_phase().await?;
        dry.mark(entry(2, Status::Failed)).await?;
        assert_eq!(dry.run().ok_or("no run")?.counters.failed, 1, "it behaves like a run");
        dry.finish_run(1, None, at(6)).await?;
        drop(dry);
        assert_eq!(snapshot(dir.path())?, before);
        drop(state);
        let before = snapshot(dir.path())?;
        drop(Checkpoint::open_read_only(&paths, at(5))?);
        assert_eq!(snapshot(dir.path())?, before);
        Ok(())
    })
}

#[test]
fn a_missing_half_is_told_and_numbers_are_not_used_twice() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(dir.path());
    block_on(async {
        let state = open(&paths)?;
        for _ in 0..3 {
            state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
        }
        state.mark(entry(1, Status::Done)).await?;
        drop(state);
        std::fs::remove_file(&paths.checkpoint)?;
        let state = open(&paths)?;
        assert_eq!(state.notices(), [Notice::CheckpointMissing { titles: 1 }]);
        let run = state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
        assert_eq!(run.seq, 4);
        assert!(!state.is_done(SeriesId(1), run.seq));
        drop(state);
        std::fs::remove_file(&paths.ledger)?;
        assert_eq!(open(&paths)?.notices(), [Notice::LedgerMissing { expected: 1 }]);
        Ok(())
    })
}

#[test]
fn a_hundred_thousand_titles_cost_a_title_what_a_thousand_do() -> TestResult {
    let dir = tempfile::tempdir()?;
    let mut costs = Vec::new();
    for titles in [1_000_u64, 100_000] {
        let paths = paths(&dir.path().join(titles.to_string()));
        std::fs::create_dir(&paths.dir)?;
        let mut ledger = Vec::new();
        for id in (1..=titles).rev() {
            let mut entry = entry(id, if id % 7 == 0 { Status::Skipped } else { Status::Done });
            entry.reason = (id % 7 == 0).then(|| "banned".to_owned());
            entry.run = 1;
            serde_json::to_writer(&mut ledger, &entry)?;
            ledger.push(b'\n');
        }
        std::fs::write(&paths.ledger, &ledger)?;
        block_on(async {
            let state = open(&paths)?;
            assert_eq!(state.counts().titles, titles);
            assert_eq!(state.counts().skipped, titles / 7);
            let some = state.entry(SeriesId(titles / 7 * 7)).ok_or("missing")?;
            assert_eq!(some.reason(), Reason::Skip(parser::model::SkipReason::Banned));
            state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
            state.mark(entry(titles / 2, Status::Done)).await?;
            let appended = std::fs::metadata(&paths.ledger)?.len() - ledger.len() as u64;
            costs.push(appended + std::fs::metadata(&paths.checkpoint)?.len());
            Ok::<(), Box<dyn std::error::Error>>(())
        })?;
    }
    assert!(costs[1] - costs[0] < 20, "bytes written for one title: {costs:?}");
    Ok(())
}

#[test]
fn a_file_in_the_way_is_a_clear_error() -> TestResult {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("file"), b"x")?;
    let Err(error) = open(&paths(&dir.path().join("file/state"))) else { panic!("opened") };
    assert_eq!(error.party(), Party::State);
    assert!(error.to_string().contains("file/state"), "{error}");
    assert!(error.hint().unwrap_or_default().contains("is a file"), "{:?}", error.hint());
    Ok(())
}

/// A small disk of its own, when this user may mount one.
struct Disk(PathBuf);

impl Disk {
    fn mount(dir: &Path) -> Option<Self> {
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=128k", "tmpfs"]).arg(dir).output();
        done.is_ok_and(|output| output.status.success()).then(|| Self(dir.to_path_buf()))
    }

    fn read_only(&self) -> bool {
        let done = Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0).output();
        done.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).output().ok();
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn a_real_disk_runs_full_and_turns_read_only() -> TestResult {
    let dir = tempfile::tempdir()?;
    let Some(disk) = Disk::mount(dir.path()) else {
        eprintln!("SKIPPED: this user cannot mount a tmpfs; the same is tested with injected faults");
        return Ok(());
    };
    let paths = StatePaths::resolve(&disk.0.join("state"), &disk.0);
    block_on(async {
        let state = open(&paths)?;
        state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
        let mut saved = 0_u64;
        let error = loop {
            match state.mark(entry(saved + 1, Status::Done)).await {
                Ok(()) => saved += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, StateError::DiskFull { .. }), "{error:?}");
        assert!(saved > 100 && error.hint().unwrap_or_default().contains("free some space"));
        drop(state);
        let looked = Checkpoint::open_read_only(&paths, at(0))?;
        assert!((1..=saved).all(|id| looked.is_done(SeriesId(id), 1)), "nothing saved is lost");
        drop(looked);
        assert_eq!(count(&paths.dir, "tmp")?, 0, "no temp file keeps the space");

        assert!(disk.read_only(), "cannot remount");
        assert!(matches!(open(&paths), Err(StateError::ReadOnly { .. })));
        assert!(Checkpoint::open_read_only(&paths, at(0))?.is_done(SeriesId(1), 1));
        Ok(())
    })
}
