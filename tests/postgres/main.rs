//! The second engine: PostgreSQL gives the same answers as the embedded file, and what happens to servers loses nothing.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on should panic here and now"
)]

#[allow(dead_code, reason = "benchmarks need more of it")]
mod cluster;
mod commands;
mod concurrency;
mod contract;
mod crash;
#[expect(dead_code, reason = "other tests leave some of it free")]
mod disk;
mod outages;
mod place;
mod plans;
mod refusals;
mod schema;
mod space;
mod titles;

// What the other suites have for the binary: a running server, and a run that can be killed.
#[expect(dead_code, unused_imports, reason = "not all of it is needed here")]
#[path = "../crawl/harness.rs"]
mod harness;
#[path = "../crawl/requests.rs"]
mod requests;
#[expect(dead_code, reason = "not all of it is needed here")]
#[path = "../serve/world.rs"]
mod world;
