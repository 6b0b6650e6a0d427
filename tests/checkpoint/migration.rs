//! Every state file of the former crawler, in all its variants, loads for ever.

use std::path::{Path, PathBuf};

use parser::checkpoint::{Checkpoint, Notice, Status};
use serde_json::{Value, json};

use crate::support::{TestResult, at, count, names, open, paths, snapshot};

fn fixtures() -> std::io::Result<Vec<PathBuf>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/state");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .filter(|path| path.as_ref().is_ok_and(|path| !path.to_string_lossy().ends_with(".expected.json")))
        .collect::<Result<_, _>>()?;
    files.sort();
    Ok(files)
}

#[test]
fn every_old_state_becomes_what_is_expected() -> TestResult {
    let files = fixtures()?;
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let name = file.display();
        let expected: Value = serde_json::from_slice(&std::fs::read(file.with_extension("expected.json"))?)?;
        let dir = tempfile::tempdir()?;
        let paths = paths(dir.path());
        std::fs::copy(&file, &paths.checkpoint)?;

        let before = snapshot(dir.path())?;
        let looked = Checkpoint::open_read_only(&paths, at(0))?;
        let counts = looked.counts();
        drop(looked);
        assert_eq!(snapshot(dir.path())?, before, "{name}: looking changes nothing");

        let state = open(&paths)?;
        assert_eq!(state.counts(), counts, "{name}: looking sees what a run gets");
        let [Notice::Migrated { backup: Some(backup), rejected, .. }] = state.notices() else {
            panic!("{name}: {:?}", state.notices());
        };
        assert_eq!(std::fs::read(backup)?, std::fs::read(&file)?, "{name}: the backup is the old file");
        let ledger: Vec<Value> =
            std::fs::read_to_string(&paths.ledger)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let got = json!({
            "watermark": state.watermark(),
            "last_run": state.last_run().map(|last| last.finished_at),
            "ledger": ledger,
            "rejected": rejected,
        });
        assert_eq!(got, expected, "{name}");
        for (_, entry) in state.select(|_, _| true) {
            assert_eq!((entry.status(), entry.run(), entry.fingerprint()), (Status::Done, 0, None), "{name}");
        }
        assert!(state.resumable().is_none(), "{name}: page numbers of the former crawler are no position");
        drop(state);

        let state = open(&paths)?;
        assert!(state.notices().is_empty(), "{name}: migrated once");
        assert_eq!(count(dir.path(), "bak")?, 1);
    }
    Ok(())
}

#[test]
fn a_state_that_was_put_back_overwrites_nothing_newer() -> TestResult {
    let dir = tempfile::tempdir()?;
    let paths = paths(&dir.path().join("old.json"));
    let old = include_str!("../../fixtures/state/v1-minimal.json");
    std::fs::write(&paths.checkpoint, old)?;
    let newer = "{\"id\":900101,\"title\":\"Newer\",\"run\":5,\"status\":\"unchanged\",\"episodes\":14,\"at\":\"2026-03-01T00:00:00Z\"}\n";
    std::fs::write(&paths.ledger, newer)?;
    let state = open(&paths)?;
    let entries = state.select(|_, _| true);
    assert_eq!(entries.len(), 2);
    assert_eq!((entries[0].1.episodes(), entries[0].1.run()), (14, 5));
    assert_eq!(count(dir.path(), "bak")?, 1);
    assert!(names(dir.path())?.iter().any(|name| name.starts_with("old.json.v1.")));
    Ok(())
}
