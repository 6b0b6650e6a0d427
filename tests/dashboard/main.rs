//! The dashboard as a browser meets it: over HTTP, byte by byte, and in a real Chromium.
#![allow(clippy::unwrap_used, clippy::print_stderr, dead_code, missing_docs, reason = "a test fails by panicking")]

mod axe;
mod browser;
mod bulk;
mod chromium;
#[path = "../postgres/cluster.rs"]
#[allow(clippy::print_stdout, reason = "it says what it skips")]
mod cluster;
mod imports;
mod jobs;
mod login;
mod pages;
mod search;
mod visitor;
#[path = "../serve/world.rs"]
mod world;
