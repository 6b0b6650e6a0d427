//! What becomes of invented titles of every sort (`cases/`, `snapshots/`), and what holds for any title at all.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking and documents itself by its name")]

mod cases;
mod input;
mod properties;
