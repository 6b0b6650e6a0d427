//! Batches: how they arrive, how far they were read, how they end.

use super::bulk::{Bulk, Patience, Runner};
use super::{Number, changed, word};
use crate::model::{ImportStatus, ResultCounts};
use crate::store::sql::{Engine, Row, Session, SqlError, Value, signed, values};

/// A batch to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBatch {
    /// UUID.
    pub id: String,
    /// Of which import.
    pub import: Number,
    /// 1, 2, 3 … of its import.
    pub ordinal: i64,
    /// Where it is fetched from.
    pub storage_url: Option<String>,
    /// The same key again is the same batch.
    pub idempotency_key: Option<String>,
    /// Of its records, when they are all here.
    pub content_hash: Option<String>,
    /// How far it is.
    pub status: ImportStatus,
    /// Why it is no better.
    pub reason: Option<String>,
    /// All of its records are here.
    pub received: bool,
    /// How many that are.
    pub records: u64,
    /// What became of them, if it has ended.
    pub counts: ResultCounts,
    /// From where it is read.
    pub position: (u64, u64),
    /// Who receives it, until when.
    pub lease: Option<(String, i64)>,
    /// Who works on it, in a bulk import.
    pub bulk: Option<Bulk>,
}

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBatch {
    /// Inside the store.
    pub number: Number,
    /// What it was made from, and where it stands.
    pub batch: NewBatch,
    /// Which version of the object it is of.
    pub tag: Option<String>,
    /// It was cut and sent again.
    pub superseded: bool,
    /// Attempts to fetch it.
    pub attempts: u32,
    /// When.
    pub created_at: i64,
    /// When.
    pub updated_at: i64,
    /// When nothing of it was open any more.
    pub ended_at: Option<i64>,
}

/// One page of batches.
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchPage {
    /// Only those of this status.
    pub status: Option<ImportStatus>,
    /// Behind this ordinal.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
}

/// A batch that has to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetchable {
    /// The batch.
    pub number: Number,
    /// Its import.
    pub import: Number,
    /// From where.
    pub url: String,
    /// Records stored.
    pub records: u64,
    /// Bytes behind us.
    pub bytes: u64,
    /// Lines behind us.
    pub lines: u64,
    /// Which version of it the position is of.
    pub tag: Option<String>,
    /// Attempts, this one included.
    pub attempts: u32,
}

/// Where reading a batch stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Records stored.
    pub records: u64,
    /// Bytes behind us.
    pub bytes: u64,
    /// Lines behind us.
    pub lines: u64,
    /// Which version of the object that is of.
    pub tag: Option<String>,
}

const COLUMNS: &str = "number, CAST(id AS TEXT), import, ordinal, storage_url, idempotency_key, content_hash, status, \
     reason, received, superseded, records, position_bytes, position_lines, completed, unchanged, failed, attempts, \
     created_at, updated_at, ended_at, lease_owner, lease_until, runner, piece_rows, size, storage_tag, \
     tries, first_wait, tells";

fn batch(row: &Row<'_>) -> Result<StoredBatch, SqlError> {
    let status = row.text(7)?;
    let counts = ResultCounts {
        completed: row.get(14)?,
        unchanged: row.get(15)?,
        failed: row.get(16)?,
        ..ResultCounts::default()
    };
    let runner = row.text_or_null(23)?.map(|text| word(Runner::named(text), text)).transpose()?;
    let bulk = match runner {
        None => None,
        Some(runner) => Some(Bulk {
            size: row.get(25)?,
            patience: match (row.get(27)?, row.get(28)?) {
                (Some(tries), Some(first_wait)) => Some(Patience { tries, first_wait }),
                _ => None,
            },
            tells: row.get::<Option<u32>>(29)?.unwrap_or(0),
            ..Bulk::new(runner, row.get::<Option<u64>>(24)?.unwrap_or(1))
        }),
    };
    Ok(StoredBatch {
        number: row.get(0)?,
        batch: NewBatch {
            id: row.get(1)?,
            import: row.get(2)?,
            ordinal: row.get(3)?,
            storage_url: row.get(4)?,
            idempotency_key: row.get(5)?,
            content_hash: row.get(6)?,
            status: word(ImportStatus::named(status), status)?,
            reason: row.get(8)?,
            received: row.get(9)?,
            records: row.get(11)?,
            counts,
            position: (row.get(12)?, row.get(13)?),
            lease: row.get::<Option<String>>(21)?.zip(row.get(22)?),
            bulk,
        },
        tag: row.get(26)?,
        superseded: row.get(10)?,
        attempts: row.get(17)?,
        created_at: row.get(18)?,
        updated_at: row.get(19)?,
        ended_at: row.get(20)?,
    })
}

/// Makes a batch.
pub fn insert_batch(session: &Session<'_>, new: &NewBatch, now: i64) -> Result<Number, SqlError> {
    let ended = new.status.is_final().then_some(now);
    let patience = new.bulk.and_then(|bulk| bulk.patience);
    session.one(
        "INSERT INTO import_batch (id, import, ordinal, storage_url, idempotency_key, content_hash, status, received, \
         records, completed, unchanged, failed, position_bytes, position_lines, lease_owner, lease_until, created_at, \
         updated_at, ended_at, reason, runner, piece_rows, size, tries, first_wait, tells) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?17, ?18, ?19, ?20, ?21, \
         ?22, ?23, ?24, ?25) \
         RETURNING number",
        values![
            &new.id,
            new.import,
            new.ordinal,
            &new.storage_url,
            &new.idempotency_key,
            &new.content_hash,
            new.status.as_str(),
            new.received,
            signed(new.records)?,
            signed(new.counts.completed)?,
            signed(new.counts.unchanged)?,
            signed(new.counts.failed)?,
            signed(new.position.0)?,
            signed(new.position.1)?,
            new.lease.as_ref().map(|(owner, _)| owner.as_str()),
            new.lease.as_ref().map(|(_, until)| *until),
            now,
            ended,
            &new.reason,
            new.bulk.map(|bulk| bulk.runner.as_str()),
            new.bulk.map(|bulk| signed(bulk.piece_rows)).transpose()?,
            new.bulk.and_then(|bulk| bulk.size).map(signed).transpose()?,
            patience.map(|patience| patience.tries),
            patience.map(|patience| signed(patience.first_wait)).transpose()?,
            new.bulk.map(|bulk| bulk.tells)
        ],
        |row| row.get(0),
    )
}

/// A batch of an import.
pub fn batch_by_id(session: &Session<'_>, import: Number, id: &str) -> Result<Option<StoredBatch>, SqlError> {
    session.first(
        &format!("SELECT {COLUMNS} FROM import_batch WHERE id = ?1 AND import = ?2"),
        values![id, import],
        batch,
    )
}

/// The batch of this number.
pub fn batch_by_number(session: &Session<'_>, number: Number) -> Result<StoredBatch, SqlError> {
    session.one(&format!("SELECT {COLUMNS} FROM import_batch WHERE number = ?1"), values![number], batch)
}

/// The one that was sent with this key.
pub fn batch_by_key(session: &Session<'_>, import: Number, key: &str) -> Result<Option<StoredBatch>, SqlError> {
    session.first(
        &format!("SELECT {COLUMNS} FROM import_batch WHERE import = ?1 AND idempotency_key = ?2"),
        values![import, key],
        batch,
    )
}

/// The one that is fetched from there.
pub fn batch_by_url(session: &Session<'_>, import: Number, url: &str) -> Result<Option<StoredBatch>, SqlError> {
    session.first(
        &format!("SELECT {COLUMNS} FROM import_batch WHERE import = ?1 AND storage_url = ?2"),
        values![import, url],
        batch,
    )
}

/// Batches of an import in their order.
pub fn batches(session: &Session<'_>, import: Number, page: BatchPage) -> Result<Vec<StoredBatch>, SqlError> {
    let filter = if page.status.is_some() { "AND status = ?4" } else { "" };
    let sql = format!(
        "SELECT {COLUMNS} FROM import_batch WHERE import = ?1 AND ordinal > ?2 {filter} ORDER BY ordinal LIMIT ?3"
    );
    let mut parameters = vec![Value::Int(import), Value::Int(page.after), Value::from(page.limit)];
    parameters.extend(page.status.map(|status| Value::Text(status.as_str())));
    session.query(&sql, &parameters, batch)
}

/// `created` → `started`; whether it was.
pub fn begin_batch(session: &Session<'_>, number: Number, now: i64) -> Result<bool, SqlError> {
    changed(
        session,
        "UPDATE import_batch SET status = 'started', updated_at = ?2 WHERE number = ?1 AND status = 'created'",
        values![number, now],
    )
}

/// Moves the position behind what is stored in the same transaction, and holds the batch until `until`. `false`: it is
/// no longer ours (cancelled, or taken over).
pub fn advance(
    session: &Session<'_>,
    number: Number,
    owner: &str,
    to: &Progress,
    until: i64,
    now: i64,
) -> Result<bool, SqlError> {
    changed(
        session,
        "UPDATE import_batch SET records = ?3, position_bytes = ?4, position_lines = ?5, storage_tag = ?8, \
         lease_until = ?6, updated_at = ?7, attempts = 0 \
         WHERE number = ?1 AND lease_owner = ?2 AND status IN ('created', 'started') AND received = FALSE",
        values![number, owner, signed(to.records)?, signed(to.bytes)?, signed(to.lines)?, until, now, &to.tag],
    )
}

/// Holds the batch until `until`; `false` as in [`advance`].
pub fn hold_batch(session: &Session<'_>, number: Number, owner: &str, until: i64) -> Result<bool, SqlError> {
    changed(
        session,
        "UPDATE import_batch SET lease_until = ?3 WHERE number = ?1 AND lease_owner = ?2 \
         AND status IN ('created', 'started') AND received = FALSE",
        values![number, owner, until],
    )
}

/// All of its records are here; `false` as in [`advance`].
pub fn received(
    session: &Session<'_>,
    number: Number,
    owner: &str,
    content_hash: Option<&str>,
    now: i64,
) -> Result<bool, SqlError> {
    changed(
        session,
        "UPDATE import_batch SET received = TRUE, content_hash = ?3, lease_owner = NULL, lease_until = NULL, \
         updated_at = ?4 \
         WHERE number = ?1 AND lease_owner = ?2 AND status IN ('created', 'started') AND received = FALSE",
        values![number, owner, content_hash, now],
    )
}

/// No more of it can be fetched, for this reason. What is stored is processed.
pub fn end_fetch(session: &Session<'_>, number: Number, owner: &str, reason: &str, now: i64) -> Result<bool, SqlError> {
    changed(
        session,
        "UPDATE import_batch SET received = TRUE, reason = ?3, lease_owner = NULL, lease_until = NULL, \
         updated_at = ?4 \
         WHERE number = ?1 AND lease_owner = ?2 AND status IN ('created', 'started') AND received = FALSE",
        values![number, owner, reason, now],
    )
}

/// Ends a batch that has begun; whether it did.
pub fn end_batch(
    session: &Session<'_>,
    number: Number,
    status: ImportStatus,
    counts: &ResultCounts,
    reason: Option<&str>,
    now: i64,
) -> Result<bool, SqlError> {
    changed(
        session,
        "UPDATE import_batch SET status = ?2, completed = ?3, unchanged = ?4, failed = ?5, reason = ?6, \
         lease_owner = NULL, lease_until = NULL, updated_at = ?7, ended_at = ?7 \
         WHERE number = ?1 AND status IN ('created', 'started')",
        values![
            number,
            status.as_str(),
            signed(counts.completed)?,
            signed(counts.unchanged)?,
            signed(counts.failed)?,
            reason,
            now
        ],
    )
}

/// It was cut, failed, and is sent again: it no longer counts, and its key is free.
pub fn supersede(session: &Session<'_>, number: Number, now: i64) -> Result<(), SqlError> {
    session
        .execute(
            "UPDATE import_batch SET superseded = TRUE, idempotency_key = NULL, updated_at = ?2 WHERE number = ?1",
            values![number, now],
        )
        .map(drop)
}

/// Batches of an import that have not ended.
pub fn open_batches(session: &Session<'_>, import: Number) -> Result<Vec<StoredBatch>, SqlError> {
    session.query(
        &format!("SELECT {COLUMNS} FROM import_batch WHERE import = ?1 AND status IN ('created', 'started')"),
        values![import],
        batch,
    )
}

/// Why the first batch of an import is no better.
pub fn first_reason(session: &Session<'_>, import: Number) -> Result<Option<String>, SqlError> {
    let sql = "SELECT reason FROM import_batch WHERE import = ?1 AND superseded = FALSE ORDER BY ordinal LIMIT 1";
    session.first(sql, values![import], |row| row.get(0)).map(Option::flatten)
}

/// Batches that were being received by somebody who is gone.
pub fn lost_receipts(session: &Session<'_>, now: i64) -> Result<Vec<StoredBatch>, SqlError> {
    session.query(
        &format!(
            "SELECT {COLUMNS} FROM import_batch WHERE status IN ('created', 'started') AND received = FALSE \
             AND runner IS NULL AND storage_url IS NULL AND (lease_until IS NULL OR lease_until < ?1) ORDER BY number LIMIT 50"
        ),
        values![now],
        batch,
    )
}

/// Is there a batch that has to be fetched and that nobody fetches?
pub fn any_fetchable(session: &Session<'_>, now: i64) -> Result<bool, SqlError> {
    session.exists(
        "SELECT 1 FROM import_batch WHERE status IN ('created', 'started') AND received = FALSE \
         AND runner IS NULL AND storage_url IS NOT NULL AND not_before <= ?1 AND (lease_until IS NULL OR lease_until < ?1) LIMIT 1",
        values![now],
    )
}

/// Takes a batch that has to be fetched and that nobody fetches.
pub fn claim_fetch(session: &Session<'_>, owner: &str, until: i64, now: i64) -> Result<Option<Fetchable>, SqlError> {
    let alone = if session.engine() == Engine::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
    session.first(
        &format!(
            "UPDATE import_batch SET lease_owner = ?1, lease_until = ?2, attempts = attempts + 1, updated_at = ?3 \
             WHERE number = (SELECT number FROM import_batch WHERE status IN ('created', 'started') \
               AND received = FALSE AND runner IS NULL AND storage_url IS NOT NULL AND not_before <= ?3 \
               AND (lease_until IS NULL OR lease_until < ?3) ORDER BY number LIMIT 1 {alone}) \
             RETURNING number, import, storage_url, records, position_bytes, position_lines, attempts, storage_tag"
        ),
        values![owner, until, now],
        |row| {
            Ok(Fetchable {
                number: row.get(0)?,
                import: row.get(1)?,
                url: row.get(2)?,
                records: row.get(3)?,
                bytes: row.get(4)?,
                lines: row.get(5)?,
                attempts: row.get(6)?,
                tag: row.get(7)?,
            })
        },
    )
}

/// Lets go of a batch until `not_before`; the reason is that of the failed attempt.
pub fn postpone_fetch(
    session: &Session<'_>,
    number: Number,
    owner: &str,
    not_before: i64,
    attempts: u32,
    now: i64,
) -> Result<bool, SqlError> {
    changed(
        session,
        "UPDATE import_batch SET lease_owner = NULL, lease_until = NULL, not_before = ?3, attempts = ?4, \
         updated_at = ?5 WHERE number = ?1 AND lease_owner = ?2",
        values![number, owner, not_before, attempts, now],
    )
}

/// An address, and how far it was read: bytes and lines.
pub type HalfRead = (String, (u64, u64));

/// Places of an import's batches that could not be fetched to the end, and how far they were.
pub fn retried_urls(session: &Session<'_>, import: Number) -> Result<Vec<HalfRead>, SqlError> {
    session.query(
        "SELECT storage_url, position_bytes, position_lines FROM import_batch \
         WHERE import = ?1 AND storage_url IS NOT NULL AND status IN ('failed', 'partially_failed') \
           AND reason IS NOT NULL ORDER BY ordinal",
        values![import],
        |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))),
    )
}
