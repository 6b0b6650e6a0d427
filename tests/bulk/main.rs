//! Large files into the store: what becomes of every row, whatever the file, the store and the process do.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a test ends where something is not as it must be"
)]

#[path = "../objects/bucket.rs"]
#[expect(dead_code, reason = "other tests look into its folder, too")]
mod bucket;
mod busy;
#[path = "../postgres/cluster.rs"]
#[expect(dead_code, reason = "other tests stop the cluster, too")]
mod cluster;
mod crash;
#[path = "../postgres/disk.rs"]
mod disk;
mod engines;
mod full_disk;
mod groups;
mod jobs;
mod nodes;
mod nodes_store;
mod options;
#[path = "../imports/place.rs"]
#[expect(dead_code, reason = "other tests ask for more")]
mod place;
mod references;
mod remote;
mod rows;
#[path = "../objects/rude.rs"]
mod rude;
#[path = "../objects/shelf.rs"]
#[expect(dead_code, reason = "messages have to be allowed its bucket")]
mod shelf;
mod spectrum;
mod tables;
mod tables_crash;
mod tables_hostile;
mod world;
