//! The second engine: PostgreSQL gives the same answers as the embedded file, and survives what happens to servers.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test fails by panicking and documents itself by its name"
)]

mod cluster;
mod smoke;
