//! The state on disk: survives being killed anywhere, tells damage from crash traces, takes old states over.

mod admin;
mod crash;
mod durability;
mod migration;
mod support;
