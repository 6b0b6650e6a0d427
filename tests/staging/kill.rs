//! A job killed at any point: what it had done stands, the rest is done later, nothing twice.

use std::os::unix::process::ExitStatusExt as _;

use serde_json::Value;

use crate::ground::{Ground, both, release, series, text, until};

both!(a_killed_job_is_finished_by_the_next, a_killed_command_leaves_whole_records);

const POINTS: [(&str, &str); 8] = [
    ("jobs.claim.before_commit", "2"),
    ("jobs.claim.after_commit", "1"),
    ("jobs.claim.after_commit", "3"),
    ("jobs.record.before_commit", "5"),
    ("jobs.record.after_commit", "5"),
    ("jobs.record.after_commit", "17"),
    ("jobs.books.before_commit", "2"),
    ("jobs.books.after_commit", "2"),
];

fn records() -> Vec<Value> {
    let titles = (1..=25).map(|id| series(&id.to_string()));
    titles.chain((1..=25).map(|id| release(&format!("m{id}"), &id.to_string(), 1))).collect()
}

/// Finishes what is left, as soon as the leases of the dead have run out.
fn finish(ground: &Ground) {
    until(|| {
        let output = ground.run(&["process", "all"], &[("JOB_LEASE_SECONDS", "1")]);
        let code = output.status.code().unwrap();
        assert!(code == 0 || code == 4, "{}", text(&output.stderr));
        let open = ["series", "release"]
            .map(|table| ground.one(&format!("SELECT count(*) FROM parsed_{table} WHERE state <> 'processed'")));
        (code == 0 && open == ["0", "0"]).then_some(())
    });
}

fn a_killed_job_is_finished_by_the_next(ground: &Ground) {
    ground.stage(&records());
    ground.expect(&["process", "all"], 0);
    let whole = ground.dump();
    let other = ground.another();
    other.stage(&records());
    for (point, hit) in POINTS {
        // Each dies somewhere else on the way; where nothing is left to do, it may pass.
        let env = [("PARSER_CRASH_AT", format!("{point}={hit}")), ("JOB_LEASE_SECONDS", "1".to_owned())];
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let output = other.run(&["process", "all"], &env);
        assert!(output.status.signal().is_some() || output.status.code().is_some_and(|code| code == 0 || code == 4));
    }
    finish(&other);
    assert_eq!(other.dump(), whole);
}

fn a_killed_command_leaves_whole_records(ground: &Ground) {
    ground.stage(&records());
    let env = [("PARSER_CRASH_AT", "jobs.record.after_commit=7"), ("JOB_LEASE_SECONDS", "1")];
    let output = ground.run(&["process", "series"], &env);
    assert!(output.status.signal().is_some(), "{}", text(&output.stderr));
    let done = ground.one("SELECT count(*) FROM parsed_series WHERE state = 'processed'");
    assert_eq!(done, ground.one("SELECT count(*) FROM series"), "a record and its row end together");
    finish(ground);
    assert_eq!(ground.one("SELECT count(*) FROM series"), "25");
    assert_eq!(ground.one("SELECT count(*) FROM video"), "25");
    assert_eq!(ground.one("SELECT count(*) FROM parsed_series WHERE attempts > 2"), "0");
}
