//! What a person and an operator meet: the binary is run as they run it, against sources and a backend of our own.
//!
//! Every test starts its own servers on free ports and works in its own temporary folder, so they run side by side.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod backend;
mod world;

mod choices;
mod diagnose;
mod docs;
mod dry_run;
mod exit_codes;
mod faults;
mod help;
mod logs;
mod outages;
mod partial;
mod report;
mod secrets;
mod settings;
mod state;
