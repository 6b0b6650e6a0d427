//! Nodes into a server as sets: copied into a table of the connection's own, then brought in by a few statements.
//!
//! Two that write the same nodes at once never wait for each other in a circle: each first makes what is missing, then
//! writes metadata, then changes nodes, and each of these in the order of keys. What is there exactly so costs no write.

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
/// no statement leaves it a choice: each looks the rows of a large table up one by one, in a sub-select with a limit or
/// by an array. To have it plan each statement anew is no way out: it would do so for the check of every single
/// row's foreign key, too, which doubles the time.
const PREPARE: &str = "CREATE TEMP TABLE IF NOT EXISTS nodes_in (n int NOT NULL, i uuid NOT NULL, g uuid NOT NULL, \
     r text COLLATE \"C\" NOT NULL, t text) ON COMMIT DELETE ROWS; \
     CREATE TEMP TABLE IF NOT EXISTS metadata_in (i uuid NOT NULL, k text COLLATE \"C\" NOT NULL, v text NOT NULL) \
     ON COMMIT DELETE ROWS; \
     CREATE TEMP TABLE IF NOT EXISTS touched_in (i uuid NOT NULL, t text) ON COMMIT DELETE ROWS";

/// Nodes that are missing.
const INSERT: &str = "INSERT INTO nodes (id, reference_id, group_id, domain_id, type, created_at, updated_at) \
     SELECT i, r, g, ?1, coalesce(t, ?2), ?3, ?3 FROM nodes_in ORDER BY g, r ON CONFLICT DO NOTHING";

/// All of them, ours and those that were there.
const FIND: &str = "SELECT nodes_in.n, CAST(o.id AS text), o.id = nodes_in.i, o.type FROM nodes_in CROSS JOIN LATERAL \
     (SELECT id, type FROM nodes WHERE group_id = nodes_in.g AND domain_id = ?1 AND reference_id = nodes_in.r LIMIT 1) o";

/// Metadata of nodes that were there, as far as it is new or other; whose it is.
const DESCRIBE: &str = "INSERT INTO node_metadata (node_id, metadata_key, metadata_value) \
     SELECT m.i, m.k, m.v FROM metadata_in m LEFT JOIN LATERAL \
     (SELECT metadata_value FROM node_metadata WHERE node_id = m.i AND metadata_key = m.k LIMIT 1) o ON TRUE \
     WHERE o.metadata_value IS DISTINCT FROM m.v ORDER BY m.i, m.k \
     ON CONFLICT (node_id, metadata_key) DO UPDATE SET metadata_value = excluded.metadata_value \
     WHERE node_metadata.metadata_value <> excluded.metadata_value \
     RETURNING CAST(node_id AS text)";

/// Locks nodes whose type or metadata is another now, in the order of their ids.
const LOCK: &str = "SELECT count(*) FROM (SELECT i FROM touched_in ORDER BY i) t CROSS JOIN LATERAL \
     (SELECT id FROM nodes WHERE id = t.i FOR NO KEY UPDATE) locked";

/// Writes those of them that get this type, or keep theirs.
const TOUCH: &str = "UPDATE nodes SET type = coalesce(?1, type), updated_at = ?2 \
     WHERE id = ANY (ARRAY(SELECT i FROM touched_in WHERE t IS NOT DISTINCT FROM ?1))";

const PAIR: [CopyType; 3] = [CopyType::Uuid, CopyType::Text, CopyType::Text];

pub(super) fn write(
    session: &Session<'_>,
    domain: &str,
    rows: &[NodeRow],
    groups: &BTreeMap<&str, String>,
    now: i64,
) -> Result<Written, SqlError> {
    session.batch(PREPARE)?;
    let begun = Instant::now();
    let mut ids: Vec<String> = rows.iter().map(|_| Uuid::now_v7().to_string()).collect();
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
    let inserted = session.execute(INSERT, values![domain, DEFAULT_NODE_KIND, now])?;
    let mut old = vec![None; rows.len()];
    if inserted < rows.len() as u64 {
        session.query(FIND, values![domain], |row| {
            let number: usize = row.get::<u32>(0)?.try_into().unwrap_or(usize::MAX);
            if !row.get::<bool>(2)?
                && let (Some(id), Some(old)) = (ids.get_mut(number), old.get_mut(number))
            {
                *id = row.get(1)?;
                *old = Some(row.get::<String>(3)?);
            }
            Ok(())
        })?;
    }
    let all = || rows.iter().zip(&ids).zip(&old);
    // What is new has no metadata yet: nothing can be in its way.
    let new = all().filter(|(_, old)| old.is_none()).flat_map(|((row, id), _)| pairs(row, id));
    session.copy_in(
        "COPY node_metadata (node_id, metadata_key, metadata_value) FROM STDIN (FORMAT binary)",
        &PAIR,
        new,
    )?;
    let updated = if inserted < rows.len() as u64 {
        let known = all().filter(|(_, old)| old.is_some()).flat_map(|((row, id), _)| pairs(row, id));
        session.copy_in("COPY metadata_in (i, k, v) FROM STDIN (FORMAT binary)", &PAIR, known)?;
        let mut touched: BTreeSet<String> = session.query(DESCRIBE, &[], |row| row.get(0))?.into_iter().collect();
        let changed =
            |row: &NodeRow, old: &Option<String>| row.kind.filter(|kind| old.as_ref().is_some_and(|old| old != kind));
        let kinds: BTreeMap<&str, &str> =
            all().filter_map(|((row, id), old)| Some((id.as_str(), changed(row, old)?))).collect();
        touched.extend(kinds.keys().map(|id| (*id).to_owned()));
        touch(session, &touched, &kinds, now)?;
        touched.len() as u64
    } else {
        0
    };
    events::nodes_merged(begun.elapsed());
    let unchanged = (rows.len() as u64).saturating_sub(inserted + updated);
    Ok(Written { inserted, updated, unchanged })
}

fn pairs<'r>(row: &'r NodeRow, id: &'r str) -> impl Iterator<Item = [Value<'r>; 3]> {
    row.metadata.iter().map(move |(key, value)| [Value::Text(id), Value::Text(key), Value::Text(value)])
}

fn touch(
    session: &Session<'_>,
    touched: &BTreeSet<String>,
    kinds: &BTreeMap<&str, &str>,
    now: i64,
) -> Result<(), SqlError> {
    if touched.is_empty() {
        return Ok(());
    }
    session.copy_in(
        "COPY touched_in (i, t) FROM STDIN (FORMAT binary)",
        &[CopyType::Uuid, CopyType::Text],
        touched.iter().map(|id| [Value::Text(id), Value::from(kinds.get(id.as_str()).copied())]),
    )?;
    session.one(LOCK, &[], |row| row.get::<i64>(0))?;
    let kept = (kinds.len() < touched.len()).then_some(None);
    let types: BTreeSet<Option<&str>> = kinds.values().copied().map(Some).chain(kept).collect();
    for kind in types {
        session.execute(TOUCH, values![kind, now])?;
    }
    Ok(())
}
