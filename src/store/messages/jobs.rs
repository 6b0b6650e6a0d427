//! One job for each message, found again by its mark.

use crate::model::messages::TransferStatus;
use crate::store::sql::{Columns, CopyType, Session, SqlError, signed, values};

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
    /// Tells the message from others, or those of its key from those of other keys.
    pub mark: String,
    /// What it says, of one with a key.
    pub content: Option<String>,
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

impl NewJob {
    /// Where its message is, as a mark.
    pub(super) fn place(&self) -> String {
        super::claim::place(&self.topic, self.partition.into(), self.offset, self.sent_at)
    }
}

pub(super) const JOB: (&str, &Columns<'static>) = (
    "message_job",
    &[
        ("id", CopyType::Uuid),
        ("mark", CopyType::Text),
        ("content", CopyType::Text),
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

/// Ends a job that has begun; `false`: somebody else has.
pub fn finish(session: &Session<'_>, id: &str, end: &JobEnd, now: i64) -> Result<bool, SqlError> {
    let changed = session.execute(
        "UPDATE message_job SET status = ?2, total = ?3, processed = ?4, reason = ?5, updated_at = ?6 \
         WHERE id = ?1 AND status = 'PROCESSING'",
        values![id, end.status.as_str(), signed(end.total)?, signed(end.processed)?, &end.reason, now],
    )?;
    Ok(changed > 0)
}

/// Forgets jobs that ended before a time and have told everything, at most so many, and the imports that they made, unless
/// those were tried again by hand; how many jobs it were.
pub fn forget(session: &Session<'_>, before: i64, most: u32) -> Result<u64, SqlError> {
    let select = "SELECT id FROM message_job j WHERE updated_at < ?1 AND status <> 'PROCESSING' \
         AND NOT EXISTS (SELECT 1 FROM message_outbox o WHERE o.job_id = j.id AND o.published_at IS NULL) \
         ORDER BY updated_at LIMIT ?2";
    let ended = session.engine().among("id", select);
    session.execute(
        &format!(
            "DELETE FROM import_record WHERE {ended} \
             AND NOT EXISTS (SELECT 1 FROM import_record again WHERE again.retry_of = import_record.id)"
        ),
        values![before, most],
    )?;
    session.execute(&format!("DELETE FROM message_job WHERE {ended}"), values![before, most])
}
