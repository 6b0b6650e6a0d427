//! Nodes into a server as sets: copied into tables of the connection's own, then brought in by a few statements.
//!
//! What is there is read first, so that a node that is there exactly so costs no write. All others go in by one statement
//! that makes or changes nodes, then their metadata by another; only that of nodes which this transaction has just made,
//! with which nothing can conflict, is copied to its place directly. If somebody else has made or changed one of them
//! since it was read, that is undone, and what is there is read again.
//!
//! Two that write the same nodes at once never wait for each other in a circle: nodes are locked in the order of their
//! keys, and metadata is written by those alone that hold its node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use uuid::Uuid;

use super::{NodeRow, Written};
use crate::model::DEFAULT_NODE_KIND;
use crate::observe::events;
use crate::store::sql::{CopyType, Session, SqlError, Value, values};

/// Tables of the connection's own, kept for its life and emptied by each commit.
///
/// What the server believes about their size, and about that of the large ones when it plans, is never of this batch. So
/// no statement leaves it a choice: each looks the rows of a large table up one by one, in a sub-select with a limit, or
/// by the index of its `ON CONFLICT`. To have it plan each statement anew is no way out: it would do so for the check of
/// every single row's foreign key, too, which doubles the time.
const PREPARE: &str = "CREATE TEMP TABLE IF NOT EXISTS nodes_in (i uuid NOT NULL, g uuid NOT NULL, \
     r text COLLATE \"C\" NOT NULL, t text NOT NULL, at timestamptz NOT NULL) ON COMMIT DELETE ROWS; \
     CREATE TEMP TABLE IF NOT EXISTS metadata_in (i uuid NOT NULL, k text COLLATE \"C\" NOT NULL, v text NOT NULL) \
     ON COMMIT DELETE ROWS";

/// Nodes that are there, with the keys and the values of their metadata.
const FIND: &str = "SELECT given.number, o.id, o.type, o.updated_at, m.keys, m.values \
     FROM {given} CROSS JOIN LATERAL (SELECT id, type, updated_at FROM nodes \
     WHERE group_id = c1 AND domain_id = c2 AND reference_id = c3 LIMIT 1) o CROSS JOIN LATERAL \
     (SELECT array_agg(metadata_key) AS keys, array_agg(metadata_value) AS values \
     FROM node_metadata WHERE node_id = o.id) m";

/// Makes and changes nodes; how many it made, and how many in all. One that is not as it was read is left: it has been
/// made meanwhile, or it has been changed, and each change gives it a later time. (A node that is there brings along when
/// it was changed, in the place of when it is made.)
const MERGE: &str = "WITH merged AS (INSERT INTO nodes (id, reference_id, group_id, domain_id, type, created_at, updated_at) \
     SELECT i, r, g, ?1, t, at, ?2 FROM nodes_in ORDER BY g, r \
     ON CONFLICT (group_id, domain_id, reference_id) DO UPDATE SET type = excluded.type, \
     updated_at = greatest(excluded.updated_at, nodes.updated_at + interval '1 millisecond') \
     WHERE nodes.id = excluded.id AND date_trunc('milliseconds', nodes.updated_at) = excluded.created_at \
     RETURNING xmax) SELECT count(*) FILTER (WHERE xmax = 0), count(*) FROM merged";

/// Makes and changes metadata of nodes that were there.
const DESCRIBE: &str = "INSERT INTO node_metadata (node_id, metadata_key, metadata_value) SELECT i, k, v FROM metadata_in \
     ON CONFLICT (node_id, metadata_key) DO UPDATE SET metadata_value = excluded.metadata_value";

/// A node as it is stored, beside its row.
#[derive(Debug)]
struct Stored<'r> {
    id: String,
    kind: String,
    /// When it was changed, in milliseconds.
    changed: i64,
    /// Metadata that the row says, too.
    same: BTreeSet<&'r str>,
}

/// A row whose node is missing or differs.
#[derive(Debug)]
struct Change<'r> {
    row: &'r NodeRow,
    /// The node's id, now or soon.
    id: &'r str,
    stored: Option<&'r Stored<'r>>,
}

impl<'r> Change<'r> {
    fn differs(&self) -> bool {
        self.stored.is_none_or(|stored| {
            self.row.kind.is_some_and(|kind| kind != stored.kind) || stored.same.len() < self.row.metadata.len()
        })
    }

    /// Metadata that is missing or differs.
    fn metadata(&self) -> impl Iterator<Item = [Value<'r>; 3]> + use<'r> {
        let (id, stored) = (self.id, self.stored);
        let differs = move |key: &str| stored.is_none_or(|stored| !stored.same.contains(key));
        let metadata = self.row.metadata.iter().filter(move |(key, _)| differs(key));
        metadata.map(move |(key, value)| [id, key, value].map(Value::Text))
    }
}

pub(super) fn write(
    session: &Session<'_>,
    domain: &str,
    rows: &[NodeRow],
    groups: &BTreeMap<&str, String>,
    now: i64,
) -> Result<Written, SqlError> {
    session.batch(PREPARE)?;
    let group = |row: &NodeRow| Value::from(groups.get(row.group.as_str()).map(String::as_str));
    let keys: Vec<_> =
        rows.iter().map(|row| vec![group(row), Value::Text(domain), Value::Text(&row.reference)]).collect();
    let new: Vec<String> = rows.iter().map(|_| Uuid::now_v7().to_string()).collect();
    let (missing, changes) = loop {
        let stored = find(session, rows, &keys)?;
        let missing = rows.len().saturating_sub(stored.len()) as u64;
        let changes: Vec<_> = (1..)
            .zip(rows)
            .zip(&new)
            .map(|((number, row), new)| {
                let stored = stored.get(&number);
                Change { row, id: stored.map_or(new, |stored| &stored.id), stored }
            })
            .filter(Change::differs)
            .collect();
        // Whoever was quicker has got on, so not everybody is overtaken for ever; and time is limited.
        match session.attempt(|| merge(session, (domain, groups), &changes, missing, now))? {
            Err(error) if error.is_overtaken() => {}
            done => break done.map(|()| (missing, changes.len() as u64))?,
        }
    };
    Ok(Written { inserted: missing, updated: changes - missing, unchanged: rows.len() as u64 - changes })
}

/// What is stored, by the number of its row, from 1.
fn find<'r>(
    session: &Session<'_>,
    rows: &'r [NodeRow],
    keys: &[Vec<Value<'_>>],
) -> Result<BTreeMap<u32, Stored<'r>>, SqlError> {
    let found = session.query_set(FIND, &[CopyType::Uuid, CopyType::Text, CopyType::Text], keys, |found| {
        let number: u32 = found.get(0)?;
        let row = number.checked_sub(1).and_then(|at| rows.get(at as usize));
        let row = row.ok_or_else(|| SqlError::Unreadable(format!("there is no row {number}")))?;
        let stored = found.texts(4)?.into_iter().zip(found.texts(5)?);
        let same = stored.filter_map(|(key, value)| {
            let (key, new) = row.metadata.get_key_value(key)?;
            (new == value).then_some(key.as_str())
        });
        let same = same.collect();
        Ok((number, Stored { id: found.get(1)?, kind: found.get(2)?, changed: found.get(3)?, same }))
    })?;
    Ok(found.into_iter().collect())
}

/// Writes what differs, of which so many nodes are missing.
fn merge(
    session: &Session<'_>,
    (domain, groups): (&str, &BTreeMap<&str, String>),
    changes: &[Change<'_>],
    missing: u64,
    now: i64,
) -> Result<(), SqlError> {
    if changes.is_empty() {
        return Ok(());
    }
    let begun = Instant::now();
    let sent = session.copy_in(
        "COPY nodes_in (i, g, r, t, at) FROM STDIN (FORMAT binary)",
        &[CopyType::Uuid, CopyType::Uuid, CopyType::Text, CopyType::Text, CopyType::Time],
        changes.iter().map(|change| {
            let stored = change.stored.map(|stored| (stored.kind.as_str(), stored.changed));
            let (kind, at) = stored.unwrap_or((DEFAULT_NODE_KIND, now));
            let group = groups.get(change.row.group.as_str()).map(String::as_str);
            [
                Value::Text(change.id),
                Value::from(group),
                Value::Text(&change.row.reference),
                Value::Text(change.row.kind.unwrap_or(kind)),
                Value::Int(at),
            ]
        }),
    )?;
    events::nodes_copied(begun.elapsed());
    let begun = Instant::now();
    let merged: (u64, u64) = session.one(MERGE, values![domain, now], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if merged != (missing, sent) {
        return Err(SqlError::Overtaken);
    }
    let types = [CopyType::Uuid, CopyType::Text, CopyType::Text];
    let made = changes.iter().filter(|change| change.stored.is_none()).flat_map(Change::metadata);
    session.copy_in(
        "COPY node_metadata (node_id, metadata_key, metadata_value) FROM STDIN (FORMAT binary)",
        &types,
        made,
    )?;
    let others = changes.iter().filter(|change| change.stored.is_some()).flat_map(Change::metadata);
    if session.copy_in("COPY metadata_in (i, k, v) FROM STDIN (FORMAT binary)", &types, others)? > 0 {
        session.execute(DESCRIBE, &[])?;
    }
    events::nodes_merged(begun.elapsed());
    Ok(())
}
