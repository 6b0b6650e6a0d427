//! Logs and metrics. One function per event (`events`) writes the log line and bumps the metric, so they cannot drift apart.

pub mod events;
