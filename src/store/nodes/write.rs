//! Writes batches: row by row with prepared statements where the engine is a file, set by set where it is a server.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use uuid::Uuid;

use super::{Batch, NodeRow};
use crate::model::RowCounts;
use crate::store::imports::{self, Number, PieceEnd, Turn};
use crate::store::sql::{Engine, Session, SqlError, values};

/// What became of a batch's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// New nodes.
    pub inserted: u64,
    /// Nodes whose type or metadata changed.
    pub updated: u64,
    /// The others.
    pub unchanged: u64,
}

/// Writes a batch as the piece of its file's import batch (`file`, which has to be `owner`'s) and counts it.
pub fn batch(
    session: &Session<'_>,
    (file, owner): (Number, Option<&str>),
    domain: &str,
    batch: &Batch,
    now: i64,
) -> Result<(Turn, Written), SqlError> {
    // First, so that two runs of one file wait here for each other instead of doing the work twice.
    let turn = imports::begin_piece(session, file, owner, batch.number)?;
    if turn != Turn::Ours {
        return Ok((turn, Written::default()));
    }
    let written = nodes(session, domain, &batch.rows, now)?;
    let rows = RowCounts {
        inserted: written.inserted,
        updated: written.updated,
        unchanged: written.unchanged,
        duplicates: batch.duplicates,
        failed: batch.failures.len() as u64,
    };
    let end = PieceEnd { rows, bytes: batch.position.0, lines: batch.position.1 };
    imports::end_piece(session, file, batch.number, &end, batch.failures.clone(), now)?;
    Ok((turn, written))
}

/// Writes nodes with their metadata. The rows are sorted by key, so that two batches cannot wait for each other.
pub fn nodes(session: &Session<'_>, domain: &str, rows: &[NodeRow], now: i64) -> Result<Written, SqlError> {
    if rows.is_empty() {
        return Ok(Written::default());
    }
    if !session.exists("SELECT 1 FROM domains WHERE id = ?1", values![domain])? {
        session.execute(
            "INSERT INTO domains (id, created_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            values![domain, now],
        )?;
    }
    let groups = groups(session, domain, rows, now)?;
    match session.engine() {
        Engine::Sqlite => one_by_one(session, domain, rows, &groups, now),
        Engine::Postgres => as_sets(session, domain, rows, &groups, now),
    }
}

/// Ids of the rows' groups, made where there are none.
fn groups<'r>(
    session: &Session<'_>,
    domain: &str,
    rows: &'r [NodeRow],
    now: i64,
) -> Result<HashMap<&'r str, String>, SqlError> {
    let mut ids = HashMap::new();
    for row in rows {
        if ids.contains_key(row.group.as_str()) {
            continue;
        }
        let find = "SELECT CAST(id AS TEXT) FROM matching_groups WHERE domain_id = ?1 AND name = ?2";
        let key = values![domain, &row.group];
        let known = session.first(find, key, |row| row.get(0))?;
        let id = if let Some(id) = known {
            id
        } else {
            session.execute(
                "INSERT INTO matching_groups (id, domain_id, name, created_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO NOTHING",
                values![&Uuid::now_v7().to_string(), domain, &row.group, now],
            )?;
            session.one(find, key, |row| row.get(0))?
        };
        ids.insert(row.group.as_str(), id);
    }
    Ok(ids)
}

fn one_by_one(
    session: &Session<'_>,
    domain: &str,
    rows: &[NodeRow],
    groups: &HashMap<&str, String>,
    now: i64,
) -> Result<Written, SqlError> {
    let mut written = Written::default();
    for row in rows {
        let group = &groups[row.group.as_str()];
        let known: Option<(String, String)> = session.first(
            "SELECT id, type FROM nodes WHERE group_id = ?1 AND domain_id = ?2 AND reference_id = ?3",
            values![group, domain, &row.reference],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let (id, mut changed) = match known {
            None => {
                let id = Uuid::now_v7().to_string();
                session.execute(
                    "INSERT INTO nodes (id, reference_id, group_id, domain_id, type, created_at, updated_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
                    values![&id, &row.reference, group, domain, row.kind, now],
                )?;
                session.execute_many(
                    "INSERT INTO node_metadata (node_id, metadata_key, metadata_value) VALUES (?1, ?2, ?3)",
                    row.metadata.iter().map(|(key, value)| vec![(&id).into(), key.into(), value.into()]),
                )?;
                written.inserted += 1;
                continue;
            }
            Some((id, kind)) => (id, kind != row.kind),
        };
        changed |= session.execute_many(
            "INSERT INTO node_metadata (node_id, metadata_key, metadata_value) VALUES (?1, ?2, ?3)
             ON CONFLICT (node_id, metadata_key) DO UPDATE SET metadata_value = excluded.metadata_value
             WHERE node_metadata.metadata_value <> excluded.metadata_value",
            row.metadata.iter().map(|(key, value)| vec![(&id).into(), key.into(), value.into()]),
        )? > 0;
        if changed {
            session
                .execute("UPDATE nodes SET type = ?2, updated_at = ?3 WHERE id = ?1", values![&id, row.kind, now])?;
            written.updated += 1;
        } else {
            written.unchanged += 1;
        }
    }
    Ok(written)
}

/// A row on its way to a server.
#[derive(Serialize)]
struct Sent<'a> {
    i: Uuid,
    g: &'a str,
    r: &'a str,
    t: &'a str,
    m: &'a BTreeMap<String, String>,
}

/// The batch as a table, from the one parameter it is sent as.
const INPUT: &str =
    "jsonb_to_recordset(CAST(CAST(?1 AS text) AS jsonb)) AS input (i uuid, g uuid, r text, t text, m jsonb)";

fn as_sets(
    session: &Session<'_>,
    domain: &str,
    rows: &[NodeRow],
    groups: &HashMap<&str, String>,
    now: i64,
) -> Result<Written, SqlError> {
    let sent: Vec<_> = rows
        .iter()
        .map(|row| Sent {
            i: Uuid::now_v7(),
            g: &groups[row.group.as_str()],
            r: &row.reference,
            t: row.kind,
            m: &row.metadata,
        })
        .collect();
    let sent = serde_json::to_string(&sent).map_err(|error| SqlError::Refused(error.to_string()))?;
    let mut inserted = std::collections::HashSet::new();
    let mut touched = std::collections::HashSet::new();
    session.query(
        &format!(
            "INSERT INTO nodes (id, reference_id, group_id, domain_id, type, created_at, updated_at)
             SELECT input.i, input.r, input.g, ?2, input.t, ?3, ?3 FROM {INPUT} ORDER BY input.g, input.r COLLATE \"C\"
             ON CONFLICT (group_id, domain_id, reference_id) DO UPDATE
             SET type = excluded.type, updated_at = excluded.updated_at WHERE nodes.type <> excluded.type
             RETURNING CAST(id AS text), xmax = 0"
        ),
        values![&sent, domain, now],
        |row| {
            let (id, new): (String, bool) = (row.get(0)?, row.get(1)?);
            if new {
                inserted.insert(id);
            } else {
                touched.insert(id);
            }
            Ok(())
        },
    )?;
    let described: Vec<String> = session.query(
        &format!(
            "WITH written AS (
                 INSERT INTO node_metadata (node_id, metadata_key, metadata_value)
                 SELECT nodes.id, pair.key, pair.value FROM {INPUT}
                 JOIN nodes ON nodes.group_id = input.g AND nodes.domain_id = ?2 AND nodes.reference_id = input.r
                 CROSS JOIN LATERAL jsonb_each_text(input.m) AS pair ORDER BY nodes.id, pair.key COLLATE \"C\"
                 ON CONFLICT (node_id, metadata_key) DO UPDATE SET metadata_value = excluded.metadata_value
                 WHERE node_metadata.metadata_value <> excluded.metadata_value
                 RETURNING node_id)
             SELECT DISTINCT CAST(node_id AS text) FROM written"
        ),
        values![&sent, domain],
        |row| row.get(0),
    )?;
    let described: Vec<_> = described.into_iter().filter(|id| !inserted.contains(id)).collect();
    session.execute_many(
        "UPDATE nodes SET updated_at = ?2 WHERE id = ?1",
        described.iter().filter(|id| !touched.contains(*id)).map(|id| vec![id.into(), now.into()]),
    )?;
    touched.extend(described);
    let (inserted, updated) = (inserted.len() as u64, touched.len() as u64);
    Ok(Written { inserted, updated, unchanged: rows.len() as u64 - inserted - updated })
}
