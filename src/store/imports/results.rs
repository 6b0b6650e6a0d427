//! What became of each record.

use std::fmt::Write as _;

use super::{Number, bulk, changed, word};
use crate::model::{Change, ImportStatus, ResultCounts, ResultStatus, Writes};
use crate::store::sql::{Row, Session, SqlError, Value, signed, values};

/// Records of a batch at most: the id of a result is the batch's number and, below, the place in it.
pub const MOST_RECORDS: u64 = (1 << SHIFT) - 1;

const SHIFT: u32 = 24;

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// 1, 2, 3 … of its batch.
    pub ordinal: u64,
    /// Line, where there are lines.
    pub line: Option<u64>,
    /// Of its first byte.
    pub offset: u64,
}

/// A result to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewResult {
    /// Where its record stands.
    pub place: Place,
    /// Of the record, as far as it can be read.
    pub kind: Option<String>,
    /// Likewise.
    pub source_name: Option<String>,
    /// Likewise.
    pub external_id: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// How it ended, if it has.
    pub end: Option<Finish>,
    /// The record's bytes, to be kept.
    pub original: Option<bytes::Bytes>,
}

/// The end of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// Completed, unchanged or failed.
    pub status: ResultStatus,
    /// New or changed.
    pub change: Option<Change>,
    /// How many rows of each kind.
    pub writes: Option<Writes>,
    /// Why it failed, or what it waits for.
    pub code: Option<String>,
    /// In words.
    pub message: Option<String>,
    /// May it succeed when it is tried again?
    pub retryable: bool,
}

impl Finish {
    /// A failure.
    pub fn failed(code: impl Into<String>, message: impl Into<String>, retryable: bool) -> Self {
        Self {
            status: ResultStatus::Failed,
            change: None,
            writes: None,
            code: Some(code.into()),
            message: Some(message.into()),
            retryable,
        }
    }
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResult {
    /// Batch and place in one number.
    pub id: i64,
    /// Its batch's id.
    pub batch: String,
    /// Where its record stands.
    pub place: Place,
    /// Of the record.
    pub kind: Option<String>,
    /// Likewise.
    pub source_name: Option<String>,
    /// Likewise.
    pub external_id: Option<String>,
    /// How far it is.
    pub status: ResultStatus,
    /// How often it was tried.
    pub attempts: u32,
    /// Its end, or the reason of the last attempt.
    pub end: Finish,
    /// When.
    pub updated_at: i64,
    /// The record's bytes, if they were asked for and are kept.
    pub original: Option<Vec<u8>>,
}

/// Which results are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResultQuery {
    /// Of this batch only.
    pub batch: Option<Number>,
    /// In this status only.
    pub status: Option<ResultStatus>,
    /// Behind this result.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
    /// With the bytes of those that failed.
    pub originals: bool,
}

/// The id of a batch's result.
pub fn result_id(batch: Number, ordinal: u64) -> Result<i64, SqlError> {
    if ordinal > MOST_RECORDS {
        return Err(SqlError::Refused(format!("a batch holds at most {MOST_RECORDS} records")));
    }
    Ok((batch << SHIFT) + signed(ordinal)?)
}

/// The last place of a batch that has a result; 0 = none has.
pub(super) fn last_ordinal(session: &Session<'_>, batch: Number) -> Result<u64, SqlError> {
    let (first, last) = span(batch);
    let found: Option<i64> =
        session.one("SELECT max(id) FROM import_result WHERE id BETWEEN ?1 AND ?2", values![first, last], |row| {
            row.get(0)
        })?;
    Ok(found.map_or(0, |id| u64::try_from(id - first).unwrap_or_default()))
}

/// First and last id of a batch.
fn span(batch: Number) -> (i64, i64) {
    (batch << SHIFT, ((batch + 1) << SHIFT) - 1)
}

fn change_word(change: Option<Change>) -> Option<&'static str> {
    change.map(|change| match change {
        Change::Created => "created",
        Change::Updated => "updated",
    })
}

fn writes_text(writes: Option<Writes>) -> Result<Option<String>, SqlError> {
    writes
        .map(|writes| serde_json::to_string(&writes).map_err(|error| SqlError::Unreadable(error.to_string())))
        .transpose()
}

/// Stores results of a batch, with the bytes of their records.
pub fn insert_results(session: &Session<'_>, batch: Number, new: &[NewResult], now: i64) -> Result<(), SqlError> {
    let mut ids = Vec::with_capacity(new.len());
    let mut writes = Vec::with_capacity(new.len());
    for result in new {
        ids.push(result_id(batch, result.place.ordinal)?);
        writes.push(writes_text(result.end.as_ref().and_then(|end| end.writes))?);
    }
    let offsets: Vec<(Option<i64>, i64)> = new
        .iter()
        .map(|result| Ok((result.place.line.map(signed).transpose()?, signed(result.place.offset)?)))
        .collect::<Result<_, SqlError>>()?;
    let rows = new.iter().zip(&ids).zip(&writes).zip(&offsets).map(|(((result, id), writes), (line, offset))| {
        let end = result.end.as_ref();
        vec![
            Value::Int(*id),
            Value::Int(batch),
            Value::from(*line),
            Value::Int(*offset),
            Value::from(&result.kind),
            Value::from(&result.source_name),
            Value::from(&result.external_id),
            Value::Text(end.map_or(ResultStatus::Created, |end| end.status).as_str()),
            Value::from(end.and_then(|end| change_word(end.change))),
            Value::from(writes),
            Value::from(result.attempts),
            Value::from(end.and_then(|end| end.code.as_deref())),
            Value::from(end.and_then(|end| end.message.as_deref())),
            Value::Bool(end.is_some_and(|end| end.retryable)),
            Value::Int(now),
        ]
    });
    session.execute_many(
        "INSERT INTO import_result (id, batch, line, byte_offset, kind, source_name, external_id, status, change, \
         writes, attempts, code, message, retryable, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        rows,
    )?;
    let originals = new
        .iter()
        .zip(&ids)
        .filter_map(|(result, id)| result.original.as_deref().map(|bytes| vec![Value::Int(*id), Value::Blob(bytes)]));
    session.execute_many("INSERT INTO import_original (result, bytes) VALUES (?1, ?2)", originals)?;
    Ok(())
}

/// The bytes of a record, if they are kept.
pub fn original(session: &Session<'_>, result: i64) -> Result<Option<Vec<u8>>, SqlError> {
    session.first("SELECT bytes FROM import_original WHERE result = ?1", values![result], |row| row.get(0))
}

/// Ends a result that is ours. `false`: it is not ours any more (cancelled, or taken over), so nothing may be done for
/// it.
pub fn finish(session: &Session<'_>, result: i64, owner: &str, end: &Finish, now: i64) -> Result<bool, SqlError> {
    let writes = writes_text(end.writes)?;
    let ours = changed(
        session,
        "UPDATE import_result SET status = ?3, change = ?4, writes = ?5, code = ?6, message = ?7, retryable = ?8, \
         lease_owner = NULL, lease_until = NULL, updated_at = ?9 \
         WHERE id = ?1 AND lease_owner = ?2 AND status = 'started'",
        values![
            result,
            owner,
            end.status.as_str(),
            change_word(end.change),
            &writes,
            &end.code,
            &end.message,
            end.retryable,
            now
        ],
    )?;
    if ours && end.status != ResultStatus::Failed {
        session.execute("DELETE FROM import_original WHERE result = ?1", values![result])?;
    }
    Ok(ours)
}

/// It is tried again from `not_before` on; `false` as in [`finish`].
pub fn retry_later(
    session: &Session<'_>,
    result: i64,
    owner: &str,
    code: &str,
    message: &str,
    not_before: i64,
    now: i64,
) -> Result<bool, SqlError> {
    changed(
        session,
        "UPDATE import_result SET status = 'retrying', code = ?3, message = ?4, retryable = TRUE, not_before = ?5, \
         lease_owner = NULL, lease_until = NULL, updated_at = ?6 \
         WHERE id = ?1 AND lease_owner = ?2 AND status = 'started'",
        values![result, owner, code, message, not_before, now],
    )
}

/// Ends everything that is open in a batch.
pub fn fail_open(session: &Session<'_>, batch: Number, code: &str, message: &str, now: i64) -> Result<u64, SqlError> {
    session.execute(
        "UPDATE import_result SET status = 'failed', code = ?2, message = ?3, retryable = TRUE, lease_owner = NULL, \
         lease_until = NULL, updated_at = ?4 \
         WHERE batch = ?1 AND status IN ('created', 'started', 'retrying')",
        values![batch, code, message, now],
    )
}

/// Forgets the results of a batch that never arrived whole.
pub fn drop_results(session: &Session<'_>, batch: Number) -> Result<(), SqlError> {
    let (first, last) = span(batch);
    session.execute("DELETE FROM import_original WHERE result BETWEEN ?1 AND ?2", values![first, last])?;
    session.execute("DELETE FROM import_result WHERE id BETWEEN ?1 AND ?2", values![first, last]).map(drop)
}

/// How many results of a batch are in which status.
pub fn counts(session: &Session<'_>, batch: Number) -> Result<ResultCounts, SqlError> {
    let rows = session.query(
        "SELECT status, count(*) FROM import_result WHERE batch = ?1 GROUP BY status",
        values![batch],
        |row| {
            let status = row.text(0)?;
            Ok((word(ResultStatus::named(status), status)?, row.get::<u64>(1)?))
        },
    )?;
    let mut counts = ResultCounts::default();
    for (status, count) in rows {
        counts.add(status, count);
    }
    Ok(counts)
}

/// Is anything of this batch not decided yet?
pub fn has_open(session: &Session<'_>, batch: Number) -> Result<bool, SqlError> {
    session.exists(
        "SELECT 1 FROM import_result WHERE batch = ?1 AND status IN ('created', 'started', 'retrying') LIMIT 1",
        values![batch],
    )
}

/// Why records of an import failed, the most frequent first.
pub fn failure_codes(session: &Session<'_>, import: Number) -> Result<Vec<(String, u64)>, SqlError> {
    session.query(
        "SELECT coalesce(r.code, ''), count(*) FROM import_batch b \
         JOIN import_result r ON r.batch = b.number AND r.status = 'failed' \
         WHERE b.import = ?1 AND b.superseded = FALSE GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20",
        values![import],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Batches and results of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Batches in all, superseded ones left out.
    pub batches: u64,
    /// Batches that have not ended.
    pub open_batches: u64,
    /// Batches that ended as failed or partially failed.
    pub failed_batches: u64,
    /// Batches that are in.
    pub completed_batches: u64,
    /// Results.
    pub results: ResultCounts,
}

/// Adds up an import. Ended batches know their counts; only those in work are counted anew.
pub fn totals(session: &Session<'_>, import: Number) -> Result<Totals, SqlError> {
    let mut totals = Totals::default();
    let rows = session.query(
        "SELECT status, count(*), CAST(coalesce(sum(completed), 0) AS BIGINT), \
         CAST(coalesce(sum(unchanged), 0) AS BIGINT), CAST(coalesce(sum(failed), 0) AS BIGINT) \
         FROM import_batch WHERE import = ?1 AND superseded = FALSE GROUP BY status",
        values![import],
        |row| {
            let status = row.text(0)?;
            let counts = ResultCounts {
                completed: row.get(2)?,
                unchanged: row.get(3)?,
                failed: row.get(4)?,
                ..ResultCounts::default()
            };
            Ok((word(ImportStatus::named(status), status)?, row.get::<u64>(1)?, counts))
        },
    )?;
    let mut open = false;
    for (status, count, counts) in rows {
        totals.batches += count;
        match status {
            ImportStatus::Created | ImportStatus::Started => {
                totals.open_batches += count;
                open = true;
            }
            ImportStatus::Completed => totals.completed_batches += count,
            ImportStatus::Failed | ImportStatus::PartiallyFailed => totals.failed_batches += count,
            ImportStatus::Cancelled => {}
        }
        totals.results.add_all(&counts);
    }
    if open {
        let numbers: Vec<Number> = session.query(
            "SELECT number FROM import_batch WHERE import = ?1 AND status IN ('created', 'started') AND runner IS NULL",
            values![import],
            |row| row.get(0),
        )?;
        for number in numbers {
            totals.results.add_all(&counts(session, number)?);
        }
        totals.results.add_all(&bulk::open_rows(session, import)?.as_results());
    }
    Ok(totals)
}

/// Results of an import in the order of its batches and records.
pub fn results(session: &Session<'_>, import: Number, query: &ResultQuery) -> Result<Vec<StoredResult>, SqlError> {
    let mut parameters =
        vec![Value::Int(import), Value::Int(query.after >> SHIFT), Value::Int(query.after), Value::from(query.limit)];
    let mut filter = String::new();
    for (column, value) in [
        ("b.number", query.batch.map(Value::Int)),
        ("r.status", query.status.map(|status| Value::Text(status.as_str()))),
    ] {
        if let Some(value) = value {
            parameters.push(value);
            // Writing to a string cannot fail.
            let _ = write!(filter, " AND {column} = ?{}", parameters.len());
        }
    }
    let original = if query.originals { "CASE WHEN r.status = 'failed' THEN o.bytes END" } else { "NULL" };
    let join = if query.originals { "LEFT JOIN import_original o ON o.result = r.id" } else { "" };
    // Numbers of an import's batches grow with their ordinals, whose index gives the order.
    let sql = format!(
        "SELECT r.id, CAST(b.id AS TEXT), r.line, r.byte_offset, r.kind, r.source_name, r.external_id, r.status, \
         r.attempts, r.change, r.writes, r.code, r.message, r.retryable, r.updated_at, {original} \
         FROM import_batch b JOIN import_result r ON r.batch = b.number \
           AND r.id BETWEEN b.number * 16777216 AND b.number * 16777216 + 16777215 {join} \
         WHERE b.import = ?1 AND b.superseded = FALSE AND b.number >= ?2 AND r.id > ?3{filter} \
         ORDER BY b.ordinal, r.id LIMIT ?4"
    );
    session.query(&sql, &parameters, result)
}

fn result(row: &Row<'_>) -> Result<StoredResult, SqlError> {
    let id: i64 = row.get(0)?;
    let status = row.text(7)?;
    let status = word(ResultStatus::named(status), status)?;
    let change = row.text_or_null(9)?.map(|word| if word == "created" { Change::Created } else { Change::Updated });
    let writes = row
        .text_or_null(10)?
        .map(|text| serde_json::from_str(text).map_err(|error| SqlError::Unreadable(error.to_string())))
        .transpose()?;
    let ordinal = u64::try_from(id & ((1 << SHIFT) - 1)).unwrap_or_default();
    Ok(StoredResult {
        id,
        batch: row.get(1)?,
        place: Place { ordinal, line: row.get(2)?, offset: row.get(3)? },
        kind: row.get(4)?,
        source_name: row.get(5)?,
        external_id: row.get(6)?,
        status,
        attempts: row.get(8)?,
        end: Finish { status, change, writes, code: row.get(11)?, message: row.get(12)?, retryable: row.get(13)? },
        updated_at: row.get(14)?,
        original: row.get(15)?,
    })
}

/// How many failed results of an import still have their record's bytes.
pub fn failed_with_original(session: &Session<'_>, import: Number) -> Result<u64, SqlError> {
    session.one(
        "SELECT count(*) FROM import_batch b JOIN import_result r ON r.batch = b.number AND r.status = 'failed' \
         JOIN import_original o ON o.result = r.id WHERE b.import = ?1",
        values![import],
        |row| row.get(0),
    )
}

/// Copies the failed records of an import, at most `limit` behind the result `after`, into a batch of another one. The
/// number of those copied, and the last.
pub fn copy_failed(session: &Session<'_>, import: Number, into: Number, now: i64) -> Result<u64, SqlError> {
    let (first, _) = span(into);
    // Both statements number the same rows in the same order.
    let numbered = "FROM (SELECT r.*, row_number() OVER (ORDER BY r.id) AS place FROM import_batch b \
         JOIN import_result r ON r.batch = b.number AND r.status = 'failed' \
         JOIN import_original o ON o.result = r.id WHERE b.import = ?1) f";
    let copied = session.execute(
        &format!(
            "INSERT INTO import_result (id, batch, line, byte_offset, kind, source_name, external_id, status, \
             updated_at) \
             SELECT ?2 + f.place, ?3, f.line, f.byte_offset, f.kind, f.source_name, f.external_id, 'created', ?4 \
             {numbered} ORDER BY f.place"
        ),
        values![import, first, into, now],
    )?;
    session.execute(
        &format!(
            "INSERT INTO import_original (result, bytes) SELECT ?2 + f.place, o.bytes {numbered} \
             JOIN import_original o ON o.result = f.id"
        ),
        values![import, first],
    )?;
    Ok(copied)
}
