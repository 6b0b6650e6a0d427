//! A full crawl does not ask once for each title: a request for 100 materials, a request for 50 titles.

use parser::sandbox::{Sandbox, Service};

use crate::harness::{Run, State, asked, assert_sums, fixture, generated};

fn assert_within_budget(sandbox: &Sandbox) {
    let state = State::new();
    let summary = Run::new(sandbox, &state, &["--mode", "full"]).succeed().summary();
    assert_sums(&summary);
    let landing = rusqlite::Connection::open(state.file("landing.db")).unwrap();
    let count = |sql: &str| landing.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned();
    let materials = count("SELECT count(*) FROM material");
    let titles = count("SELECT count(DISTINCT series_id) FROM material");
    let requests = |service| asked(sandbox.log(), service).len() as u64;
    let (kodik, shikimori) = (requests(Service::Kodik), requests(Service::Shikimori));
    assert!(kodik <= materials / 100 + 3, "{kodik} requests to Kodik for {materials} materials");
    assert!(shikimori <= titles / 50 + 3, "{shikimori} requests to Shikimori for {titles} titles");
    for (line, requests) in summary["services"].as_array().unwrap().iter().zip([kodik, shikimori]) {
        assert_eq!(line["requests"], requests, "the summary counts what the source counts: {line}");
    }
}

#[test]
fn the_fixture_catalogue() {
    assert_within_budget(&fixture());
}

#[test]
fn five_hundred_titles() {
    assert_within_budget(&generated(500));
}
