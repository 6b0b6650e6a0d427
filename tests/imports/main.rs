//! Imports as their clients meet them: the binary, over HTTP, on SQLite and (where its binaries are) on PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a test fails by panicking and documents itself by its name"
)]

mod batches;
#[path = "../postgres/cluster.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod cluster;
mod crash;
mod crawl;
mod events;
mod imports;
mod place;
mod places;
mod shared;
mod statuses;
