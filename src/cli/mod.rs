//! One file for each command; the only place that prints.

pub mod state;
