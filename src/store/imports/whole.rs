//! Imports that begin and end in one transaction, many at a time: what small messages ask for. Their rows go to the
//! store kind by kind, so that a server is not asked several times for each.

use super::bulk::insert_failed;
use super::{FailedRow, NewImport, Number};
use crate::model::{ImportStatus, RowCounts};
use crate::store::sql::{Session, SqlError, signed};

/// An import of one batch of one piece, at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The import.
    pub import: NewImport,
    /// The batch's id.
    pub batch: String,
    /// How both ended.
    pub status: ImportStatus,
    /// Why it is no better.
    pub reason: Option<String>,
    /// What became of its rows.
    pub rows: RowCounts,
    /// Those that are not in.
    pub failed: Vec<FailedRow>,
    /// Its only event: JSON.
    pub event: String,
}

/// Adds imports that have ended; their batches' numbers.
pub fn insert_whole(session: &Session<'_>, wholes: &[Whole], now: i64) -> Result<Vec<Number>, SqlError> {
    let numbers = session.insert_many(
        "INSERT INTO import_record (id, source, processor, notes, collision, process, status, reason, \
         idempotency_key, batches, events, finalised_at, created_at, updated_at, ended_at, format, options) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, 1, ?10, ?10, ?10, ?10, ?11, ?12) RETURNING number",
        wholes.iter().map(|Whole { import, status, reason, .. }| {
            vec![
                (&import.id).into(),
                (&import.source).into(),
                (&import.processor).into(),
                (&import.notes).into(),
                import.collision.as_str().into(),
                import.process.as_str().into(),
                status.as_str().into(),
                reason.into(),
                (&import.idempotency_key).into(),
                now.into(),
                import.format.as_str().into(),
                (&import.options).into(),
            ]
        }),
    )?;
    let rows = wholes.iter().zip(&numbers).map(|(whole, number)| {
        let counts = whole.rows.as_results();
        Ok(vec![
            (&whole.batch).into(),
            (*number).into(),
            whole.status.as_str().into(),
            (&whole.reason).into(),
            signed(whole.rows.total())?.into(),
            signed(counts.completed)?.into(),
            signed(counts.unchanged)?.into(),
            signed(counts.failed)?.into(),
            now.into(),
        ])
    });
    let batches = session.insert_many(
        "INSERT INTO import_batch (id, import, ordinal, status, reason, received, records, completed, unchanged, failed, \
         position_bytes, position_lines, created_at, updated_at, ended_at, runner, piece_rows) \
         VALUES (?1, ?2, 1, ?3, ?4, TRUE, ?5, ?6, ?7, ?8, 0, 0, ?9, ?9, ?9, 'worker', 1000) RETURNING number",
        rows.collect::<Result<Vec<_>, SqlError>>()?,
    )?;
    let pieces = wholes.iter().zip(&batches).map(|(Whole { rows, .. }, batch)| {
        Ok(vec![
            (*batch).into(),
            signed(rows.inserted)?.into(),
            signed(rows.updated)?.into(),
            signed(rows.unchanged)?.into(),
            signed(rows.duplicates)?.into(),
            signed(rows.failed)?.into(),
            signed(rows.total())?.into(),
        ])
    });
    session.execute_many(
        "INSERT INTO bulk_piece (batch, number, inserted, updated, unchanged, duplicates, failed, position_lines) \
         VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7)",
        pieces.collect::<Result<Vec<_>, SqlError>>()?,
    )?;
    session.execute_many(
        "INSERT INTO import_event (import, id, type, data, created_at) VALUES (?1, 1, 'import', ?2, ?3)",
        wholes.iter().zip(&numbers).map(|(whole, number)| vec![(*number).into(), (&whole.event).into(), now.into()]),
    )?;
    for (whole, batch) in wholes.iter().zip(&batches) {
        insert_failed(session, *batch, whole.failed.clone(), now)?;
    }
    Ok(batches)
}
