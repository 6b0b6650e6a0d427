//! Jobs: begun, gone on with, finished.

use super::Failure;
use crate::store::sql::{Row, Session, SqlError, signed, values};

/// One import of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// A UUID of version 7.
    pub id: String,
    /// The object's address.
    pub source: String,
    /// Its version.
    pub tag: Option<String>,
    /// Whose nodes.
    pub domain: String,
    /// The one group of all rows, if there is one.
    pub group: Option<String>,
    /// Rows of a batch.
    pub batch: u64,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// Not yet.
    Processing,
    /// Every row is in.
    Completed,
    /// Some are.
    PartiallyFailed,
    /// None is, or it was given up.
    Failed,
}

impl JobStatus {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "PROCESSING",
            Self::Completed => "COMPLETED",
            Self::PartiallyFailed => "PARTIALLY_FAILED",
            Self::Failed => "FAILED",
        }
    }
}

/// What the batches of a job add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// New nodes.
    pub inserted: u64,
    /// Changed nodes.
    pub updated: u64,
    /// Nodes that were as the row says.
    pub unchanged: u64,
    /// Rows that a later one of the same batch replaced.
    pub duplicates: u64,
    /// Rows that are not in.
    pub failed: u64,
}

impl Sums {
    /// Rows that are in.
    pub fn processed(&self) -> u64 {
        self.inserted + self.updated + self.unchanged + self.duplicates
    }

    /// All rows.
    pub fn total(&self) -> u64 {
        self.processed() + self.failed
    }
}

/// Begins a job.
pub fn begin(session: &Session<'_>, job: &Job, now: i64) -> Result<(), SqlError> {
    session.execute(
        "INSERT INTO domains (id, created_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        values![&job.domain, now],
    )?;
    session.execute(
        "INSERT INTO node_jobs (id, source, tag, domain_id, group_name, batch_size, status, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'PROCESSING', ?7, ?7)",
        values![&job.id, &job.source, &job.tag, &job.domain, &job.group, signed(job.batch)?, now],
    )?;
    Ok(())
}

/// The newest unfinished job of the same source, domain and group, and the numbers of its batches that are in.
pub fn unfinished(
    session: &Session<'_>,
    source: &str,
    domain: &str,
    group: Option<&str>,
) -> Result<Option<(Job, Vec<u64>)>, SqlError> {
    let job = session.first(
        "SELECT CAST(id AS TEXT), source, tag, domain_id, group_name, batch_size FROM node_jobs
         WHERE status = 'PROCESSING' AND source = ?1 AND domain_id = ?2 AND group_name IS NOT DISTINCT FROM CAST(?3 AS TEXT)
         ORDER BY created_at DESC, id DESC LIMIT 1",
        values![source, domain, group],
        read_job,
    )?;
    let Some(job) = job else { return Ok(None) };
    let done = session.query(
        "SELECT number FROM node_job_batches WHERE job_id = ?1 ORDER BY number",
        values![&job.id],
        |row| row.get(0),
    )?;
    Ok(Some((job, done)))
}

fn read_job(row: &Row<'_>) -> Result<Job, SqlError> {
    Ok(Job {
        id: row.get(0)?,
        source: row.get(1)?,
        tag: row.get(2)?,
        domain: row.get(3)?,
        group: row.get(4)?,
        batch: row.get(5)?,
    })
}

/// What is done of a job.
pub fn sums(session: &Session<'_>, job: &str) -> Result<Sums, SqlError> {
    session.one(
        "SELECT CAST(coalesce(sum(inserted), 0) AS BIGINT), CAST(coalesce(sum(updated), 0) AS BIGINT),
                CAST(coalesce(sum(unchanged), 0) AS BIGINT), CAST(coalesce(sum(duplicates), 0) AS BIGINT),
                CAST(coalesce(sum(failed), 0) AS BIGINT)
         FROM node_job_batches WHERE job_id = ?1",
        values![job],
        |row| {
            Ok(Sums {
                inserted: row.get(0)?,
                updated: row.get(1)?,
                unchanged: row.get(2)?,
                duplicates: row.get(3)?,
                failed: row.get(4)?,
            })
        },
    )
}

/// Ends a job. A job that has ended stays as it is.
pub fn finish(
    session: &Session<'_>,
    job: &str,
    status: JobStatus,
    reason: Option<&str>,
    now: i64,
) -> Result<(), SqlError> {
    let sums = sums(session, job)?;
    session.execute(
        "UPDATE node_jobs SET status = ?2, reason = ?3, total = ?4, processed = ?5, failed = ?6, updated_at = ?7
         WHERE id = ?1 AND status = 'PROCESSING'",
        values![
            job,
            status.as_str(),
            reason,
            signed(sums.total())?,
            signed(sums.processed())?,
            signed(sums.failed)?,
            now
        ],
    )?;
    Ok(())
}

/// Failed rows after a line, in the order of the file, at most so many.
pub fn each_failure(session: &Session<'_>, job: &str, after: u64, limit: u32) -> Result<Vec<Failure>, SqlError> {
    session.query(
        "SELECT line, reference_id, code, message, original FROM node_job_failures
         WHERE job_id = ?1 AND line > ?2 ORDER BY line LIMIT ?3",
        values![job, signed(after)?, limit],
        |row| {
            Ok(Failure {
                line: row.get(0)?,
                reference: row.get(1)?,
                code: row.get(2)?,
                message: row.get(3)?,
                original: row.get(4)?,
            })
        },
    )
}
