//! `parser serve` as its clients meet it: the binary, over HTTP. Every test has a server and a folder of its own.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "a test fails by panicking")]

mod auth;
mod contract;
mod crawl;
mod deploy;
mod docs;
mod limits;
mod openapi;
mod problems;
mod process;
mod read;
mod schemas;
mod schemathesis;
mod traces;
mod upsert;
mod world;
