//! Logs and metrics. One function per event (`events`) writes the log line and bumps the metric, so they cannot drift apart.

pub mod events;
pub mod kafka;
pub mod logging;
pub mod metrics;
pub mod redact;

pub use redact::Redactor;
