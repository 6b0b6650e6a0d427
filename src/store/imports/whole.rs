//! Imports that begin and end in one transaction, many at a time: what small messages ask for. Their rows go to the
//! store kind by kind, so that a server is not asked several times for each.

use std::collections::HashMap;

use super::bulk::{ids_as_text, insert_failed};
use super::{FailedRow, NewImport, Number, Runner};
use crate::model::{ImportStatus, RowCounts};
use crate::store::sql::{Columns, CopyType, Session, SqlError, Value, signed};

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
    /// Ids of those that are in, to be told; empty = they are not kept.
    pub told: Vec<String>,
    /// Its only event: JSON.
    pub event: String,
}

const RECORD: (&str, &Columns<'static>) = (
    "import_record",
    &[
        ("id", CopyType::Uuid),
        ("source", CopyType::Text),
        ("processor", CopyType::Text),
        ("notes", CopyType::Text),
        ("collision", CopyType::Text),
        ("process", CopyType::Text),
        ("status", CopyType::Text),
        ("reason", CopyType::Text),
        ("idempotency_key", CopyType::Text),
        ("batches", CopyType::Int8),
        ("events", CopyType::Int8),
        ("finalised_at", CopyType::Time),
        ("created_at", CopyType::Time),
        ("updated_at", CopyType::Time),
        ("ended_at", CopyType::Time),
        ("format", CopyType::Text),
        ("options", CopyType::Text),
    ],
);

const BATCH: (&str, &Columns<'static>) = (
    "import_batch",
    &[
        ("id", CopyType::Uuid),
        ("import", CopyType::Int8),
        ("ordinal", CopyType::Int8),
        ("status", CopyType::Text),
        ("reason", CopyType::Text),
        ("received", CopyType::Bool),
        ("records", CopyType::Int8),
        ("completed", CopyType::Int8),
        ("unchanged", CopyType::Int8),
        ("failed", CopyType::Int8),
        ("created_at", CopyType::Time),
        ("updated_at", CopyType::Time),
        ("ended_at", CopyType::Time),
        ("runner", CopyType::Text),
        ("piece_rows", CopyType::Int8),
    ],
);

const PIECE: (&str, &Columns<'static>) = (
    "bulk_piece",
    &[
        ("batch", CopyType::Int8),
        ("number", CopyType::Int8),
        ("inserted", CopyType::Int8),
        ("updated", CopyType::Int8),
        ("unchanged", CopyType::Int8),
        ("duplicates", CopyType::Int8),
        ("failed", CopyType::Int8),
        ("position_lines", CopyType::Int8),
        ("told", CopyType::Text),
    ],
);

const EVENT: (&str, &Columns<'static>) = (
    "import_event",
    &[
        ("import", CopyType::Int8),
        ("id", CopyType::Int8),
        ("type", CopyType::Text),
        ("data", CopyType::Text),
        ("created_at", CopyType::Time),
    ],
);

/// Adds imports that have ended; their batches' numbers.
pub fn insert_whole(session: &Session<'_>, wholes: &[Whole], now: i64) -> Result<Vec<Number>, SqlError> {
    let rows = wholes.iter().map(|Whole { import, status, reason, .. }| {
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
            Value::Int(1),
            Value::Int(1),
            now.into(),
            now.into(),
            now.into(),
            now.into(),
            import.format.as_str().into(),
            (&import.options).into(),
        ]
    });
    let numbers = numbered(session, RECORD, &rows.collect::<Vec<_>>())?;
    let numbers = wholes.iter().map(|whole| of(&numbers, &whole.import.id)).collect::<Result<Vec<_>, _>>()?;
    let rows = wholes.iter().zip(&numbers).map(|(whole, number)| {
        let counts = whole.rows.as_results();
        Ok(vec![
            (&whole.batch).into(),
            (*number).into(),
            Value::Int(1),
            whole.status.as_str().into(),
            (&whole.reason).into(),
            true.into(),
            signed(whole.rows.total())?.into(),
            signed(counts.completed)?.into(),
            signed(counts.unchanged)?.into(),
            signed(counts.failed)?.into(),
            now.into(),
            now.into(),
            now.into(),
            Runner::Worker.as_str().into(),
            Value::Int(1000),
        ])
    });
    let batches = numbered(session, BATCH, &rows.collect::<Result<Vec<_>, SqlError>>()?)?;
    let batches = wholes.iter().map(|whole| of(&batches, &whole.batch)).collect::<Result<Vec<_>, _>>()?;
    let told = wholes.iter().map(|Whole { told, .. }| (!told.is_empty()).then(|| ids_as_text(told)).transpose());
    let told = told.collect::<Result<Vec<_>, _>>()?;
    let pieces = wholes.iter().zip(&batches).zip(&told).map(|((Whole { rows, .. }, batch), told)| {
        Ok(vec![
            (*batch).into(),
            Value::Int(0),
            signed(rows.inserted)?.into(),
            signed(rows.updated)?.into(),
            signed(rows.unchanged)?.into(),
            signed(rows.duplicates)?.into(),
            signed(rows.failed)?.into(),
            signed(rows.total())?.into(),
            told.into(),
        ])
    });
    session.insert_set(PIECE, "", &pieces.collect::<Result<Vec<_>, SqlError>>()?)?;
    let events = wholes.iter().zip(&numbers).map(|(whole, number)| {
        vec![(*number).into(), Value::Int(1), "import".into(), (&whole.event).into(), now.into()]
    });
    session.insert_set(EVENT, "", &events.collect::<Vec<_>>())?;
    for (whole, batch) in wholes.iter().zip(&batches) {
        insert_failed(session, *batch, whole.failed.clone(), now)?;
    }
    Ok(batches)
}

/// Inserts rows that get a number; the numbers by id.
fn numbered(
    session: &Session<'_>,
    table: (&str, &Columns<'_>),
    rows: &[Vec<Value<'_>>],
) -> Result<HashMap<String, Number>, SqlError> {
    let made = session.insert_set_returning(table, "RETURNING CAST(id AS TEXT), number", rows, |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(made.into_iter().collect())
}

fn of(numbers: &HashMap<String, Number>, id: &str) -> Result<Number, SqlError> {
    numbers.get(id).copied().ok_or_else(|| SqlError::Unreadable(format!("`{id}` was given no number")))
}
