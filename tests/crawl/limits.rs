//! No service is ever asked faster than its limit, on the service's own clock, with eight titles in flight and a fifth
//! of all answers broken.
//!
//! A bucket of one token lets `1 + rate × time` requests out in any time. The network may bring two requests closer
//! together than they were sent, and a busy machine even more so: [`SLACK`] says how much.

use std::time::Duration;

use parser::sandbox::{FaultProfile, Sandbox, SandboxOptions, Service, Titles};

use crate::backend::Backend;
use crate::harness::{Finished, Run, State, asked};

/// How much later than another one a request may be on its way.
const SLACK: Duration = Duration::from_millis(150);

fn flaky(titles: u64) -> Sandbox {
    let titles = Titles::Generated { titles, seed: 7 };
    Sandbox::start(&SandboxOptions { titles, faults: FaultProfile::Flaky, ..SandboxOptions::default() }).unwrap()
}

/// Patient enough for the faults, and quick to try again: retries have to pay, too.
const PATIENT: &[(&str, &str)] = &[
    ("CONCURRENCY", "8"),
    ("MAX_RETRIES", "8"),
    ("BACKOFF_BASE_SECONDS", "0.02"),
    ("BREAKER_THRESHOLD", "8"),
    ("BREAKER_COOLDOWN_SECONDS", "0.1"),
];

/// In no window, wherever it begins and however long it is, are there more than the rate allows.
fn assert_paced(times: &[Duration], per_second: f64) {
    for (first, from) in times.iter().enumerate() {
        for (last, to) in times.iter().enumerate().skip(first) {
            let window = to.saturating_sub(*from) + SLACK;
            let allowed = 1.0 + per_second * window.as_secs_f64();
            let requests = f64::from(u32::try_from(last - first + 1).unwrap());
            assert!(requests <= allowed, "{requests} requests within {window:?}, {per_second} a second");
        }
    }
}

fn times(sandbox: &Sandbox, services: &[Service]) -> Vec<Duration> {
    let entries = sandbox.log().entries();
    let of_services = entries.iter().filter(|request| services.contains(&request.service));
    of_services.map(|request| Duration::from_micros(request.monotonic_us)).collect()
}

fn service<'a>(summary: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    summary["services"].as_array().unwrap().iter().find(|line| line["service"] == name).unwrap()
}

fn succeeded(finished: &Finished) -> serde_json::Value {
    assert_eq!(finished.code(), Some(0), "{finished:#?}");
    finished.summary()
}

#[test]
fn kodik_with_retries() {
    let (sandbox, state) = (flaky(40), State::new());
    // One page, then a search for each of its titles.
    let run = Run::new(&sandbox, &state, &["--mode", "full", "--max-pages", "1"]);
    let summary = succeeded(&run.envs(PATIENT).env("KODIK_RATE_LIMIT_RPS", "8").finish());
    let times = times(&sandbox, &[Service::Kodik]);
    assert!(times.len() > 35, "{} requests", times.len());
    assert!(service(&summary, "kodik")["retries"].as_u64().unwrap() > 0, "{summary}");
    assert_paced(&times, 8.0);
}

#[test]
fn shikimori_with_retries() {
    let (sandbox, state) = (flaky(30), State::new());
    // Characters are a request for each title.
    let run = Run::new(&sandbox, &state, &["--mode", "full"]).env("FETCH_CHARACTERS", "true");
    let summary = succeeded(&run.envs(PATIENT).env("SHIKIMORI_RATE_LIMIT_RPS", "5").finish());
    let requests = asked(sandbox.log(), Service::Shikimori).len();
    assert!(requests > 30, "{requests} requests");
    assert!(service(&summary, "shikimori")["retries"].as_u64().unwrap() > 0, "{summary}");
    // What Shikimori counts: requests in any second. Five in a second leave a gap of 250 ms between two.
    let rates = sandbox.log().rates(Service::Shikimori);
    assert!(rates.max_sliding_second <= 5, "{rates:?}");
    assert_paced(&times(&sandbox, &[Service::Shikimori]), 4.0);
}

#[test]
fn with_default_limits_nobody_says_429() {
    let titles = Titles::Generated { titles: 20, seed: 7 };
    let options = SandboxOptions { titles, limits: true, ..SandboxOptions::default() };
    let (sandbox, state) = (Sandbox::start(&options).unwrap(), State::new());
    // The defaults: two a second to Kodik, five a second and ninety a minute to Shikimori.
    let defaults = [("KODIK_RATE_LIMIT_RPS", ""), ("SHIKIMORI_RATE_LIMIT_RPS", ""), ("SHIKIMORI_RATE_LIMIT_RPM", "")];
    let run = Run::new(&sandbox, &state, &["--mode", "full", "--limit", "6"]);
    let run = run.env("FETCH_CHARACTERS", "true").env("CONCURRENCY", "8").envs(&defaults);
    let summary = succeeded(&run.finish());
    for name in [Service::Kodik, Service::Shikimori] {
        let rates = sandbox.log().rates(name);
        assert_eq!(rates.refused, 0, "{name:?}: {rates:?}");
    }
    assert_eq!(sandbox.log().rates(Service::Shikimori).requests, 7);
    assert!(summary["services"].as_array().unwrap().iter().all(|line| line["throttled"] == 0), "{summary}");
    // The minute's share is spread: 90 a minute are one and a half in a second.
    assert_paced(&times(&sandbox, &[Service::Shikimori]), 1.5);
    assert_paced(&times(&sandbox, &[Service::Kodik]), 2.0);
}

#[test]
fn the_backend() {
    let (sandbox, state, backend) = (flaky(4), State::new(), Backend::start());
    let run = Run::new(&sandbox, &state, &["--mode", "full", "--limit", "2"]).envs(PATIENT);
    let run = backend.settings().iter().fold(run, |run, (name, value)| run.env(name, value));
    succeeded(&run.env("BACKEND_RATE_LIMIT_RPS", "20").finish());
    let times = backend.times();
    assert!(times.len() > 20, "{} requests", times.len());
    assert_paced(&times, 20.0);
}

#[test]
fn all_services_together() {
    let (sandbox, state) = (flaky(30), State::new());
    let run = Run::new(&sandbox, &state, &["--mode", "full", "--max-pages", "1"]);
    let run = run.env("FETCH_CHARACTERS", "true").envs(PATIENT).env("GLOBAL_RATE_LIMIT_RPS", "15");
    succeeded(&run.finish());
    let both = times(&sandbox, &[Service::Kodik, Service::Shikimori]);
    assert!(both.len() > 60, "{} requests", both.len());
    assert_paced(&both, 15.0);
}
