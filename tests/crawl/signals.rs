//! SIGINT and SIGTERM: titles in flight finish, the state is saved, the way on is printed. The second one ends at once.

use crate::backend::Backend;
use crate::harness::{Finished, Run, State, assert_same, generated};
use parser::sandbox::{Sandbox, SandboxOptions, Titles};
use std::time::Duration;

const TITLES: u64 = 105;

fn slow() -> Sandbox {
    let titles = Titles::Generated { titles: TITLES, seed: 7 };
    Sandbox::start(&SandboxOptions { titles, latency: Duration::from_millis(200), ..SandboxOptions::default() })
        .unwrap()
}

fn assert_stopped(finished: &Finished, code: i32, state: &State) {
    assert_eq!(finished.code(), Some(code), "{finished:#?}");
    assert!(finished.stderr.contains("parser run --resume"), "{finished:#?}");
    assert_eq!(finished.summary()["end"]["state"], "stopped");
    assert!(!state.checkpoint()["run"].is_null());
}

#[test]
fn while_listing() {
    let whole = State::new();
    Run::new(&generated(TITLES), &whole, &["--mode", "full"]).succeed();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (sandbox, state) = (slow(), State::new());
        let mut run = Run::new(&sandbox, &state, &["--mode", "full"]).start();
        assert!(run.until("the second page", || sandbox.log().entries().len() >= 2));
        run.signal(signal);
        let stopped = run.wait();
        assert_stopped(&stopped, code, &state);
        let checkpoint = state.checkpoint();
        assert_eq!(checkpoint["run"]["phase"], "listing");
        assert_eq!(checkpoint["run"]["last_page"].as_u64().unwrap(), state.landed().pages as u64);
        assert!(state.ledger().is_empty());

        Run::new(&sandbox, &state, &["--resume"]).succeed();
        assert_same(signal, &whole.catalogue(), &state.catalogue());
    }
}

#[test]
fn while_titles_are_loaded() {
    let sandbox = generated(TITLES);
    let whole = Backend::start();
    with(&whole, Run::new(&sandbox, &State::new(), &["--mode", "full"])).succeed();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (backend, state) = (Backend::start(), State::new());
        backend.hold();
        let mut run = with(&backend, Run::new(&sandbox, &state, &["--mode", "full"])).start();
        assert!(run.until("four titles in flight", || backend.times().len() >= 4));
        run.signal(signal);
        run.until_said("stopping");
        backend.release();
        let stopped = run.wait();
        assert_stopped(&stopped, code, &state);
        assert_eq!(state.checkpoint()["run"]["phase"], "titles");
        // Those in flight were finished and marked; no other was begun.
        assert_eq!(state.done().len(), 4, "{stopped:#?}");
        assert_eq!(stopped.summary()["titles"]["created"], 4);

        let resumed = with(&backend, Run::new(&sandbox, &state, &["--resume"])).succeed();
        assert_eq!(resumed.summary()["titles"]["created"], TITLES - 4);
        assert!(backend.records() == whole.records(), "{signal}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let (sandbox, backend, state) = (generated(TITLES), Backend::start(), State::new());
    backend.hold();
    let mut run = with(&backend, Run::new(&sandbox, &state, &["--mode", "full"])).start();
    assert!(run.until("titles in flight", || backend.times().len() >= 4));
    run.signal("INT");
    run.until_said("stopping");
    run.signal("INT");
    // The backend answers nobody, so only a run that waits for nobody ends.
    let stopped = run.wait();
    assert_eq!(stopped.code(), Some(130), "{stopped:#?}");
    assert!(stopped.stderr.contains("stopped at once"), "{stopped:#?}");
    assert!(stopped.stderr.contains("parser run --resume"), "{stopped:#?}");
    assert!(state.done().is_empty(), "a title that was not answered for is marked");

    backend.release();
    let resumed = with(&backend, Run::new(&sandbox, &state, &["--resume"])).succeed();
    assert_eq!(resumed.summary()["whole_run"]["loaded"], TITLES);
    let series = backend.records().keys().filter(|key| key.starts_with("series ")).count();
    assert_eq!(series as u64, TITLES);
}

fn with<'a>(backend: &Backend, run: Run<'a>) -> Run<'a> {
    backend.settings().iter().fold(run, |run, (name, value)| run.env(name, value))
}
