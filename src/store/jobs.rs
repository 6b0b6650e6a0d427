//! The table of the four jobs: when each runs next, who runs it now, and how its last run went.
//!
//! Whoever holds the lease of a job runs it; a lease that has run out (its holder was killed) is anybody's. So two
//! processes never run one job at the same time, whoever started them.

use serde::Serialize;

use crate::model::RecordKind;
use crate::store::sql::{Row, Session, SqlError, values};

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Which.
    pub kind: RecordKind,
    /// Its expression; empty = it runs only when asked for.
    pub cron: String,
    /// The time zone of that.
    pub zone: String,
    /// Until when its holder has it.
    pub lease_until: Option<i64>,
    /// `schedule`, `api`, `command`.
    pub started_by: Option<String>,
    /// The last run's beginning.
    pub started_at: Option<i64>,
    /// Its end; nothing while it runs, or when it was killed.
    pub finished_at: Option<i64>,
    /// When it runs next by itself.
    pub next_run_at: Option<i64>,
    /// Of the last run, or of the one that is going on.
    pub counts: RunCounts,
    /// Why the last run did not go well.
    pub last_error: Option<String>,
}

/// What became of the records of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RunCounts {
    /// New or changed in the catalogue.
    pub written: u64,
    /// The catalogue had them.
    pub unchanged: u64,
    /// Their other end is missing.
    pub waiting: u64,
    /// Refused.
    pub failed: u64,
}

impl RunCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.written + self.unchanged + self.waiting + self.failed
    }
}

/// Makes sure that the job is there with this schedule; a schedule that has changed counts from now on.
pub fn ensure(
    session: &Session<'_>,
    kind: RecordKind,
    cron: &str,
    zone: &str,
    next_run_at: Option<i64>,
) -> Result<(), SqlError> {
    session
        .execute(
            "INSERT INTO job (name, cron, zone, next_run_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (name) DO UPDATE SET cron = excluded.cron, zone = excluded.zone, \
             next_run_at = excluded.next_run_at \
             WHERE job.cron <> excluded.cron OR job.zone <> excluded.zone \
             OR (job.next_run_at IS NULL) <> (excluded.next_run_at IS NULL)",
            values![kind.as_str(), cron, zone, next_run_at],
        )
        .map(drop)
}

/// All jobs.
pub fn all(session: &Session<'_>) -> Result<Vec<JobRow>, SqlError> {
    session.query(
        "SELECT name, cron, zone, lease_until, started_by, started_at, finished_at, next_run_at, written, unchanged, \
         waiting, failed, last_error FROM job ORDER BY name",
        &[],
        row,
    )
}

fn row(row: &Row<'_>) -> Result<JobRow, SqlError> {
    let kind = row.text(0)?.parse().map_err(|_| SqlError::Unreadable("a stored job is unreadable".to_owned()))?;
    Ok(JobRow {
        kind,
        cron: row.get(1)?,
        zone: row.get(2)?,
        lease_until: row.get(3)?,
        started_by: row.get(4)?,
        started_at: row.get(5)?,
        finished_at: row.get(6)?,
        next_run_at: row.get(7)?,
        counts: RunCounts { written: row.get(8)?, unchanged: row.get(9)?, waiting: row.get(10)?, failed: row.get(11)? },
        last_error: row.get(12)?,
    })
}

/// Takes the date at which the job is due; `false` = somebody else has.
pub fn take_date(session: &Session<'_>, kind: RecordKind, due: i64, next: Option<i64>) -> Result<bool, SqlError> {
    let touched = session.execute(
        "UPDATE job SET next_run_at = ?3 WHERE name = ?1 AND next_run_at = ?2",
        values![kind.as_str(), due, next],
    )?;
    Ok(touched > 0)
}

/// Begins a run; `false` = one is going on.
pub fn start(
    session: &Session<'_>,
    kind: RecordKind,
    owner: &str,
    started_by: &str,
    now: i64,
    until: i64,
) -> Result<bool, SqlError> {
    let touched = session.execute(
        "UPDATE job SET lease_owner = ?2, lease_until = ?3, started_by = ?4, started_at = ?5, finished_at = NULL, \
         written = 0, unchanged = 0, waiting = 0, failed = 0, last_error = NULL \
         WHERE name = ?1 AND (lease_owner IS NULL OR lease_until < ?5)",
        values![kind.as_str(), owner, until, started_by, now],
    )?;
    Ok(touched > 0)
}

/// Goes on: the lease lasts longer, and everybody may see how far it is. `false` = somebody else has it now.
pub fn keep(
    session: &Session<'_>,
    kind: RecordKind,
    owner: &str,
    counts: RunCounts,
    until: i64,
) -> Result<bool, SqlError> {
    let RunCounts { written, unchanged, waiting, failed } = counts;
    let touched = session.execute(
        "UPDATE job SET lease_until = ?3, written = ?4, unchanged = ?5, waiting = ?6, failed = ?7 \
         WHERE name = ?1 AND lease_owner = ?2",
        values![
            kind.as_str(),
            owner,
            until,
            crate::store::sql::signed(written)?,
            crate::store::sql::signed(unchanged)?,
            crate::store::sql::signed(waiting)?,
            crate::store::sql::signed(failed)?
        ],
    )?;
    Ok(touched > 0)
}

/// Ends a run.
pub fn end(
    session: &Session<'_>,
    kind: RecordKind,
    owner: &str,
    error: Option<&str>,
    now: i64,
) -> Result<(), SqlError> {
    session
        .execute(
            "UPDATE job SET lease_owner = NULL, lease_until = NULL, finished_at = ?3, last_error = ?4 \
             WHERE name = ?1 AND lease_owner = ?2",
            values![kind.as_str(), owner, now, error],
        )
        .map(drop)
}
