//! Runs after the first one: nothing is written that is there already, what changed is found, what failed is tried
//! again, and the landing alone is enough to make the catalogue anew.

use std::fmt::Write as _;

use parser::sandbox::Service;

use crate::backend::Backend;
use crate::harness::{Run, State, asked, assert_same, assert_sums, differences, fixture, generated, pages, searches};

/// Every row of every table, times included.
fn rows(state: &State) -> String {
    let catalogue = rusqlite::Connection::open(state.file("catalog.db")).unwrap();
    let mut tables = catalogue.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut text = String::new();
    for table in tables {
        let mut all = catalogue.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let columns = all.column_count();
        let mut rows = all.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<_> = (0..columns).map(|column| row.get_ref(column).unwrap()).collect();
            writeln!(text, "{table} {values:?}").unwrap();
        }
    }
    text
}

fn with<'a>(backend: &Backend, run: Run<'a>) -> Run<'a> {
    backend.settings().iter().fold(run, |run, (name, value)| run.env(name, value))
}

#[test]
fn a_second_run_writes_nothing() {
    let (sandbox, state) = (fixture(), State::new());
    let first = Run::new(&sandbox, &state, &["--mode", "full"]).succeed().summary();
    let before = rows(&state);
    assert!(before.lines().count() > 5_000, "{} rows", before.lines().count());
    let second = Run::new(&sandbox, &state, &["--mode", "full"]).succeed().summary();
    assert_sums(&second);
    let titles = &second["titles"];
    assert_eq!(titles["unchanged"], first["titles"]["created"], "{titles}");
    assert_eq!((&titles["created"], &titles["updated"]), (&0.into(), &0.into()), "{titles}");
    let writes = titles["writes"].as_object().unwrap();
    assert!(!writes.is_empty() && writes.values().all(|count| *count == 0), "{writes:?}");
    assert!(rows(&state) == before, "a row was touched");
}

#[test]
fn a_second_run_sends_the_backend_nothing() {
    let (sandbox, state, backend) = (generated(20), State::new(), Backend::start());
    let first = with(&backend, Run::new(&sandbox, &state, &["--mode", "full"])).succeed().summary();
    let sent = backend.times().len();
    assert!(sent > 100, "{sent} requests");
    assert_eq!(first["titles"]["created"], 20);
    let second = with(&backend, Run::new(&sandbox, &state, &["--mode", "full"])).succeed().summary();
    assert_eq!(backend.times().len(), sent);
    assert_eq!(second["titles"]["unchanged"], 20);
    assert_sums(&second);
}

#[test]
fn the_landing_alone_makes_the_catalogue_anew() {
    let (sandbox, state) = (fixture(), State::new());
    Run::new(&sandbox, &state, &["--mode", "full"]).succeed();
    let catalogue = state.catalogue();
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(state.file(name));
    }
    let asked = sandbox.log().entries().len();
    let summary = Run::new(&sandbox, &state, &["--mode", "full", "--from-landing"]).succeed().summary();
    assert_eq!(sandbox.log().entries().len(), asked, "a source was asked");
    assert_sums(&summary);
    assert_eq!(summary["titles"]["unchanged"], 0, "a new catalogue has nothing yet");
    assert_same("from the landing", &catalogue, &state.catalogue());
    // Only the landing may be needed: no token, and the sources are gone.
    drop(sandbox);
    let again = Run::new(&fixture(), &state, &["--mode", "full", "--from-landing"]).env("KODIK_API_TOKEN", "");
    let again = again.succeed().summary();
    assert_eq!((&again["titles"]["created"], &again["titles"]["updated"]), (&0.into(), &0.into()));
}

#[test]
fn from_a_landing_that_is_empty_is_a_clear_error() {
    let (sandbox, state) = (fixture(), State::new());
    let finished = Run::new(&sandbox, &state, &["--mode", "full", "--from-landing"]).finish();
    assert_eq!(finished.code(), Some(2), "{finished:#?}");
    assert!(finished.stderr.contains("no finished listing") && finished.stderr.contains("hint:"), "{finished:#?}");
}

#[test]
fn an_incremental_run_touches_what_changed_and_nothing_else() {
    let (sandbox, state) = (fixture(), State::new());
    Run::new(&sandbox, &state, &["--mode", "full"]).succeed();
    let watermark = state.checkpoint()["watermark"].as_str().unwrap().to_owned();
    // What carries the very time of the watermark may have changed once more within that second.
    let landing = rusqlite::Connection::open(state.file("landing.db")).unwrap();
    let mut newest = landing.prepare("SELECT DISTINCT series_id FROM material WHERE updated_at = ?1").unwrap();
    let newest: Vec<u64> = newest
        .query_map([&watermark], |row| Ok(row.get::<_, i64>(0)?.cast_unsigned()))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let catalogue = state.catalogue();
    assert!(sandbox.touch(9004));

    sandbox.log().clear();
    let summary = Run::new(&sandbox, &state, &["--mode", "incremental"]).succeed().summary();
    assert_sums(&summary);
    let mut searched = searches(&asked(sandbox.log(), Service::Kodik));
    searched.retain(|id| !newest.contains(id));
    assert_eq!(searched, [9004]);
    assert_eq!((&summary["titles"]["updated"], &summary["titles"]["created"]), (&1.into(), &0.into()), "{summary}");
    assert_eq!(pages(&asked(sandbox.log(), Service::Kodik)), [None], "one page reaches back to the watermark");
    let moved = state.checkpoint()["watermark"].as_str().unwrap().to_owned();
    assert!(moved > watermark, "{watermark} → {moved}");
    let changed: Vec<_> = differences(&catalogue, &state.catalogue());
    assert!(!changed.is_empty() && changed.iter().all(|line| line.contains("9004")), "{changed:#?}");

    sandbox.log().clear();
    let summary = Run::new(&sandbox, &state, &["--mode", "incremental"]).succeed().summary();
    assert_eq!(searches(&asked(sandbox.log(), Service::Kodik)), [9004], "it carries the new watermark now");
    assert_eq!(summary["titles"]["unchanged"], 1);
}

#[test]
fn a_title_that_failed_is_tried_again() {
    let (sandbox, state, backend) = (generated(20), State::new(), Backend::start());
    backend.refuse(1003);
    let first = with(&backend, Run::new(&sandbox, &state, &["--mode", "full"])).finish();
    assert_eq!(first.code(), Some(1), "{first:#?}");
    assert_sums(&first.summary());
    assert_eq!(first.summary()["titles"]["failed"], 1);
    assert_eq!(state.ledger()[&1003].1, "failed");
    assert!(first.stderr.contains("1003"), "{first:#?}");

    // Still refused: the incremental run tries it, and says so.
    let second = with(&backend, Run::new(&sandbox, &state, &["--mode", "incremental"])).finish();
    assert_eq!(second.code(), Some(1), "{second:#?}");
    assert_eq!(second.summary()["titles"]["failed"], 1);

    backend.accept();
    sandbox.log().clear();
    let third = with(&backend, Run::new(&sandbox, &state, &["--mode", "incremental"])).succeed();
    assert!(searches(&asked(sandbox.log(), Service::Kodik)).contains(&1003));
    assert_eq!(third.summary()["titles"]["created"], 1, "{third:#?}");
    assert_eq!(state.ledger()[&1003].1, "done");
    assert!(backend.records().contains_key("series 1003"));

    sandbox.log().clear();
    with(&backend, Run::new(&sandbox, &state, &["--mode", "incremental"])).succeed();
    assert!(!searches(&asked(sandbox.log(), Service::Kodik)).contains(&1003), "it is not tried for ever");
}
