//! Nodes and the jobs that import them. A batch is one transaction: its nodes, its failures and the mark that it is in.

mod jobs;
mod write;

use std::collections::BTreeMap;

pub use jobs::{Job, JobStatus, Sums, begin, each_failure, finish, sums, unfinished};
pub use write::{Written, batch, nodes};

/// One node as a batch brings it. Keys are unique within a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// The group's name in the job's domain.
    pub group: String,
    /// Its id in the group.
    pub reference: String,
    /// One of the thirteen.
    pub kind: &'static str,
    /// Metadata; keys that are stored and not named here stay.
    pub metadata: BTreeMap<String, String>,
    /// Where it came from, for its failure.
    pub line: u64,
    /// The row as it was.
    pub original: Vec<u8>,
}

/// A row that is not in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its first line in the file.
    pub line: u64,
    /// Its reference id, if it has one.
    pub reference: Option<String>,
    /// A name for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// The row as it was.
    pub original: Vec<u8>,
}

/// Rows that go in together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Its place in the file, from 0.
    pub number: u64,
    /// Rows to be stored, sorted by key.
    pub rows: Vec<NodeRow>,
    /// Rows whose key came again in the same batch; the last one is in `rows`.
    pub duplicates: u64,
    /// Rows that are not stored.
    pub failures: Vec<Failure>,
}
