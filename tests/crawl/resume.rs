//! Runs of every mode and loader, killed and resumed: the mode goes on, and the end is that of a run nobody killed.

use std::collections::BTreeSet;

use parser::sandbox::{LoggedRequest, Sandbox};
use rusqlite::params;

use crate::backend::Backend;
use crate::harness::{
    Run, State, assert_same, assert_sums, batches, but_for_namesakes, fixture, generated, pages, searches, side_by_side,
};

const TITLES: u64 = 105;

/// Runs `args` on copies of `past`, killed at each of `points`, and compares with a copy that nobody killed.
fn survives(
    sandbox: &Sandbox,
    past: &State,
    args: &[&str],
    settings: &[(&str, &str)],
    points: &[(&'static str, u32)],
) -> State {
    let whole = past.copy();
    let undisturbed = Run::new(sandbox, &whole, args).envs(settings).succeed().summary();
    let catalogue = but_for_namesakes(&whole.catalogue());
    for (point, hit) in points {
        let case = format!("{args:?}, {point} {hit}");
        let state = past.copy();
        let died = Run::new(sandbox, &state, args).envs(settings).crash_at(point, *hit).finish();
        assert!(died.aborted(), "{case}: {died:#?}");
        let run = state.checkpoint()["run"].clone();
        let (landed, done) = (state.landed(), state.done());
        let roles: BTreeSet<_> = landed.roles.difference(&past.landed().roles).copied().collect();

        let seen = sandbox.log().entries().len();
        let summary = Run::new(sandbox, &state, &["--resume"]).envs(settings).succeed().summary();
        let log = sandbox.log().entries().split_off(seen);
        assert_same(&case, &catalogue, &but_for_namesakes(&state.catalogue()));
        assert_sums(&summary);
        assert_eq!(summary["run"], run["id"], "{case}: another run");
        assert_eq!(summary["mode"], undisturbed["mode"], "{case}");
        assert_eq!(summary["pages"], undisturbed["pages"], "{case}");
        assert_eq!(summary["whole_run"]["extracted"], undisturbed["whole_run"]["extracted"], "{case}");
        assert_eq!(summary["whole_run"]["failed"], undisturbed["whole_run"]["failed"], "{case}");
        assert_eq!(state.checkpoint()["watermark"], whole.checkpoint()["watermark"], "{case}");

        assert!(landed.collected == 0 || !pages(&log).contains(&None), "{case}: the first page again");
        assert!(!landed.collecting_finished || pages(&log).is_empty(), "{case}: a page after the last one");
        for id in searches(&log).into_iter().chain(batches(&log).into_iter().flatten()) {
            assert!(!done.contains(&id), "{case}: title {id} again");
        }
        for id in asked_for_roles(&log) {
            assert!(!roles.contains(&id), "{case}: characters of {id} again");
        }
    }
    whole
}

fn asked_for_roles(log: &[LoggedRequest]) -> Vec<u64> {
    let paths = log.iter().filter_map(|request| request.path.strip_suffix("/roles"));
    paths.filter_map(|path| path.rsplit('/').next()?.parse().ok()).collect()
}

#[test]
fn a_run_over_some_pages() {
    let state = survives(
        &generated(TITLES),
        &State::new(),
        &["--mode", "full", "--max-pages", "2"],
        &[],
        &[
            ("landing.pending.before_commit", 2),
            ("landing.pending.after_commit", 1),
            ("crawl.collect.landed", 1),
            ("crawl.collect.landed", 2),
            ("landing.search.before_commit", 3),
            ("landing.search.after_commit", 40),
            ("crawl.title.loaded", 10),
            ("crawl.title.marked", 60),
        ],
    );
    assert_eq!(state.checkpoint()["last_run"]["counters"]["loaded"], 68, "the titles of two pages");
}

#[test]
fn a_run_with_characters() {
    survives(
        &generated(40),
        &State::new(),
        &["--mode", "full"],
        &[("FETCH_CHARACTERS", "true")],
        &[("landing.roles.before_commit", 2), ("landing.roles.after_commit", 25), ("catalogue.after_commit", 20)],
    );
}

#[test]
fn an_incremental_run() {
    let (sandbox, past) = (fixture(), State::new());
    Run::new(&sandbox, &past, &["--mode", "full"]).succeed();
    for id in [9001, 9004, 9201] {
        assert!(sandbox.touch(id));
    }
    let whole = survives(
        &sandbox,
        &past,
        &["--mode", "incremental"],
        &[],
        &[
            ("crawl.collect.landed", 1),
            ("landing.search.after_commit", 2),
            ("crawl.title.marked", 1),
            ("checkpoint.finish.before", 1),
        ],
    );
    assert_eq!(whole.checkpoint()["last_run"]["mode"], "incremental");
    assert_eq!(whole.checkpoint()["last_run"]["counters"]["loaded"], 3);
}

#[test]
fn a_run_over_what_is_airing() {
    let (sandbox, past) = (fixture(), State::new());
    Run::new(&sandbox, &past, &["--mode", "full"]).succeed();
    // 9004 is airing, 9001 ended long ago.
    assert!(sandbox.touch(9004) && sandbox.touch(9001));
    let whole = survives(
        &sandbox,
        &past,
        &["--mode", "ongoing"],
        &[],
        &[("crawl.metadata.landed", 1), ("landing.search.after_commit", 1), ("crawl.title.loaded", 2)],
    );
    assert_eq!(whole.checkpoint()["last_run"]["mode"], "ongoing");
    assert_eq!(whole.checkpoint()["last_run"]["counters"]["loaded"], 1);
}

#[test]
fn one_title_leaves_an_unfinished_run_as_it_is() {
    let (sandbox, whole, state) = (generated(TITLES), State::new(), State::new());
    Run::new(&sandbox, &whole, &["--mode", "full"]).succeed();
    assert!(Run::new(&sandbox, &state, &["--mode", "full"]).crash_at("crawl.title.marked", 20).finish().aborted());
    let (before, done) = (state.checkpoint()["run"].clone(), state.done());
    let next = (1000..1000 + TITLES).find(|id| !done.contains(id)).unwrap();

    let one = Run::new(&sandbox, &state, &["--mode", "one", "--source-id", &next.to_string()]).succeed().summary();
    assert_eq!((&one["mode"], &one["titles"]["extracted"]), (&"one".into(), &1.into()));
    assert_eq!(state.checkpoint()["run"]["id"], before["id"]);
    assert_eq!(state.checkpoint()["run"]["phase"], "titles");

    let seen = sandbox.log().entries().len();
    let resumed = Run::new(&sandbox, &state, &["--resume"]).succeed().summary();
    assert_eq!((&resumed["mode"], &resumed["run"]), (&"full".into(), &before["id"]));
    assert_eq!(resumed["whole_run"]["extracted"], TITLES);
    assert_eq!(pages(&sandbox.log().entries()[seen..]), []);
    assert_same("resumed", &whole.catalogue(), &state.catalogue());
}

#[test]
fn nothing_to_resume_starts_a_full_run() {
    let (sandbox, state) = (generated(40), State::new());
    let first = Run::new(&sandbox, &state, &["--resume"]).succeed().summary();
    assert_eq!((&first["mode"], &first["titles"]["created"]), (&"full".into(), &40.into()));
    let second = Run::new(&sandbox, &state, &["--resume"]).succeed().summary();
    assert_eq!((&second["mode"], &second["titles"]["unchanged"]), (&"full".into(), &40.into()));
    assert_ne!(first["run"], second["run"]);
}

#[test]
fn a_landing_that_was_deleted_is_filled_again() {
    let (sandbox, whole, state) = (generated(TITLES), State::new(), State::new());
    Run::new(&sandbox, &whole, &["--mode", "full"]).succeed();
    assert!(Run::new(&sandbox, &state, &["--mode", "full"]).crash_at("crawl.title.marked", 30).finish().aborted());
    let done = state.done();
    for name in ["landing.db", "landing.db-wal", "landing.db-shm"] {
        let _ = std::fs::remove_file(state.file(name));
    }
    let seen = sandbox.log().entries().len();
    let resumed = Run::new(&sandbox, &state, &["--resume"]).succeed().summary();
    let log = sandbox.log().entries().split_off(seen);
    assert_eq!(pages(&log).len(), 4);
    assert!(batches(&log).iter().flatten().all(|id| !done.contains(id)), "a finished title again");
    assert_eq!(resumed["whole_run"]["extracted"], TITLES);
    assert_same("resumed", &whole.catalogue(), &state.catalogue());
}

#[test]
fn a_cursor_that_the_source_refuses_walks_the_pages_again() {
    let (sandbox, whole, state) = (generated(TITLES), State::new(), State::new());
    Run::new(&sandbox, &whole, &["--mode", "full"]).succeed();
    let listed = pages(&sandbox.log().entries());
    assert!(Run::new(&sandbox, &state, &["--mode", "full"]).crash_at("crawl.page.finished", 2).finish().aborted());
    let landing = rusqlite::Connection::open(state.file("landing.db")).unwrap();
    assert_eq!(landing.execute("UPDATE listing SET cursor = ?1", params!["of another age"]).unwrap(), 1);
    drop(landing);

    let seen = sandbox.log().entries().len();
    let resumed = Run::new(&sandbox, &state, &["--resume"]).succeed().summary();
    let asked = pages(&sandbox.log().entries()[seen..]);
    assert_eq!(asked.len(), 5, "{asked:?}");
    assert_eq!(asked[1..], listed, "from the first page on");
    assert_eq!(resumed["whole_run"]["loaded"], TITLES);
    assert_eq!(resumed["pages"], 4);
    assert_same("resumed", &whole.catalogue(), &state.catalogue());
}

#[test]
fn a_run_into_a_backend() {
    let (sandbox, whole) = (generated(40), Backend::start());
    with(&whole, Run::new(&sandbox, &State::new(), &["--mode", "full"])).succeed();
    let moments = [
        ("sent.before_commit", 1),
        ("sent.before_commit", 30),
        ("sent.after_commit", 15),
        ("crawl.title.transformed", 10),
        ("crawl.title.loaded", 20),
        ("checkpoint.mark.after_ledger", 5),
    ];
    side_by_side(&moments, |(point, hit)| {
        let (state, backend) = (State::new(), Backend::start());
        let died = with(&backend, Run::new(&sandbox, &state, &["--mode", "full"])).crash_at(point, *hit).finish();
        assert!(died.aborted(), "{point} {hit}: {died:#?}");
        let done = state.done();
        let resumed = with(&backend, Run::new(&sandbox, &state, &["--resume"])).succeed().summary();
        assert_sums(&resumed);
        assert_eq!(resumed["whole_run"]["extracted"], 40, "{point} {hit}");
        assert_eq!(resumed["titles"]["extracted"], 40 - done.len(), "{point} {hit}");
        assert!(backend.records() == whole.records(), "{point} {hit}: another catalogue");
    });
}

fn with<'a>(backend: &Backend, run: Run<'a>) -> Run<'a> {
    backend.settings().iter().fold(run, |run, (name, value)| run.env(name, value))
}
