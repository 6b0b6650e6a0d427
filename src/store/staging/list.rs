//! What operators see: pages of rows, and how many there are.

use super::rows::{COLUMNS, row};
use super::{StagedRow, State, table};
use crate::model::RecordKind;
use crate::store::sql::{Session, SqlError, values};

/// Which rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only in this state.
    pub state: Option<State>,
    /// Only of this source.
    pub source: Option<String>,
    /// Only after this row.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
}

/// A page of rows, oldest first.
pub fn list(session: &Session<'_>, kind: RecordKind, filter: &Filter) -> Result<Vec<StagedRow>, SqlError> {
    let table = table(kind);
    // The word stands in the text, so that the index of open rows can be used.
    let state = match filter.state {
        Some(State::Processed) => "AND state = 'processed'".to_owned(),
        Some(state) => format!("AND state <> 'processed' AND state = '{state}'"),
        None => String::new(),
    };
    session.query(
        &format!(
            "SELECT {COLUMNS} FROM {table} WHERE id > ?1 AND (CAST(?2 AS TEXT) IS NULL OR source_name = ?2) {state} \
             ORDER BY id LIMIT ?3"
        ),
        values![filter.after, &filter.source, filter.limit],
        row,
    )
}

/// How many rows of a kind are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct KindCounts {
    /// To be processed.
    pub init: u64,
    /// Of those, so many wait for something to arrive.
    pub waiting: u64,
    /// Being processed.
    pub processing: u64,
    /// In the catalogue.
    pub processed: u64,
    /// Refused.
    pub with_errors: u64,
}

/// How many rows of a kind are in each state.
pub fn counts(session: &Session<'_>, kind: RecordKind) -> Result<KindCounts, SqlError> {
    let table = table(kind);
    let open = |state: &str| format!("(SELECT count(*) FROM {table} WHERE state <> 'processed' AND state = '{state}'");
    session.one(
        &format!(
            "SELECT {init}), {init} AND waits_for IS NOT NULL), {processing}), {errors}), \
             (SELECT count(*) FROM {table} WHERE state = 'processed')",
            init = open("init"),
            processing = open("processing"),
            errors = open("with_errors")
        ),
        &[],
        |row| {
            Ok(KindCounts {
                init: row.get(0)?,
                waiting: row.get(1)?,
                processing: row.get(2)?,
                with_errors: row.get(3)?,
                processed: row.get(4)?,
            })
        },
    )
}
