//! Imports, batches and results as the pages show them.

use jiff::Timestamp;

use super::filters::grouped;
use crate::backend::imports::{BatchView, ImportView};
use crate::model::{ImportStatus, ResultCounts, RowCounts};
use crate::store::imports::StoredResult;

/// How far something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) done: u64,
    /// Of so many, as far as is known.
    pub(super) of: u64,
    /// The same for eyes and ears.
    pub(super) words: String,
}

impl Progress {
    fn new(counts: &ResultCounts, expected: u64, what: &str) -> Self {
        let done = counts.succeeded() + counts.failed;
        let of = counts.total().max(expected);
        let failed = if counts.failed > 0 { format!(", {} failed", grouped(counts.failed)) } else { String::new() };
        let words = format!("{} of {} {what}{failed}", grouped(done), grouped(of));
        Self { done, of, words }
    }
}

/// The word of a status and its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Badge {
    pub(super) word: &'static str,
    pub(super) class: &'static str,
}

impl From<ImportStatus> for Badge {
    fn from(status: ImportStatus) -> Self {
        let (word, class) = match status {
            ImportStatus::Created => ("created", "busy"),
            ImportStatus::Started => ("in work", "busy"),
            ImportStatus::Completed => ("completed", "good"),
            ImportStatus::PartiallyFailed => ("partially failed", "warn"),
            ImportStatus::Failed => ("failed", "bad"),
            ImportStatus::Cancelled => ("cancelled", "muted"),
        };
        Self { word, class }
    }
}

/// An import.
#[derive(Debug, Clone)]
pub(super) struct ShownImport {
    pub(super) number: i64,
    pub(super) id: String,
    pub(super) source: String,
    pub(super) processor: String,
    pub(super) notes: Option<String>,
    pub(super) collision: &'static str,
    pub(super) badge: Badge,
    pub(super) reason: Option<String>,
    pub(super) progress: Progress,
    pub(super) counts: ResultCounts,
    /// What its batches hold: `records`, `nodes` …
    pub(super) format: &'static str,
    /// Of an import of rows, what became of them.
    pub(super) rows: Option<RowCounts>,
    pub(super) retry_of: Option<String>,
    pub(super) ended: bool,
    pub(super) finalised: bool,
    pub(super) created_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    /// There is something that can be tried again.
    pub(super) retryable: bool,
}

impl From<ImportView> for ShownImport {
    fn from(view: ImportView) -> Self {
        let ImportView { import, totals, rows } = view;
        let ended = import.status.is_final();
        let failed = totals.results.failed > 0 || totals.failed_batches > 0;
        Self {
            number: import.number,
            progress: Progress::new(
                &totals.results,
                import.import.expected_count.unwrap_or(0),
                if rows.is_some() { "rows" } else { "records" },
            ),
            id: import.import.id,
            source: import.import.source,
            processor: import.import.processor,
            notes: import.import.notes,
            collision: import.import.collision.as_str(),
            badge: Badge::from(import.status),
            reason: import.reason,
            counts: totals.results,
            format: import.import.format.as_str(),
            rows,
            retry_of: import.import.retry_of,
            ended,
            finalised: import.finalised_at.is_some(),
            created_at: moment(import.created_at),
            ended_at: import.ended_at.map(moment),
            retryable: ended && failed,
        }
    }
}

/// A batch.
#[derive(Debug, Clone)]
pub(super) struct ShownBatch {
    pub(super) ordinal: i64,
    pub(super) from: String,
    pub(super) badge: Badge,
    pub(super) reason: Option<String>,
    pub(super) progress: Progress,
    pub(super) superseded: bool,
    pub(super) ended_at: Option<Timestamp>,
}

impl From<BatchView> for ShownBatch {
    fn from(view: BatchView) -> Self {
        let BatchView { batch, counts, rows } = view;
        Self {
            ordinal: batch.batch.ordinal,
            from: batch.batch.storage_url.unwrap_or_else(|| "sent with the request".to_owned()),
            badge: Badge::from(batch.batch.status),
            reason: batch.batch.reason,
            progress: Progress::new(&counts, batch.batch.records, if rows.is_some() { "rows" } else { "records" }),
            superseded: batch.superseded,
            ended_at: batch.ended_at.map(moment),
        }
    }
}

/// A record that is not in.
#[derive(Debug, Clone)]
pub(super) struct ShownFailure {
    pub(super) id: i64,
    pub(super) record: String,
    pub(super) kind: String,
    pub(super) place: String,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) attempts: u32,
    pub(super) at: Timestamp,
}

impl From<StoredResult> for ShownFailure {
    fn from(result: StoredResult) -> Self {
        let record = match (result.source_name, result.external_id) {
            (Some(source), Some(id)) => format!("{source} {id}"),
            (None, Some(id)) => id,
            (Some(source), None) => format!("{source}, without an id"),
            (None, None) => "unreadable".to_owned(),
        };
        let place = match result.place.line {
            Some(line) => format!("line {line}, byte {}", result.place.offset),
            None => format!("record {}, byte {}", result.place.ordinal, result.place.offset),
        };
        Self {
            id: result.id,
            record,
            kind: result.kind.unwrap_or_else(|| "–".to_owned()),
            place,
            code: result.end.code.unwrap_or_default(),
            message: result.end.message.unwrap_or_default(),
            attempts: result.attempts,
            at: moment(result.updated_at),
        }
    }
}

/// A time of the store. What is out of all proportion is the beginning of time.
pub(super) fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}
