//! Imports driven by Kafka, on real brokers: what becomes of every message, whatever process, broker and store do.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test ends where something is not as it must be"
)]

mod brokers;
#[path = "../objects/bucket.rs"]
mod bucket;
#[path = "../postgres/cluster.rs"]
#[expect(dead_code, reason = "other tests speak TLS, too")]
mod cluster;
mod dead;
mod dealing;
mod doubt;
mod files;
mod handover;
mod keys;
mod lag;
mod lists;
mod messages;
mod mock;
mod outages;
mod outbox;
mod probes;
mod proxy;
mod raw;
mod refusals;
mod room;
mod secure;
mod seen;
#[path = "../objects/shelf.rs"]
#[expect(dead_code, reason = "other tests look what is left there")]
mod shelf;
mod topics;
mod world;
