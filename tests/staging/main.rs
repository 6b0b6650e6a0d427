//! Staged records on their way into the catalogue, through the API and the binary, on both engines: what is taken, what
//! waits, what is refused and mended, and that nothing is done twice, whoever works on it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking and documents itself by its name"
)]

#[path = "../postgres/cluster.rs"]
#[expect(dead_code, reason = "shared with other test binaries, which use more of it")]
mod cluster;
mod ground;
mod jobs;
mod kill;
mod operators;
mod order;
mod policies;
mod records;
