//! What becomes of invented titles of every sort (`cases/`, `snapshots/`), and what holds for any title at all.

mod cases;
mod input;
mod properties;
