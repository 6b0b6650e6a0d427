//! What requests about imports carry and what answers show.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::backend::imports::{BatchView, ImportView};
use crate::model::{Change, Collision, ImportFormat, ImportStatus, ResultCounts, ResultStatus, RowCounts, Writes};
use crate::server::answer::Refusal;
use crate::store::imports::{Process, StoredResult, Totals};
use crate::store::objects::ObjectUrl;

/// The same key again is the same request again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Said of an answer that an earlier request with the same key has caused.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Longest key.
const LONGEST_KEY: usize = 255;

/// The request's `Idempotency-Key`.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > LONGEST_KEY || !plain {
        return Err(Refusal::invalid("`Idempotency-Key` is empty, longer than 255 characters, or no plain word"));
    }
    Ok(Some(text.to_owned()))
}

/// Says that an answer is an old one.
pub(super) fn replayed(headers: &mut HeaderMap, replayed: bool) {
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
}

/// An import.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Import)]
pub(super) struct ShownImport {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// How far it is; moves one way.
    status: ImportStatus,
    /// Why it is no better.
    #[schema(required)]
    reason: Option<String>,
    /// Where the records come from.
    source: String,
    /// What has made them.
    processor: String,
    /// How many records there shall be.
    #[schema(required)]
    expected_count: Option<u64>,
    /// For people.
    #[schema(required)]
    notes: Option<String>,
    /// Towards what is in the catalogue already.
    collision: Collision,
    /// How far records are brought.
    process: Process,
    /// What its batches hold.
    format: ImportFormat,
    /// What the format has to know.
    #[schema(required, value_type = Option<Object>)]
    options: Option<Value>,
    /// The import whose failed records it tries again.
    #[schema(required, format = "uuid")]
    retry_of: Option<String>,
    /// It takes no more batches.
    finalised: bool,
    /// Its batches.
    batches: BatchCounts,
    /// Its results. Rows of files count as results: those that are new, changed or were replaced as completed.
    results: ResultCounts,
    /// Of an import of rows, what became of them.
    #[schema(required)]
    rows: Option<RowCounts>,
    /// When it was made.
    created_at: Timestamp,
    /// When it changed.
    updated_at: Timestamp,
    /// When it ended.
    #[schema(required)]
    ended_at: Option<Timestamp>,
}

/// Batches of an import.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchCounts {
    /// All of them.
    total: u64,
    /// Not ended.
    open: u64,
    /// In.
    completed: u64,
    /// Failed, wholly or in part.
    failed: u64,
}

impl From<&Totals> for BatchCounts {
    fn from(totals: &Totals) -> Self {
        Self {
            total: totals.batches,
            open: totals.open_batches,
            completed: totals.completed_batches,
            failed: totals.failed_batches,
        }
    }
}

fn time(millis: i64) -> Timestamp {
    // Times are ours; one that is out of range is shown as the beginning of time rather than not at all.
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl From<ImportView> for ShownImport {
    fn from(view: ImportView) -> Self {
        let ImportView { import: stored, totals, rows } = view;
        let import = stored.import;
        Self {
            id: import.id,
            status: stored.status,
            reason: stored.reason,
            source: import.source,
            processor: import.processor,
            expected_count: import.expected_count,
            notes: import.notes,
            collision: import.collision,
            process: import.process,
            format: import.format,
            options: import.options.and_then(|text| serde_json::from_str(&text).ok()),
            retry_of: import.retry_of,
            finalised: stored.finalised_at.is_some(),
            batches: BatchCounts::from(&totals),
            results: totals.results,
            rows,
            created_at: time(stored.created_at),
            updated_at: time(stored.updated_at),
            ended_at: stored.ended_at.map(time),
        }
    }
}

/// A batch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Batch)]
pub(super) struct ShownBatch {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// 1, 2, 3 … of its import.
    ordinal: i64,
    /// How far it is; moves one way.
    status: ImportStatus,
    /// Why it is no better.
    #[schema(required)]
    reason: Option<String>,
    /// Where it is fetched from, without anything secret.
    #[schema(required)]
    storage_url: Option<String>,
    /// All of its records are here.
    received: bool,
    /// It was cut, and sent again with the same key.
    superseded: bool,
    /// Records stored so far.
    records: u64,
    /// How far it was read.
    position: ShownPosition,
    /// Bytes of the object as it is kept, if they are known; only of an import of rows.
    #[schema(required)]
    size: Option<u64>,
    /// Its results.
    results: ResultCounts,
    /// Of an import of rows, what became of them.
    #[schema(required)]
    rows: Option<RowCounts>,
    /// When it was made.
    created_at: Timestamp,
    /// When it changed.
    updated_at: Timestamp,
    /// When it ended.
    #[schema(required)]
    ended_at: Option<Timestamp>,
}

/// How far a batch was read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Position)]
pub(super) struct ShownPosition {
    /// Bytes behind us.
    bytes: u64,
    /// Lines behind us.
    lines: u64,
}

impl From<BatchView> for ShownBatch {
    fn from(view: BatchView) -> Self {
        let BatchView { batch: stored, counts, rows } = view;
        let batch = stored.batch;
        Self {
            id: batch.id,
            ordinal: batch.ordinal,
            status: batch.status,
            reason: batch.reason,
            // The query of a signed address is a secret.
            storage_url: batch
                .storage_url
                .map(|url| ObjectUrl::parse(&url).map_or_else(|_| "?".to_owned(), |url| url.to_string())),
            received: batch.received,
            superseded: stored.superseded,
            records: batch.records,
            position: ShownPosition { bytes: batch.position.0, lines: batch.position.1 },
            size: batch.bulk.and_then(|bulk| bulk.size),
            results: counts,
            rows,
            created_at: time(stored.created_at),
            updated_at: time(stored.updated_at),
            ended_at: stored.ended_at.map(time),
        }
    }
}

/// What has become of one record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordResult)]
pub(super) struct ShownResult {
    /// Grows with batch and place in it.
    id: i64,
    /// Its batch.
    #[schema(format = "uuid")]
    batch_id: String,
    /// 1, 2, 3 … of its batch.
    ordinal: u64,
    /// Its line, in JSON lines.
    #[schema(required)]
    line: Option<u64>,
    /// Where its first byte stands.
    byte_offset: u64,
    /// Of the record, as far as it could be read.
    #[schema(required)]
    kind: Option<String>,
    /// Likewise.
    #[schema(required)]
    source_name: Option<String>,
    /// Likewise.
    #[schema(required)]
    external_id: Option<String>,
    /// How far it is; moves one way.
    status: ResultStatus,
    /// New or changed.
    #[schema(required)]
    change: Option<Change>,
    /// How many rows of each kind were written.
    #[schema(required)]
    writes: Option<Writes>,
    /// How often it was tried.
    attempts: u32,
    /// Why it failed, or what it waits for, for programs.
    #[schema(required)]
    code: Option<String>,
    /// The same for people.
    #[schema(required)]
    message: Option<String>,
    /// May it succeed when it is tried again?
    retryable: bool,
    /// When it changed.
    updated_at: Timestamp,
    /// The record as it came, of one that failed, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<String>,
    /// The same in Base64, where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    original_base64: Option<String>,
}

impl From<StoredResult> for ShownResult {
    fn from(stored: StoredResult) -> Self {
        let (original, original_base64) = match stored.original.map(String::from_utf8) {
            None => (None, None),
            Some(Ok(text)) => (Some(text), None),
            Some(Err(error)) => (None, Some(STANDARD.encode(error.as_bytes()))),
        };
        Self {
            id: stored.id,
            batch_id: stored.batch,
            ordinal: stored.place.ordinal,
            line: stored.place.line,
            byte_offset: stored.place.offset,
            kind: stored.kind,
            source_name: stored.source_name,
            external_id: stored.external_id,
            status: stored.status,
            change: stored.end.change,
            writes: stored.end.writes,
            attempts: stored.attempts,
            code: stored.end.code,
            message: stored.end.message,
            retryable: stored.end.retryable,
            updated_at: time(stored.updated_at),
            original,
            original_base64,
        }
    }
}
