//! Objects that imports read: a real S3-protocol server, HTTP servers that cut and lie, files and links, and the lines
//! that come out of them.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test ends where something is not as it must be"
)]

mod bucket;
mod files;
mod http;
mod lines;
mod rude;
mod s3;
#[expect(dead_code, reason = "other tests start the program with it")]
mod shelf;
mod world;
