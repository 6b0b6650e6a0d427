//! Imports as a whole.

use serde::{Deserialize, Serialize};

use super::{Number, changed, word};
use crate::model::{Collision, ImportFormat, ImportStatus};
use crate::store::sql::{Row, Session, SqlError, Value, signed, values};

/// How far records are brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Process {
    /// Into the catalogue.
    #[default]
    Now,
    /// Into staging; the jobs do the rest.
    Later,
}

impl Process {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Later => "later",
        }
    }
}

/// An import to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewImport {
    /// UUID.
    pub id: String,
    /// Where the records come from.
    pub source: String,
    /// What has made them.
    pub processor: String,
    /// How many there will be.
    pub expected_count: Option<u64>,
    /// For people.
    pub notes: Option<String>,
    /// Towards what is there already.
    pub collision: Collision,
    /// How far.
    pub process: Process,
    /// The same key again is the same import.
    pub idempotency_key: Option<String>,
    /// Of the request that made it.
    pub request_hash: Option<String>,
    /// Whose failed records it tries again.
    pub retry_of: Option<String>,
    /// What its batches hold.
    pub format: ImportFormat,
    /// What the format has to know: JSON.
    pub options: Option<String>,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImport {
    /// Inside the store.
    pub number: Number,
    /// What it was made from.
    pub import: NewImport,
    /// How far it is.
    pub status: ImportStatus,
    /// Why it is no better.
    pub reason: Option<String>,
    /// Batches so far.
    pub batches: u64,
    /// Number of its last event.
    pub events: i64,
    /// No more batches since then.
    pub finalised_at: Option<i64>,
    /// When.
    pub created_at: i64,
    /// When.
    pub updated_at: i64,
    /// When nothing was open any more.
    pub ended_at: Option<i64>,
}

const COLUMNS: &str = "number, CAST(id AS TEXT), source, processor, expected_count, notes, collision, process, status, \
     reason, idempotency_key, request_hash, CAST(retry_of AS TEXT), batches, events, finalised_at, created_at, \
     updated_at, ended_at, format, options";

fn import(row: &Row<'_>) -> Result<StoredImport, SqlError> {
    let status = row.text(8)?;
    let collision = row.text(6)?;
    Ok(StoredImport {
        number: row.get(0)?,
        import: NewImport {
            id: row.get(1)?,
            source: row.get(2)?,
            processor: row.get(3)?,
            expected_count: row.get(4)?,
            notes: row.get(5)?,
            collision: word(collision.parse().ok(), collision)?,
            process: if row.text(7)? == "later" { Process::Later } else { Process::Now },
            idempotency_key: row.get(10)?,
            request_hash: row.get(11)?,
            retry_of: row.get(12)?,
            format: word(ImportFormat::named(row.text(19)?), row.text(19)?)?,
            options: row.get(20)?,
        },
        status: word(ImportStatus::named(status), status)?,
        reason: row.get(9)?,
        batches: row.get(13)?,
        events: row.get(14)?,
        finalised_at: row.get(15)?,
        created_at: row.get(16)?,
        updated_at: row.get(17)?,
        ended_at: row.get(18)?,
    })
}

/// Keeps others from changing this import as a whole until the transaction ends.
pub fn lock_import(session: &Session<'_>, number: Number) -> Result<(), SqlError> {
    session.lock(&format!("import {number}"))
}

/// Makes an import.
pub fn insert_import(session: &Session<'_>, new: &NewImport, now: i64) -> Result<Number, SqlError> {
    let expected = new.expected_count.map(signed).transpose()?;
    session.one(
        "INSERT INTO import_record (id, source, processor, expected_count, notes, collision, process, status, \
         idempotency_key, request_hash, retry_of, created_at, updated_at, format, options) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'created', ?8, ?9, ?10, ?11, ?11, ?12, ?13) RETURNING number",
        values![
            &new.id,
            &new.source,
            &new.processor,
            expected,
            &new.notes,
            new.collision.as_str(),
            new.process.as_str(),
            &new.idempotency_key,
            &new.request_hash,
            &new.retry_of,
            now,
            new.format.as_str(),
            &new.options
        ],
        |row| row.get(0),
    )
}

/// The import of this id.
pub fn import_by_id(session: &Session<'_>, id: &str) -> Result<Option<StoredImport>, SqlError> {
    session.first(&format!("SELECT {COLUMNS} FROM import_record WHERE id = ?1"), values![id], import)
}

/// The import of this number.
pub fn import_by_number(session: &Session<'_>, number: Number) -> Result<StoredImport, SqlError> {
    session.one(&format!("SELECT {COLUMNS} FROM import_record WHERE number = ?1"), values![number], import)
}

/// Its number.
pub fn number_of(session: &Session<'_>, id: &str) -> Result<Option<Number>, SqlError> {
    session.first("SELECT number FROM import_record WHERE id = ?1", values![id], |row| row.get(0))
}

/// The import that was made with this key.
pub fn import_by_key(session: &Session<'_>, key: &str) -> Result<Option<StoredImport>, SqlError> {
    session.first(&format!("SELECT {COLUMNS} FROM import_record WHERE idempotency_key = ?1"), values![key], import)
}

/// The newest imports first, below the number `before`.
pub fn imports(
    session: &Session<'_>,
    status: Option<ImportStatus>,
    before: Option<Number>,
    limit: u32,
) -> Result<Vec<StoredImport>, SqlError> {
    let before = before.unwrap_or(i64::MAX);
    match status {
        None => session.query(
            &format!("SELECT {COLUMNS} FROM import_record WHERE number < ?1 ORDER BY number DESC LIMIT ?2"),
            values![before, limit],
            import,
        ),
        Some(status) => session.query(
            &format!(
                "SELECT {COLUMNS} FROM import_record WHERE status = ?3 AND number < ?1 ORDER BY number DESC LIMIT ?2"
            ),
            values![before, limit, status.as_str()],
            import,
        ),
    }
}

/// `created` → `started`; whether it was.
pub fn begin_import(session: &Session<'_>, number: Number, now: i64) -> Result<bool, SqlError> {
    changed(
        session,
        "UPDATE import_record SET status = 'started', updated_at = ?2 WHERE number = ?1 AND status = 'created'",
        values![number, now],
    )
}

/// Ends an import that has not ended; whether it did.
pub fn end_import(
    session: &Session<'_>,
    number: Number,
    status: ImportStatus,
    reason: Option<&str>,
    now: i64,
) -> Result<bool, SqlError> {
    changed(
        session,
        "UPDATE import_record SET status = ?2, reason = ?3, updated_at = ?4, ended_at = ?4 \
         WHERE number = ?1 AND status IN ('created', 'started')",
        values![number, status.as_str(), reason, now],
    )
}

/// No more batches from now on; whether there could be before.
pub fn finalise(session: &Session<'_>, number: Number, now: i64) -> Result<bool, SqlError> {
    changed(
        session,
        "UPDATE import_record SET finalised_at = ?2, updated_at = ?2 WHERE number = ?1 AND finalised_at IS NULL",
        values![number, now],
    )
}

/// Numbers that were given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Batches so far.
    pub batch: i64,
    /// Events so far.
    pub event: i64,
    /// It has been finalised, or has ended.
    pub closed: bool,
}

/// Gives out numbers for so many more batches and events. From here on the transaction is alone with the import, so it
/// comes late in it; and numbers never appear to readers out of order.
pub fn take_numbers(session: &Session<'_>, number: Number, batches: i64, events: i64) -> Result<Numbers, SqlError> {
    session.one(
        "UPDATE import_record SET batches = batches + ?2, events = events + ?3 WHERE number = ?1 \
         RETURNING batches, events, finalised_at IS NOT NULL OR status NOT IN ('created', 'started')",
        &[Value::Int(number), Value::Int(batches), Value::Int(events)],
        |row| Ok(Numbers { batch: row.get(0)?, event: row.get(1)?, closed: row.get(2)? }),
    )
}
