//! Nodes into a server as sets: copied into tables of the connection's own, then brought in by a few statements.
//!
//! What is there is read first, so that what is there exactly so costs no write; what differs is then changed where it
//! was read. If somebody else was quicker, the changes are undone and what is there is read again. Two that write the
//! same nodes at once never wait for each other in a circle: each first makes nodes that are missing, then metadata that
//! is missing, then changes metadata, then nodes, and each of these in the order of keys.

use std::collections::BTreeMap;
use std::time::Instant;

use uuid::Uuid;

use super::{NodeRow, Written};
use crate::model::DEFAULT_NODE_KIND;
use crate::observe::events;
use crate::store::sql::{CopyType, Session, SqlError, Value, values};

/// Tables of the connection's own, kept for its life and emptied by each commit. An `at` is where a row is.
///
/// What the server believes about their size, and about that of the large ones when it plans, is never of this batch. So
/// no statement leaves it a choice: each looks the rows of a large table up one by one, in a sub-select with a limit or
/// by where they are. To have it plan each statement anew is no way out: it would do so for the check of every single
/// row's foreign key, too, which doubles the time.
const PREPARE: &str = "CREATE TEMP TABLE IF NOT EXISTS nodes_in (n int NOT NULL, i uuid NOT NULL, g uuid NOT NULL, \
     r text COLLATE \"C\" NOT NULL, t text) ON COMMIT DELETE ROWS; \
     CREATE TEMP TABLE IF NOT EXISTS found_in (n int NOT NULL, i uuid NOT NULL) ON COMMIT DELETE ROWS; \
     CREATE TEMP TABLE IF NOT EXISTS metadata_in (i uuid NOT NULL, k text COLLATE \"C\" NOT NULL, v text NOT NULL, \
     at text NOT NULL) ON COMMIT DELETE ROWS; \
     CREATE TEMP TABLE IF NOT EXISTS changed_in (i uuid NOT NULL, t text, at text NOT NULL) ON COMMIT DELETE ROWS";

/// Nodes that are there, but for those that this batch has made.
const FIND: &str = "SELECT nodes_in.n, CAST(o.id AS text), o.type, CAST(o.at AS text) FROM nodes_in CROSS JOIN LATERAL \
     (SELECT id, type, ctid AS at FROM nodes WHERE group_id = nodes_in.g AND domain_id = ?1 \
     AND reference_id = nodes_in.r LIMIT 1) o WHERE o.id <> nodes_in.i";

/// Nodes that are missing.
const INSERT: &str = "INSERT INTO nodes (id, reference_id, group_id, domain_id, type, created_at, updated_at) \
     SELECT i, r, g, ?1, coalesce(t, ?2), ?3, ?3 FROM nodes_in ORDER BY g, r ON CONFLICT DO NOTHING";

/// Their metadata. (`OFFSET` keeps the planner from making another join of it.)
const READ: &str = "SELECT found_in.n, o.metadata_key, o.metadata_value, CAST(o.at AS text) \
     FROM found_in CROSS JOIN LATERAL (SELECT metadata_key, metadata_value, ctid AS at FROM node_metadata \
     WHERE node_id = found_in.i OFFSET 0) o";

/// Changes metadata where it was read. (A condition that is no equation is none to find rows by.)
const DESCRIBE: &str = "UPDATE node_metadata o SET metadata_value = m.v FROM metadata_in m WHERE o.ctid = CAST(m.at AS tid) \
     AND (o.node_id, o.metadata_key) IS NOT DISTINCT FROM (m.i, m.k)";

/// Changes nodes where they were read.
const TOUCH: &str = "UPDATE nodes o SET type = coalesce(m.t, o.type), updated_at = ?1 FROM changed_in m \
     WHERE o.ctid = CAST(m.at AS tid) AND o.id IS NOT DISTINCT FROM m.i";

/// A row of the batch whose node is there.
#[derive(Debug)]
struct Known<'r> {
    id: String,
    kind: String,
    /// Where the node is.
    at: String,
    row: &'r NodeRow,
    /// Metadata that is missing.
    added: BTreeMap<&'r str, &'r str>,
    /// Metadata that is another now, and where it is.
    changed: BTreeMap<&'r str, (&'r str, String)>,
}

impl Known<'_> {
    /// Its new type, if that is another.
    fn new_kind(&self) -> Option<&'static str> {
        self.row.kind.filter(|kind| *kind != self.kind)
    }

    fn changes(&self) -> bool {
        !self.added.is_empty() || !self.changed.is_empty() || self.new_kind().is_some()
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
    let begun = Instant::now();
    let ids: Vec<String> = rows.iter().map(|_| Uuid::now_v7().to_string()).collect();
    session.copy_in(
        "COPY nodes_in (n, i, g, r, t) FROM STDIN (FORMAT binary)",
        &[CopyType::Int4, CopyType::Uuid, CopyType::Uuid, CopyType::Text, CopyType::Text],
        (0..).zip(rows).zip(&ids).map(|((number, row), id)| {
            let group = groups.get(row.group.as_str()).map(String::as_str);
            [
                Value::Int(number),
                Value::Text(id),
                Value::from(group),
                Value::Text(&row.reference),
                Value::from(row.kind),
            ]
        }),
    )?;
    events::nodes_copied(begun.elapsed());
    let begun = Instant::now();
    let mut found = find(session, domain, rows)?;
    let missing = rows.len().saturating_sub(found.len()) as u64;
    let mut inserted = 0;
    if missing > 0 {
        inserted = session.execute(INSERT, values![domain, DEFAULT_NODE_KIND, now])?;
        if inserted < missing {
            // Somebody else has made some of them meanwhile.
            found = find(session, domain, rows)?;
        }
        // What is new has no metadata yet: nothing can be in its way.
        let new = (0..).zip(rows.iter().zip(&ids)).filter(|(number, _)| !found.contains_key(number));
        session.copy_in(
            "COPY node_metadata (node_id, metadata_key, metadata_value) FROM STDIN (FORMAT binary)",
            &[CopyType::Uuid, CopyType::Text, CopyType::Text],
            new.flat_map(|(_, (row, id))| row.metadata.iter().map(|(key, value)| texts([id, key, value]))),
        )?;
    }
    let updated = loop {
        if found.is_empty() {
            break 0;
        }
        let known = std::mem::take(&mut found);
        match session.attempt(|| change(session, known, now))? {
            Ok(changed) => break changed,
            // Whoever was quicker has got on, so not everybody is overtaken for ever; and time is limited.
            Err(error) if error.is_overtaken() => found = find(session, domain, rows)?,
            Err(error) => return Err(error),
        }
    };
    events::nodes_merged(begun.elapsed());
    let unchanged = (rows.len() as u64).saturating_sub(inserted + updated);
    Ok(Written { inserted, updated, unchanged })
}

fn texts<const N: usize>(texts: [&str; N]) -> [Value<'_>; N] {
    texts.map(Value::Text)
}

/// Rows whose nodes are there, by their number.
fn find<'r>(session: &Session<'_>, domain: &str, rows: &'r [NodeRow]) -> Result<BTreeMap<u32, Known<'r>>, SqlError> {
    let found = session.query(FIND, values![domain], |found| {
        let number: u32 = found.get(0)?;
        let row = rows.get(number as usize).ok_or_else(|| SqlError::Unreadable(format!("there is no row {number}")))?;
        let added = row.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let (id, kind, at) = (found.get(1)?, found.get(2)?, found.get(3)?);
        Ok((number, Known { id, kind, at, row, added, changed: BTreeMap::new() }))
    })?;
    Ok(found.into_iter().collect())
}

/// Changes what differs; how many nodes that were.
fn change(session: &Session<'_>, mut found: BTreeMap<u32, Known<'_>>, now: i64) -> Result<u64, SqlError> {
    session.copy_in(
        "COPY found_in (n, i) FROM STDIN (FORMAT binary)",
        &[CopyType::Int4, CopyType::Uuid],
        found.iter().map(|(number, known)| [Value::from(*number), Value::Text(&known.id)]),
    )?;
    session.query(READ, &[], |read| {
        let known = found.get_mut(&read.get(0)?);
        if let Some(known) = known
            && let Some((key, value)) = known.added.remove_entry(read.text(1)?)
            && value != read.text(2)?
        {
            known.changed.insert(key, (value, read.get(3)?));
        }
        Ok(())
    })?;
    let mut changed: Vec<_> = found.into_values().filter(Known::changes).collect();
    changed.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    if changed.is_empty() {
        return Ok(0);
    }
    session.copy_in(
        "COPY node_metadata (node_id, metadata_key, metadata_value) FROM STDIN (FORMAT binary)",
        &[CopyType::Uuid, CopyType::Text, CopyType::Text],
        changed.iter().flat_map(|known| known.added.iter().map(|(key, value)| texts([&known.id, key, value]))),
    )?;
    let sent = session.copy_in(
        "COPY metadata_in (i, k, v, at) FROM STDIN (FORMAT binary)",
        &[CopyType::Uuid, CopyType::Text, CopyType::Text, CopyType::Text],
        changed
            .iter()
            .flat_map(|known| known.changed.iter().map(|(key, (value, at))| texts([&known.id, key, value, at]))),
    )?;
    all(session.execute(DESCRIBE, &[])?, sent)?;
    let sent = session.copy_in(
        "COPY changed_in (i, t, at) FROM STDIN (FORMAT binary)",
        &[CopyType::Uuid, CopyType::Text, CopyType::Text],
        changed.iter().map(|known| [Value::Text(&known.id), Value::from(known.new_kind()), Value::Text(&known.at)]),
    )?;
    all(session.execute(TOUCH, values![now])?, sent)?;
    Ok(sent)
}

/// A row that is not where it was read has been changed by somebody else.
fn all(changed: u64, sent: u64) -> Result<(), SqlError> {
    if changed == sent { Ok(()) } else { Err(SqlError::Overtaken) }
}
