//! Claims: each row is at most one worker's, for as long as its lease runs.

use super::rows::{COLUMNS, row};
use super::{StagedRow, table};
use crate::model::RecordKind;
use crate::store::sql::{Session, SqlError, values};

/// Who claims how much.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// A UUID of the worker.
    pub owner: &'a str,
    /// At most so many rows.
    pub limit: u32,
    /// The claim's end, in milliseconds since 1970.
    pub until: i64,
    /// The present, likewise.
    pub now: i64,
}

/// Claims the oldest rows that are to be processed, those first whose worker's lease has run out. Whoever claims at the
/// same moment gets others.
pub fn claim(session: &Session<'_>, kind: RecordKind, claim: Claim<'_>) -> Result<Vec<StagedRow>, SqlError> {
    let lapsed = format!("state <> 'processed' AND {} AND lease_until < ?3", one("state", "processing"));
    let mut rows = take(session, kind, (&lapsed, "state"), claim)?;
    let left = claim.limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
    if left > 0 {
        let rest = Claim { limit: left, ..claim };
        let ready = format!("state = 'init' AND waits_for IS NULL AND {}", one("shape", ""));
        rows.extend(take(session, kind, (&ready, "shape"), rest)?);
    }
    // `RETURNING` has no order.
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}

/// That a column has this value, as a range of the index that begins with it and goes on with the id.
fn one(column: &str, value: &str) -> String {
    format!("({column}, id) > ('{value}', 0) AND ({column}, id) < ('{value}', {})", i64::MAX)
}

fn take(
    session: &Session<'_>,
    kind: RecordKind,
    (which, first): (&str, &str),
    claim: Claim<'_>,
) -> Result<Vec<StagedRow>, SqlError> {
    let table = table(kind);
    let select = format!("SELECT id FROM {table} WHERE {which} ORDER BY {first}, id LIMIT ?4");
    let these = session.engine().claimable("id", &select);
    session.query(
        &format!(
            "UPDATE {table} SET state = 'processing', lease_owner = ?1, lease_until = ?2, attempts = attempts + 1, \
             updated_at = ?3 WHERE {these} RETURNING {COLUMNS}"
        ),
        values![claim.owner, claim.until, claim.now, claim.limit],
        row,
    )
}

/// Makes the leases of a worker last longer.
pub fn renew(session: &Session<'_>, kind: RecordKind, owner: &str, until: i64) -> Result<(), SqlError> {
    session
        .execute(
            &format!("UPDATE {} SET lease_until = ?2 WHERE state = 'processing' AND lease_owner = ?1", table(kind)),
            values![owner, until],
        )
        .map(drop)
}

/// Gives back what a worker has claimed and not finished.
pub fn release_claims(session: &Session<'_>, kind: RecordKind, owner: &str, now: i64) -> Result<u64, SqlError> {
    session.execute(
        &format!(
            "UPDATE {} SET state = 'init', lease_owner = NULL, lease_until = NULL, updated_at = ?2 \
             WHERE state = 'processing' AND lease_owner = ?1",
            table(kind)
        ),
        values![owner, now],
    )
}

/// Puts all refused rows of a kind back into the queue; how many.
pub fn requeue_errors(session: &Session<'_>, kind: RecordKind, now: i64) -> Result<u64, SqlError> {
    session.execute(
        &format!(
            "UPDATE {} SET state = 'init', attempts = 0, updated_at = ?1 WHERE state = 'with_errors' AND shape = ''",
            table(kind)
        ),
        values![now],
    )
}
