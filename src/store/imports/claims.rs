//! The queue: results that are not decided, taken by one worker at a time for a while.

use super::Number;
use crate::model::{Collision, ImportStatus, ResultStatus};
use crate::store::sql::{Session, SqlError, Value, values};

/// Whose claim, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The worker.
    pub owner: String,
    /// When it lapses.
    pub until: i64,
    /// Results at most.
    pub limit: u32,
}

/// A result that is ours now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Its id.
    pub result: i64,
    /// Attempts, this one included.
    pub attempts: u32,
    /// What its record is about, so that two of the same are not worked on at once.
    pub about: (Option<String>, Option<String>, Option<String>),
}

/// A batch with results to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueBatch {
    /// The batch.
    pub number: Number,
    /// How far it is.
    pub status: ImportStatus,
    /// Its import.
    pub import: Number,
    /// The import's id.
    pub import_id: String,
    /// How far the import is.
    pub import_status: ImportStatus,
    /// Towards what is there.
    pub collision: Collision,
    /// Only into staging.
    pub later: bool,
}

/// Results of a batch that may be claimed, cheapest question first.
const DUE: [(ResultStatus, &str); 3] = [
    (ResultStatus::Retrying, "AND not_before <= ?4"),
    (ResultStatus::Started, "AND (lease_until IS NULL OR lease_until < ?4)"),
    (ResultStatus::Created, ""),
];

/// Batches with results that may be claimed now. `LIMIT 1` where `EXISTS` would do: a server answers `EXISTS` for all
/// batches at once, by reading the results of all that ever were.
pub fn due_batches(session: &Session<'_>, now: i64, limit: u32) -> Result<Vec<DueBatch>, SqlError> {
    let sql = "SELECT b.number, b.status, r.number, CAST(r.id AS TEXT), r.status, r.collision, r.process \
         FROM import_batch b JOIN import_record r ON r.number = b.import \
         WHERE b.status IN ('created', 'started') AND b.runner IS NULL AND (b.received = TRUE OR b.storage_url IS NOT NULL) \
           AND ((SELECT 1 FROM import_result WHERE batch = b.number AND status = 'created' LIMIT 1) = 1 \
             OR (SELECT 1 FROM import_result WHERE batch = b.number AND status = 'retrying' \
               AND not_before <= ?1 LIMIT 1) = 1 \
             OR (SELECT 1 FROM import_result WHERE batch = b.number AND status = 'started' \
               AND (lease_until IS NULL OR lease_until < ?1) LIMIT 1) = 1) \
         ORDER BY b.number LIMIT ?2";
    session.query(sql, values![now, limit], |row| {
        let status = row.text(1)?;
        let import_status = row.text(4)?;
        let collision = row.text(5)?;
        Ok(DueBatch {
            number: row.get(0)?,
            status: super::word(ImportStatus::named(status), status)?,
            import: row.get(2)?,
            import_id: row.get(3)?,
            import_status: super::word(ImportStatus::named(import_status), import_status)?,
            collision: super::word(collision.parse().ok(), collision)?,
            later: row.text(6)? == "later",
        })
    })
}

/// Batches without anything open that have not been ended.
pub fn finished_batches(session: &Session<'_>, limit: u32) -> Result<Vec<(Number, Number)>, SqlError> {
    session.query(
        "SELECT b.number, b.import FROM import_batch b \
         WHERE b.status IN ('created', 'started') AND b.runner IS NULL AND b.received = TRUE \
           AND (SELECT 1 FROM import_result WHERE batch = b.number \
             AND status IN ('created', 'started', 'retrying') LIMIT 1) IS NULL \
         ORDER BY b.number LIMIT ?1",
        values![limit],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Takes results of a batch; those of others are passed by.
pub fn claim(session: &Session<'_>, batch: Number, claim: &Claim, now: i64) -> Result<Vec<Claimed>, SqlError> {
    let mut claimed = Vec::new();
    for (status, due) in DUE {
        let left = claim.limit.saturating_sub(u32::try_from(claimed.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        // As a range of the index by status: in the order of ids alone a server may walk through all that are decided.
        let status = status.as_str();
        let select = format!(
            "SELECT id FROM import_result WHERE (batch, status, id) > (?1, '{status}', 0) AND \
             (batch, status, id) < (?1, '{status}', {}) {due} ORDER BY batch, status, id LIMIT ?5",
            i64::MAX
        );
        let sql = format!(
            "UPDATE import_result SET status = 'started', attempts = attempts + 1, lease_owner = ?2, \
             lease_until = ?3, updated_at = ?4 WHERE {} RETURNING id, attempts, kind, source_name, external_id",
            session.engine().claimable("id", &select),
        );
        let parameters = values![batch, &claim.owner, claim.until, now, left];
        claimed.extend(session.query(&sql, parameters, |row| {
            Ok(Claimed { result: row.get(0)?, attempts: row.get(1)?, about: (row.get(2)?, row.get(3)?, row.get(4)?) })
        })?);
    }
    claimed.sort_by_key(|claimed| claimed.result);
    Ok(claimed)
}

/// Keeps what is ours for longer.
pub fn renew(session: &Session<'_>, owner: &str, results: &[i64], until: i64) -> Result<u64, SqlError> {
    session.execute_many(
        "UPDATE import_result SET lease_until = ?3 WHERE id = ?1 AND lease_owner = ?2 AND status = 'started'",
        results.iter().map(|result| vec![Value::Int(*result), Value::Text(owner), Value::Int(until)]),
    )
}

/// Gives back what was claimed and not begun: the attempt does not count.
pub fn release(session: &Session<'_>, owner: &str, results: &[i64]) -> Result<u64, SqlError> {
    session.execute_many(
        "UPDATE import_result SET lease_owner = NULL, lease_until = NULL, attempts = attempts - 1 \
         WHERE id = ?1 AND lease_owner = ?2 AND status = 'started'",
        results.iter().map(|result| vec![Value::Int(*result), Value::Text(owner)]),
    )
}

/// Results that are ended together at most.
pub const TOGETHER: usize = 64;

/// What the sender sent for these results (at most [`TOGETHER`]), in one question, in the order of the results.
pub fn originals(session: &Session<'_>, results: &[i64]) -> Result<Vec<(i64, Vec<u8>)>, SqlError> {
    let Some(last) = results.last() else { return Ok(Vec::new()) };
    // One text for every number of results, so that it is prepared once.
    let places = (1..=TOGETHER).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ");
    let ids: Vec<_> = results.iter().chain(std::iter::repeat(last)).take(TOGETHER).map(|id| Value::Int(*id)).collect();
    session.query(
        &format!("SELECT result, bytes FROM import_original WHERE result IN ({places}) ORDER BY result"),
        &ids,
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Ends results that are ours as completed without a change of the catalogue; `false` = one of them is not ours any
/// more, so the transaction must not be committed.
pub fn complete_all(session: &Session<'_>, results: &[i64], owner: &str, now: i64) -> Result<bool, SqlError> {
    let ended = session.execute_many(
        "UPDATE import_result SET status = 'completed', change = NULL, writes = NULL, code = NULL, message = NULL, \
         retryable = FALSE, lease_owner = NULL, lease_until = NULL, updated_at = ?3 \
         WHERE id = ?1 AND lease_owner = ?2 AND status = 'started'",
        results.iter().map(|result| vec![Value::Int(*result), Value::Text(owner), Value::Int(now)]),
    )?;
    let gone = results.iter().map(|result| vec![Value::Int(*result)]);
    session.execute_many("DELETE FROM import_original WHERE result = ?1", gone)?;
    Ok(ended == results.len() as u64)
}
