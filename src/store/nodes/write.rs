//! Writes batches: row by row with prepared statements where the engine is a file, as sets ([`super::sets`]) where it is
//! a server.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{Batch, NodeRow, group_ids};
use crate::model::{DEFAULT_NODE_KIND, RowCounts};
use crate::observe::events;
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
    limit: Duration,
    now: i64,
) -> Result<(Turn, Written), SqlError> {
    // First, so that two runs of one file wait here for each other instead of doing the work twice.
    let turn = imports::begin_piece(session, file, owner, batch.number)?;
    if turn != Turn::Ours {
        return Ok((turn, Written::default()));
    }
    let written = nodes(session, domain, &batch.rows, limit, now)?;
    let rows = RowCounts {
        inserted: written.inserted,
        updated: written.updated,
        unchanged: written.unchanged,
        duplicates: batch.duplicates,
        failed: batch.failures.len() as u64,
    };
    let end = PieceEnd { rows, bytes: batch.position.0, lines: batch.position.1 };
    imports::end_piece(session, file, batch.number, &end, batch.failures.clone(), now)?;
    imports::keep_told(session, file, batch.number, &batch.told)?;
    Ok((turn, written))
}

/// Writes nodes with their metadata, within `limit`. The rows are sorted by key, so that two batches cannot wait for each
/// other.
pub fn nodes(
    session: &Session<'_>,
    domain: &str,
    rows: &[NodeRow],
    limit: Duration,
    now: i64,
) -> Result<Written, SqlError> {
    if rows.is_empty() {
        return Ok(Written::default());
    }
    session.end_within(limit)?;
    let names = rows.iter().map(|row| row.group.as_str()).collect();
    let groups = group_ids(session, domain, &names, now)?;
    let begun = Instant::now();
    let done = match session.engine() {
        Engine::Sqlite => one_by_one(session, domain, rows, &groups, (limit, now)),
        Engine::Postgres => super::sets::write(session, domain, rows, &groups, now),
    };
    if done.is_err() && begun.elapsed() >= limit {
        events::node_batch_timed_out(limit);
    }
    done
}

fn one_by_one(
    session: &Session<'_>,
    domain: &str,
    rows: &[NodeRow],
    groups: &BTreeMap<&str, String>,
    (limit, now): (Duration, i64),
) -> Result<Written, SqlError> {
    let mut written = Written::default();
    let begun = Instant::now();
    for row in rows {
        if begun.elapsed() > limit {
            return Err(SqlError::Slow(limit));
        }
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
                    values![&id, &row.reference, group, domain, row.kind.unwrap_or(DEFAULT_NODE_KIND), now],
                )?;
                session.execute_many(
                    "INSERT INTO node_metadata (node_id, metadata_key, metadata_value) VALUES (?1, ?2, ?3)",
                    row.metadata.iter().map(|(key, value)| vec![(&id).into(), key.into(), value.into()]),
                )?;
                written.inserted += 1;
                continue;
            }
            Some((id, kind)) => {
                let changed = row.kind.is_some_and(|new| kind != new);
                (id, changed)
            }
        };
        changed |= session.execute_many(
            "INSERT INTO node_metadata (node_id, metadata_key, metadata_value) VALUES (?1, ?2, ?3)
             ON CONFLICT (node_id, metadata_key) DO UPDATE SET metadata_value = excluded.metadata_value
             WHERE node_metadata.metadata_value <> excluded.metadata_value",
            row.metadata.iter().map(|(key, value)| vec![(&id).into(), key.into(), value.into()]),
        )? > 0;
        if changed {
            session.execute(
                "UPDATE nodes SET type = coalesce(?2, type), updated_at = ?3 WHERE id = ?1",
                values![&id, row.kind, now],
            )?;
            written.updated += 1;
        } else {
            written.unchanged += 1;
        }
    }
    Ok(written)
}
