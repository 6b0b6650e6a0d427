//! `parser state …`: what a person does with a state.

use std::path::PathBuf;

use parser::checkpoint::admin::{self, CheckpointRepair};
use parser::checkpoint::{Checkpoint, LockStatus, RunMode, RunSpec, StateError, StatePaths, Status, transfer};
use parser::cli::state::{StateCommand, run};
use parser::error::{Fault as _, Party};
use parser::model::SeriesId;

use crate::support::{TestResult, at, block_on, entry, names, open, paths, snapshot};

/// A state with a finished and an unfinished run, three titles, one of them failed.
fn crawled(paths: &StatePaths) -> Result<(), StateError> {
    block_on(async {
        let state = open(paths)?;
        state.set_target("embedded:x").await?;
        state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
        state.mark(entry(1, Status::Done)).await?;
        state.mark(entry(2, Status::Done)).await?;
        state.finish_run(0, Some("2026-02-01T00:00:00Z".to_owned()), at(1)).await?;
        state.begin_run(RunSpec::new(RunMode::Ongoing), at(2)).await?;
        let mut failed = entry(3, Status::Failed);
        failed.reason = Some("contract/http_500: no answer".to_owned());
        failed.retryable = true;
        state.mark(failed).await?;
        state.mark(entry(2, Status::Unchanged)).await
    })
}

fn say(command: StateCommand, paths: &StatePaths) -> Result<String, StateError> {
    let mut out = Vec::new();
    run(command, paths, &mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[test]
fn show_says_all_even_while_a_run_works() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(dir.path());
    let nothing = say(StateCommand::Show { json: false }, &paths)?;
    assert!(nothing.contains("nothing there yet") && names(dir.path())?.is_empty(), "{nothing}");
    crawled(&paths)?;
    let before = snapshot(dir.path())?;
    let text = say(StateCommand::Show { json: false }, &paths)?;
    for part in ["ongoing run 2", "2 known", "3 known", "finished", "embedded:x", "2026-02-01T00:00:00Z", "no answer"] {
        assert!(text.contains(part) != (part == "2 known"), "{part}: {text}");
    }
    let json: serde_json::Value = serde_json::from_str(&say(StateCommand::Show { json: true }, &paths)?)?;
    assert_eq!(json["titles"]["failed"], 1);
    assert_eq!(json["failures"][0]["id"], 3);
    assert_eq!(json["lock"], "free");
    assert_eq!(json["version"], 2);
    assert_eq!(snapshot(dir.path())?, before);

    let _working = open(&paths)?;
    assert!(matches!(admin::show(&paths, at(0))?.lock, LockStatus::Held(_)));
    for command in [StateCommand::Reset { keep_ledger: false, yes: true }, StateCommand::Repair] {
        assert!(matches!(say(command, &paths), Err(StateError::Locked { .. })));
    }
    Ok(())
}

#[test]
fn an_export_comes_back_whole() -> TestResult {
    let dir = tempfile::tempdir()?;
    let (from, to) = (paths(&dir.path().join("a")), paths(&dir.path().join("b/other.json")));
    crawled(&from)?;
    let file = dir.path().join("export.json");
    say(StateCommand::Export { path: file.clone() }, &from)?;
    let printed = say(StateCommand::Export { path: PathBuf::from("-") }, &from)?;
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text);
    let (mut one, mut two) = (parse(&std::fs::read_to_string(&file)?)?, parse(&printed)?);
    assert_eq!(one["ledger"].as_array().map(Vec::len), Some(3), "superseded lines stay behind");
    one["exported_at"] = two["exported_at"].take();
    two["exported_at"] = one["exported_at"].clone();
    assert_eq!(one, two);

    block_on(async {
        let state = open(&to)?;
        state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
        state.mark(entry(99, Status::Done)).await
    })?;
    // Laid out by hand, with a field of another build.
    one["ledger"][0]["later"] = serde_json::json!([1]);
    std::fs::write(&file, serde_json::to_string_pretty(&one)?)?;
    let done = transfer::import(&to, &file, at(9))?;
    assert_eq!((done.titles, done.backups.len()), (3, 2));
    assert!(std::fs::read_to_string(&to.ledger)?.contains("\"later\":[1]"));
    let (a, b) = (Checkpoint::open_read_only(&from, at(0))?, open(&to)?);
    assert_eq!(a.select(|_, _| true), b.select(|_, _| true));
    assert_eq!((a.resumable(), a.last_run(), a.watermark()), (b.resumable(), b.last_run(), b.watermark()));
    assert_eq!(b.known_fingerprint(SeriesId(2)), Some([2; 16]));
    Ok(())
}

#[test]
fn what_cannot_be_imported_changes_nothing() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(&dir.path().join("state"));
    crawled(&paths)?;
    let good = say(StateCommand::Export { path: PathBuf::from("-") }, &paths)?;
    let file = dir.path().join("bad.json");
    let checkpoint = std::fs::read_to_string(&paths.checkpoint)?;
    for (text, part) in [
        (good.replace("\"status\":\"failed\"", "\"status\":\"lost\""), "ledger entry"),
        (good.replace("\"id\":3", "\"id\":0"), "ledger entry"),
        (good.replace("\"parser-state-export\",\"version\":1", "\"parser-state-export\",\"version\":7"), "version 7"),
        (good[..good.len() / 2].to_owned(), "line"),
        (checkpoint, "no titles"),
        ("{\"a\":1}".to_owned(), "not a state"),
        (String::new(), "line"),
    ] {
        std::fs::write(&file, &text)?;
        let before = snapshot(&paths.dir)?;
        match transfer::import(&paths, &file, at(0)) {
            Err(error @ StateError::Import { .. }) => assert!(error.to_string().contains(part), "{error} / {part}"),
            other => panic!("{part}: {other:?}"),
        }
        assert_eq!(snapshot(&paths.dir)?, before);
    }
    assert!(matches!(transfer::import(&paths, &dir.path().join("none"), at(0)), Err(StateError::Missing { .. })));
    Ok(())
}

#[test]
fn a_former_crawlers_state_can_be_imported() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(&dir.path().join("state"));
    let file = dir.path().join("state.json");
    std::fs::write(&file, include_str!("../../fixtures/state/v1-odd.json"))?;
    let text = say(StateCommand::Import { path: file }, &paths)?;
    assert!(text.contains("3 titles") && text.contains("slug-of-a-title"), "{text}");
    assert_eq!(open(&paths)?.counts().titles, 3);
    Ok(())
}

#[test]
fn reset_asks_keeps_backups_and_may_keep_titles() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(dir.path());
    assert!(matches!(admin::reset(&paths, false, at(0)), Err(StateError::Missing { .. })));
    crawled(&paths)?;
    let before = snapshot(dir.path())?;
    let Err(error) = say(StateCommand::Reset { keep_ledger: false, yes: false }, &paths) else { panic!("reset") };
    assert_eq!(error.party(), Party::Usage);
    assert_eq!(snapshot(dir.path())?, before);

    say(StateCommand::Reset { keep_ledger: true, yes: true }, &paths)?;
    block_on(async {
        let state = open(&paths)?;
        assert!(state.resumable().is_none());
        assert_eq!(state.counts().titles, 3);
        let run = state.begin_run(RunSpec::new(RunMode::Full), at(0)).await?;
        assert!(run.seq > 2 && !state.is_done(SeriesId(1), run.seq), "no title passes for done in the new run");
        Ok::<(), StateError>(())
    })?;
    let done = admin::reset(&paths, false, at(0))?;
    assert_eq!(done.backups.len(), 2);
    let again = open(&paths)?;
    assert_eq!((again.counts().titles, again.notices().len()), (0, 0));
    Ok(())
}

#[test]
fn repair_keeps_what_is_readable_and_puts_the_rest_aside() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(dir.path());
    crawled(&paths)?;
    let good = std::fs::read_to_string(&paths.ledger)?;
    let (first, rest) = good.split_once('\n').ok_or("one line")?;
    let damaged = [first.as_bytes(), b"\n\xff\xfe broken\n", rest.as_bytes(), b"{\"id\":77,"].concat();
    std::fs::write(&paths.ledger, &damaged)?;
    std::fs::write(&paths.checkpoint, "{\"format\":")?;
    assert!(matches!(open(&paths), Err(StateError::Corrupt { .. })));

    let done = admin::repair(&paths, at(3))?;
    assert_eq!((done.kept, done.rejected, done.torn), (4, 1, 9));
    assert_eq!(done.bad_lines[0].line, 2);
    assert!(matches!(done.checkpoint, CheckpointRepair::Rebuilt { backup: Some(_), .. }), "{done:?}");
    assert_eq!(std::fs::read_to_string(&paths.ledger)?, good);
    assert_eq!(std::fs::read(paths.rejects())?, b"\xff\xfe broken\n");
    assert_eq!(std::fs::read(done.ledger_backup.ok_or("no backup")?)?, damaged);
    block_on(async {
        let state = open(&paths)?;
        assert_eq!((state.counts().titles, state.notices().len()), (3, 0));
        state.set_target("embedded:x").await?;
        assert_eq!(state.known_fingerprint(SeriesId(1)), None, "which backend had it is not known any more");
        Ok::<(), StateError>(())
    })?;

    let again = admin::repair(&paths, at(4))?;
    assert_eq!((again.checkpoint, again.rejected, again.ledger_backup), (CheckpointRepair::Intact, 0, None));
    Ok(())
}

#[test]
fn repair_refuses_a_newer_state_and_needs_one() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(dir.path());
    assert!(matches!(admin::repair(&paths, at(0)), Err(StateError::Missing { .. })));
    std::fs::write(&paths.checkpoint, "{\"format\":\"parser-checkpoint\",\"version\":3}")?;
    assert!(matches!(admin::repair(&paths, at(0)), Err(StateError::Newer { .. })));
    std::fs::write(&paths.checkpoint, include_str!("../../fixtures/state/v1-minimal.json"))?;
    let text = say(StateCommand::Repair, &paths)?;
    assert!(text.contains("took over"), "{text}");
    Ok(())
}
