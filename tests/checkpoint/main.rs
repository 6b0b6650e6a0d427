//! The state on disk: survives being killed anywhere, tells damage from crash traces, takes old states over.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking and documents itself by its name")]

mod admin;
mod crash;
mod durability;
mod migration;
mod support;
