//! Bulk imports: files whose rows are counted by pieces instead of one by one.
//!
//! A piece is written in one transaction with its rows: [`begin_piece`], the rows, [`end_piece`]. Pieces of a batch may
//! be written side by side; whoever ends the batch ([`lock_pieces`]) waits for those that have begun and lets no new
//! one begin, so what it counts is what stands.

use super::results::{self, NewResult, Place};
use super::{Finish, Number, StoredImport, changed, import_by_number};
use crate::model::{ImportFormat, RowCounts};
use crate::store::sql::{Engine, Row, Session, SqlError, Value, signed, values};

/// Who works on a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Runner {
    /// The command that began it; no server claims it.
    Command,
    /// Whichever server or consumer claims it.
    Worker,
}

impl Runner {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Worker => "worker",
        }
    }

    /// The runner of that word.
    pub fn named(word: &str) -> Option<Self> {
        [Self::Command, Self::Worker].into_iter().find(|runner| runner.as_str() == word)
    }
}

/// What only batches of bulk imports have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bulk {
    /// Who works on it.
    pub runner: Runner,
    /// Rows of one piece.
    pub piece_rows: u64,
    /// Bytes of the object, if they are known.
    pub size: Option<u64>,
    /// How often it is tried; none = as the settings say.
    pub patience: Option<Patience>,
    /// How many ids of rows that are in are kept for whoever asked for it; 0 = none.
    pub tells: u32,
}

impl Bulk {
    /// One that is tried as the settings say, and of which nothing is told.
    pub fn new(runner: Runner, piece_rows: u64) -> Self {
        Self { runner, piece_rows, size: None, patience: None, tells: 0 }
    }
}

/// How often something is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Attempts without progress.
    pub tries: u32,
    /// Bound of the first random wait between two, in milliseconds; doubles each time.
    pub first_wait: u64,
}

/// May a piece be written?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Yes, by this transaction.
    Ours,
    /// It is in.
    Done,
    /// Its batch has ended, or belongs to somebody else by now: nothing may be done for it.
    Lost,
}

/// What a piece has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PieceEnd {
    /// Of its rows.
    pub rows: RowCounts,
    /// Bytes behind its last row.
    pub bytes: u64,
    /// Lines behind it.
    pub lines: u64,
}

/// A row that is not in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRow {
    /// Its first line.
    pub line: u64,
    /// Where its first byte stands.
    pub offset: u64,
    /// What it would have been: `node`, or a table's name.
    pub kind: String,
    /// Its reference id, or its key, if it has one.
    pub external_id: Option<String>,
    /// Why, for programs.
    pub code: String,
    /// In words.
    pub message: String,
    /// The row as it is in the file; none = it is too long to be kept.
    pub original: Option<bytes::Bytes>,
}

/// Keeps the batch from being ended while the transaction lasts.
fn share(session: &Session<'_>, batch: Number) -> Result<(), SqlError> {
    session.lock_shared(&format!("bulk {batch}"))
}

/// Waits for pieces that have begun, and lets no other begin until the transaction ends.
pub fn lock_pieces(session: &Session<'_>, batch: Number) -> Result<(), SqlError> {
    session.lock(&format!("bulk {batch}"))
}

/// Marks a piece as in. It comes before its rows. `owner`: whose claim the batch has to be; none = nobody's.
pub fn begin_piece(session: &Session<'_>, batch: Number, owner: Option<&str>, number: u64) -> Result<Turn, SqlError> {
    share(session, batch)?;
    if !is_ours(session, batch, owner)? {
        return Ok(Turn::Lost);
    }
    let fresh = changed(
        session,
        "INSERT INTO bulk_piece (batch, number) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        values![batch, signed(number)?],
    )?;
    Ok(if fresh { Turn::Ours } else { Turn::Done })
}

/// Counts a piece that was begun in the same transaction, and keeps its failed rows.
pub fn end_piece(
    session: &Session<'_>,
    batch: Number,
    number: u64,
    end: &PieceEnd,
    failed: Vec<FailedRow>,
    now: i64,
) -> Result<(), SqlError> {
    let rows = &end.rows;
    session.execute(
        "UPDATE bulk_piece SET inserted = ?3, updated = ?4, unchanged = ?5, duplicates = ?6, failed = ?7, \
         position_bytes = ?8, position_lines = ?9 WHERE batch = ?1 AND number = ?2",
        values![
            batch,
            signed(number)?,
            signed(rows.inserted)?,
            signed(rows.updated)?,
            signed(rows.unchanged)?,
            signed(rows.duplicates)?,
            signed(rows.failed)?,
            signed(end.bytes)?,
            signed(end.lines)?
        ],
    )?;
    insert_failed(session, batch, failed, now)
}

/// Keeps ids of rows of a piece that are in, to be told.
pub fn keep_told(session: &Session<'_>, batch: Number, number: u64, ids: &[String]) -> Result<(), SqlError> {
    if ids.is_empty() {
        return Ok(());
    }
    session
        .execute(
            "UPDATE bulk_piece SET told = ?3 WHERE batch = ?1 AND number = ?2",
            values![batch, signed(number)?, &ids_as_text(ids)?],
        )
        .map(drop)
}

/// Ids as a piece keeps them.
pub(super) fn ids_as_text(ids: &[String]) -> Result<String, SqlError> {
    serde_json::to_string(ids).map_err(|error| SqlError::Refused(error.to_string()))
}

/// What was kept so of the first piece that has something, from a number on; and the number behind it.
pub fn told(session: &Session<'_>, batch: Number, from: u64) -> Result<Option<(Vec<String>, u64)>, SqlError> {
    let found: Vec<(String, i64)> = session.query(
        "SELECT told, number FROM bulk_piece WHERE batch = ?1 AND number >= ?2 AND told IS NOT NULL \
         ORDER BY number LIMIT 1",
        values![batch, signed(from)?],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let Some((ids, number)) = found.into_iter().next() else { return Ok(None) };
    let unreadable = || SqlError::Unreadable("the ids of a piece".to_owned());
    let ids = serde_json::from_str(&ids).map_err(|_| unreadable())?;
    Ok(Some((ids, u64::try_from(number).map_err(|_| unreadable())? + 1)))
}

/// Keeps failed rows as results, numbered as they come.
pub(super) fn insert_failed(
    session: &Session<'_>,
    batch: Number,
    failed: Vec<FailedRow>,
    now: i64,
) -> Result<(), SqlError> {
    if failed.is_empty() {
        return Ok(());
    }
    // The last lock of a transaction, so nobody who holds it waits for anything else.
    session.lock(&format!("bulk failures {batch}"))?;
    let last = results::last_ordinal(session, batch)?;
    let new: Vec<NewResult> = (last + 1..)
        .zip(failed)
        .map(|(ordinal, row)| NewResult {
            place: Place { ordinal, line: Some(row.line), offset: row.offset },
            kind: Some(row.kind),
            source_name: None,
            external_id: row.external_id,
            attempts: 1,
            end: Some(Finish::failed(row.code, row.message, false)),
            original: row.original,
        })
        .collect();
    results::insert_results(session, batch, &new, now)
}

/// Numbers of the pieces of a batch that are in.
pub fn pieces(session: &Session<'_>, batch: Number) -> Result<Vec<u64>, SqlError> {
    session.query("SELECT number FROM bulk_piece WHERE batch = ?1 ORDER BY number", values![batch], |row| row.get(0))
}

const SUMS: &str = "CAST(coalesce(sum(p.inserted), 0) AS BIGINT), CAST(coalesce(sum(p.updated), 0) AS BIGINT), \
     CAST(coalesce(sum(p.unchanged), 0) AS BIGINT), CAST(coalesce(sum(p.duplicates), 0) AS BIGINT), \
     CAST(coalesce(sum(p.failed), 0) AS BIGINT)";

fn sums(row: &Row<'_>) -> Result<RowCounts, SqlError> {
    Ok(RowCounts {
        inserted: row.get(0)?,
        updated: row.get(1)?,
        unchanged: row.get(2)?,
        duplicates: row.get(3)?,
        failed: row.get(4)?,
    })
}

/// What the pieces of a batch that are in add up to, and how far it was read: bytes and lines.
pub fn piece_sums(session: &Session<'_>, batch: Number) -> Result<PieceEnd, SqlError> {
    session.one(
        &format!(
            "SELECT {SUMS}, coalesce(max(p.position_bytes), 0), coalesce(max(p.position_lines), 0) \
             FROM bulk_piece p WHERE p.batch = ?1"
        ),
        values![batch],
        |row| Ok(PieceEnd { rows: sums(row)?, bytes: row.get(5)?, lines: row.get(6)? }),
    )
}

/// What all pieces of an import add up to.
pub fn import_rows(session: &Session<'_>, import: Number) -> Result<RowCounts, SqlError> {
    session.one(
        &format!(
            "SELECT {SUMS} FROM import_batch b JOIN bulk_piece p ON p.batch = b.number \
             WHERE b.import = ?1 AND b.superseded = FALSE"
        ),
        values![import],
        sums,
    )
}

/// The same of its batches that have not ended.
pub(super) fn open_rows(session: &Session<'_>, import: Number) -> Result<RowCounts, SqlError> {
    session.one(
        &format!(
            "SELECT {SUMS} FROM import_batch b JOIN bulk_piece p ON p.batch = b.number \
             WHERE b.import = ?1 AND b.status IN ('created', 'started')"
        ),
        values![import],
        sums,
    )
}

/// Failed rows of a batch behind a line, in the order of the file.
pub fn failed_rows(session: &Session<'_>, batch: Number, after: u64, limit: u32) -> Result<Vec<FailedRow>, SqlError> {
    session.query(
        "SELECT r.line, r.byte_offset, r.kind, r.external_id, r.code, r.message, o.bytes FROM import_result r \
         LEFT JOIN import_original o ON o.result = r.id \
         WHERE r.batch = ?1 AND r.status = 'failed' AND r.line > ?2 ORDER BY r.line LIMIT ?3",
        values![batch, signed(after)?, limit],
        |row| {
            Ok(FailedRow {
                line: row.get(0)?,
                offset: row.get(1)?,
                kind: row.get::<Option<String>>(2)?.unwrap_or_default(),
                external_id: row.get(3)?,
                code: row.get::<Option<String>>(4)?.unwrap_or_default(),
                message: row.get::<Option<String>>(5)?.unwrap_or_default(),
                original: row.get::<Option<Vec<u8>>>(6)?.map(bytes::Bytes::from),
            })
        },
    )
}

/// The newest import of the command line that has not ended, has these options, and has this file still to do.
pub fn unfinished_command(
    session: &Session<'_>,
    format: ImportFormat,
    options: Option<&str>,
    url: &str,
) -> Result<Option<Number>, SqlError> {
    session.first(
        "SELECT r.number FROM import_batch b JOIN import_record r ON r.number = b.import \
         WHERE b.storage_url = ?3 AND b.runner = 'command' AND b.status IN ('created', 'started') \
           AND r.status IN ('created', 'started') AND r.format = ?1 \
           AND r.options IS NOT DISTINCT FROM CAST(?2 AS TEXT) ORDER BY r.number DESC LIMIT 1",
        values![format.as_str(), options, url],
        |row| row.get(0),
    )
}

/// Which version of its object a batch is of, and how long that is.
pub fn note_object(
    session: &Session<'_>,
    batch: Number,
    tag: Option<&str>,
    size: Option<u64>,
    now: i64,
) -> Result<(), SqlError> {
    session
        .execute(
            "UPDATE import_batch SET storage_tag = ?2, size = ?3, updated_at = ?4 WHERE number = ?1",
            values![batch, tag, size.map(signed).transpose()?, now],
        )
        .map(drop)
}

/// Writes what a batch has come to beside its counts: how far it was read.
pub fn note_position(session: &Session<'_>, batch: Number, sums: &PieceEnd) -> Result<(), SqlError> {
    session
        .execute(
            "UPDATE import_batch SET received = TRUE, records = ?2, position_bytes = ?3, position_lines = ?4 \
             WHERE number = ?1",
            values![batch, signed(sums.rows.total())?, signed(sums.bytes)?, signed(sums.lines)?],
        )
        .map(drop)
}

/// Keeps what came with the request.
pub fn keep_input(session: &Session<'_>, batch: Number, content: &[u8]) -> Result<(), SqlError> {
    let parameters = [Value::Int(batch), Value::Blob(content)];
    session.execute("INSERT INTO bulk_input (batch, content) VALUES (?1, ?2)", &parameters).map(drop)
}

/// What came with the request.
pub fn input(session: &Session<'_>, batch: Number) -> Result<Option<Vec<u8>>, SqlError> {
    session.first("SELECT content FROM bulk_input WHERE batch = ?1", values![batch], |row| row.get(0))
}

/// It is not needed any more.
pub fn drop_input(session: &Session<'_>, batch: Number) -> Result<(), SqlError> {
    session.execute("DELETE FROM bulk_input WHERE batch = ?1", values![batch]).map(drop)
}

/// A batch that is ours to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimable {
    /// The batch.
    pub batch: Number,
    /// Attempts without progress, this one included.
    pub attempts: u32,
    /// Its import.
    pub import: StoredImport,
}

/// Is there a batch for a worker that nobody works on?
pub fn any_claimable(session: &Session<'_>, now: i64) -> Result<bool, SqlError> {
    session.exists(
        "SELECT 1 FROM import_batch WHERE runner = 'worker' AND status IN ('created', 'started') \
         AND not_before <= ?1 AND (lease_until IS NULL OR lease_until < ?1) LIMIT 1",
        values![now],
    )
}

/// Takes the oldest batch for a worker that nobody works on. On PostgreSQL others are passed by instead of waited for.
pub fn claim_bulk(session: &Session<'_>, owner: &str, until: i64, now: i64) -> Result<Option<Claimable>, SqlError> {
    let alone = if session.engine() == Engine::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
    let claimed: Option<(Number, Number, u32)> = session.first(
        &format!(
            "UPDATE import_batch SET lease_owner = ?1, lease_until = ?2, attempts = attempts + 1, updated_at = ?3 \
             WHERE number = (SELECT number FROM import_batch WHERE runner = 'worker' \
               AND status IN ('created', 'started') AND not_before <= ?3 \
               AND (lease_until IS NULL OR lease_until < ?3) ORDER BY number LIMIT 1 {alone}) \
             RETURNING number, import, attempts"
        ),
        values![owner, until, now],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let Some((batch, import, attempts)) = claimed else { return Ok(None) };
    Ok(Some(Claimable { batch, attempts, import: import_by_number(session, import)? }))
}

/// Holds the batch until `until`; `false`: it is no longer ours. `progress`: its attempts count anew.
pub fn hold_bulk(
    session: &Session<'_>,
    batch: Number,
    owner: &str,
    until: i64,
    progress: bool,
) -> Result<bool, SqlError> {
    changed(
        session,
        "UPDATE import_batch SET lease_until = ?3, attempts = CASE WHEN ?4 THEN 1 ELSE attempts END \
         WHERE number = ?1 AND lease_owner = ?2 AND status IN ('created', 'started')",
        &[Value::Int(batch), Value::Text(owner), Value::Int(until), Value::Bool(progress)],
    )
}

/// Is the batch open and, with an owner, theirs?
pub fn is_ours(session: &Session<'_>, batch: Number, owner: Option<&str>) -> Result<bool, SqlError> {
    session.exists(
        "SELECT 1 FROM import_batch WHERE number = ?1 AND status IN ('created', 'started') \
         AND (CAST(?2 AS TEXT) IS NULL OR lease_owner = ?2)",
        values![batch, owner],
    )
}

/// How many records of a batch were there already, and are otherwise now.
pub fn updated(session: &Session<'_>, batch: Number) -> Result<u64, SqlError> {
    session.one(
        "SELECT count(*) FROM import_result WHERE batch = ?1 AND status = 'completed' AND change = 'updated'",
        values![batch],
        |row| row.get(0),
    )
}

/// Which version of an object the batch of this address in this import is of.
pub fn object_tag(session: &Session<'_>, import: &str, url: &str) -> Result<Option<String>, SqlError> {
    let found = session.first(
        "SELECT b.storage_tag FROM import_record r JOIN import_batch b ON b.import = r.number \
         WHERE r.id = ?1 AND b.storage_url = ?2",
        values![import, url],
        |row| row.get(0),
    )?;
    Ok(found.flatten())
}

/// Does the command line work on it?
pub fn is_of_command(session: &Session<'_>, import: Number) -> Result<bool, SqlError> {
    session.exists("SELECT 1 FROM import_batch WHERE import = ?1 AND runner = 'command' LIMIT 1", values![import])
}
