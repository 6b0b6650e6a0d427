//! One job for each message, found again by its mark.

use std::collections::HashMap;

use crate::model::messages::TransferStatus;
use crate::store::sql::{Columns, CopyType, Session, SqlError, Value, signed, values};

/// What a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Nodes of ids.
    References,
    /// Nodes of a file.
    File,
    /// A record of the catalogue.
    Catalogue,
    /// Nobody can tell.
    Unreadable,
}

impl JobKind {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::References => "references",
            Self::File => "file",
            Self::Catalogue => "catalogue",
            Self::Unreadable => "unreadable",
        }
    }
}

/// How a job ended, or how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// Its status.
    pub status: TransferStatus,
    /// What was asked for.
    pub total: u64,
    /// What is in.
    pub processed: u64,
    /// Why it failed.
    pub reason: Option<String>,
}

impl JobEnd {
    /// It has only begun.
    pub fn begun() -> Self {
        Self { status: TransferStatus::Processing, total: 0, processed: 0, reason: None }
    }
}

/// A job as it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// A UUID of version 7.
    pub id: String,
    /// Tells the message from others.
    pub mark: String,
    /// Where it is.
    pub topic: String,
    /// Where it is.
    pub partition: i32,
    /// Where it is.
    pub offset: i64,
    /// What it asks for.
    pub kind: JobKind,
    /// Whose.
    pub domain: Option<String>,
    /// Which group.
    pub group: Option<String>,
    /// How it ends, if that is known at once.
    pub end: JobEnd,
    /// When the message was sent.
    pub sent_at: i64,
}

/// Whose a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Ours: nobody has seen it.
    New,
    /// It has been begun, under this id, and not ended.
    Begun(String),
    /// It is done.
    Done(String),
}

const JOB: (&str, &Columns<'static>) = (
    "message_job",
    &[
        ("id", CopyType::Uuid),
        ("mark", CopyType::Text),
        ("topic", CopyType::Text),
        ("partition", CopyType::Int8),
        ("position", CopyType::Int8),
        ("kind", CopyType::Text),
        ("domain_id", CopyType::Text),
        ("group_name", CopyType::Text),
        ("status", CopyType::Text),
        ("total", CopyType::Int8),
        ("processed", CopyType::Int8),
        ("reason", CopyType::Text),
        ("sent_at", CopyType::Time),
        ("created_at", CopyType::Time),
        ("updated_at", CopyType::Time),
    ],
);

/// Begins jobs. Those that another transaction is just beginning are waited for.
pub fn claim(session: &Session<'_>, jobs: &[NewJob], window: i64, now: i64) -> Result<Vec<Claim>, SqlError> {
    let fresh = insert(session, jobs, now)?;
    if fresh == jobs.len() as u64 {
        return Ok(vec![Claim::New; jobs.len()]);
    }
    let mut known = known(session, jobs)?;
    let mut claims = Vec::with_capacity(jobs.len());
    for job in jobs {
        let found = known.get(&job.mark).cloned();
        let Known { id, status, sent_at } =
            found.ok_or_else(|| SqlError::Unreadable(format!("no job has the mark {}", job.mark)))?;
        claims.push(if id == job.id {
            Claim::New
        } else if status == "PROCESSING" {
            Claim::Begun(id)
        } else if job.sent_at > sent_at.saturating_add(window) {
            // The same words, but said again much later: they mean it. The old job gives its mark away.
            session.execute(
                "UPDATE message_job SET mark = mark || '/' || CAST(id AS TEXT) WHERE mark = ?1",
                values![&job.mark],
            )?;
            insert(session, std::slice::from_ref(job), now)?;
            let status = job.end.status.as_str().to_owned();
            known.insert(job.mark.clone(), Known { id: job.id.clone(), status, sent_at: job.sent_at });
            Claim::New
        } else {
            Claim::Done(id)
        });
    }
    Ok(claims)
}

/// The job that has a mark.
#[derive(Clone)]
struct Known {
    id: String,
    status: String,
    sent_at: i64,
}

fn known(session: &Session<'_>, jobs: &[NewJob]) -> Result<HashMap<String, Known>, SqlError> {
    let marks: Vec<&str> = jobs.iter().map(|job| job.mark.as_str()).collect();
    let marks = serde_json::to_string(&marks).map_err(|error| SqlError::Refused(error.to_string()))?;
    let select = format!("SELECT w.value FROM {}", session.engine().texts("?1"));
    let sql = format!(
        "SELECT mark, CAST(id AS TEXT), status, sent_at FROM message_job WHERE {}",
        session.engine().among("mark", &select)
    );
    let found = session.query(&sql, values![&marks], |row| {
        Ok((row.get(0)?, Known { id: row.get(1)?, status: row.get(2)?, sent_at: row.get(3)? }))
    })?;
    Ok(found.into_iter().collect())
}

fn insert(session: &Session<'_>, jobs: &[NewJob], now: i64) -> Result<u64, SqlError> {
    // In the order of their marks, so that two transactions with the same messages cannot wait for each other.
    let mut ordered: Vec<_> = jobs.iter().collect();
    ordered.sort_by(|a, b| a.mark.cmp(&b.mark));
    let rows = ordered.into_iter().map(|job| {
        Ok(vec![
            (&job.id).into(),
            (&job.mark).into(),
            (&job.topic).into(),
            job.partition.into(),
            job.offset.into(),
            job.kind.as_str().into(),
            (&job.domain).into(),
            (&job.group).into(),
            job.end.status.as_str().into(),
            signed(job.end.total)?.into(),
            signed(job.end.processed)?.into(),
            (&job.end.reason).into(),
            job.sent_at.into(),
            now.into(),
            now.into(),
        ])
    });
    let rows = rows.collect::<Result<Vec<Vec<Value<'_>>>, SqlError>>()?;
    session.insert_set(JOB, "ON CONFLICT (mark) DO NOTHING", &rows)
}

/// Ends a job that has begun; `false`: somebody else has.
pub fn finish(session: &Session<'_>, id: &str, end: &JobEnd, now: i64) -> Result<bool, SqlError> {
    let changed = session.execute(
        "UPDATE message_job SET status = ?2, total = ?3, processed = ?4, reason = ?5, updated_at = ?6 \
         WHERE id = ?1 AND status = 'PROCESSING'",
        values![id, end.status.as_str(), signed(end.total)?, signed(end.processed)?, &end.reason, now],
    )?;
    Ok(changed > 0)
}

/// Has somebody made this group?
pub fn group_exists(session: &Session<'_>, domain: &str, group: &str) -> Result<bool, SqlError> {
    session.exists("SELECT 1 FROM matching_groups WHERE domain_id = ?1 AND name = ?2", values![domain, group])
}

/// Forgets jobs that ended before a time and have told everything, at most so many; how many it were.
pub fn forget(session: &Session<'_>, before: i64, most: u32) -> Result<u64, SqlError> {
    let select = "SELECT id FROM message_job j WHERE updated_at < ?1 AND status <> 'PROCESSING' \
         AND NOT EXISTS (SELECT 1 FROM message_outbox o WHERE o.job_id = j.id AND o.published_at IS NULL) \
         ORDER BY updated_at LIMIT ?2";
    let ended = session.engine().among("id", select);
    session.execute(&format!("DELETE FROM message_job WHERE {ended}"), values![before, most])
}
