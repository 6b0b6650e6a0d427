//! Logs and metrics. One function per event (`events`) writes the log line and bumps the metric, so they cannot drift apart.
//! Spans are the same (`spans`): context of the log, and traces if settings say where they go.

pub mod events;
mod json;
pub mod kafka;
pub mod logging;
pub mod metrics;
pub mod redact;
mod repeats;
pub mod spans;
mod text;
pub mod traces;

pub use redact::Redactor;
