//! One run for each state: the second is told who holds it, the first notices nothing.

use std::time::Duration;

use parser::sandbox::{Sandbox, SandboxOptions, Titles};

use crate::harness::{Run, State, assert_same, batches, generated, pages};

#[test]
fn the_second_of_two_runs_is_told_who_holds_the_state() {
    let whole = State::new();
    Run::new(&generated(40), &whole, &["--mode", "full"]).succeed();

    let titles = Titles::Generated { titles: 40, seed: 7 };
    let options = SandboxOptions { titles, latency: Duration::from_millis(500), ..SandboxOptions::default() };
    let (sandbox, state) = (Sandbox::start(&options).unwrap(), State::new());
    let mut first = Run::new(&sandbox, &state, &["--mode", "full"]).start();
    assert!(first.until("the first request", || !sandbox.log().entries().is_empty()));

    for args in [&["--mode", "full"][..], &["--resume"], &["--mode", "one", "--source-id", "1001"]] {
        let second = Run::new(&sandbox, &state, args).finish();
        assert_eq!(second.code(), Some(5), "{second:#?}");
        let holder = format!("process {}", first.id());
        assert!(second.stderr.contains(&holder), "{holder}: {second:#?}");
        assert!(second.stderr.contains("parser run (full)"), "{second:#?}");
        assert!(second.stderr.contains("hint:"), "{second:#?}");
    }

    let finished = first.wait();
    assert_eq!(finished.code(), Some(0), "{finished:#?}");
    assert_same("resumed", &whole.catalogue(), &state.catalogue());
    let asked = sandbox.log().entries();
    assert_eq!((pages(&asked).len(), batches(&asked).len()), (2, 1), "the others asked nobody");
}
