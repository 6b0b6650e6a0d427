//! Nodes. A batch is one transaction: its nodes, its failed rows and the mark that it is in.

mod groups;
mod missing;
mod sets;
mod write;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::imports::FailedRow;

pub use groups::{Group, group_ids, groups, has_group};
pub use missing::insert_missing;
pub use write::{Written, batch, nodes};

/// One node as a batch brings it. Keys are unique within a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// The group's name in the job's domain.
    pub group: String,
    /// Its id in the group.
    pub reference: String,
    /// One of the thirteen; none = nothing is said of it: what is stored stays, and a new node is a `USER`.
    pub kind: Option<&'static str>,
    /// Metadata; keys that are stored and not named here stay.
    pub metadata: BTreeMap<String, String>,
    /// Where it came from, for its failure: its first line.
    pub line: u64,
    /// Where its first byte stands.
    pub offset: u64,
    /// The row as it was.
    pub original: Bytes,
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
    pub failures: Vec<FailedRow>,
    /// Bytes and lines behind its last row.
    pub position: (u64, u64),
    /// Reference ids of its rows that are kept, to be told.
    pub told: Vec<String>,
}
