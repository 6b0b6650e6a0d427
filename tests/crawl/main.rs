//! The crawl through the binary: killed and resumed without loss, never faster than allowed, no request too many.
#![expect(clippy::unwrap_used, reason = "what a test cannot do without is there, or the test fails")]

mod backend;
mod budget;
mod harness;
mod kill;
mod limits;
mod listing;
mod lock;
mod memory;
mod repeat;
mod requests;
mod resume;
mod signals;
