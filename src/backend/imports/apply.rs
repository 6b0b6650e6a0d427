//! One record into the catalogue (or only into staging), as the end of its result.

use crate::backend::importer::{self, Context, Processed, Record};
use crate::model::{Collision, ImportId, ResultStatus};
use crate::store::imports::Finish;
use crate::store::sql::{Session, SqlError};

/// How the records of an import are brought in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Lineage.
    pub(super) import: ImportId,
    /// Towards what is there.
    pub(super) collision: Collision,
    /// Only into staging.
    pub(super) later: bool,
}

impl Manner {
    pub(super) fn context(self, now: i64) -> Context {
        Context { collision: self.collision, import: Some(self.import), now }
    }
}

/// Brings one record in, in the caller's transaction.
pub(super) fn apply(session: &Session<'_>, record: &Record, manner: Manner, now: i64) -> Result<Finish, SqlError> {
    let context = manner.context(now);
    let done = |status| Finish { status, change: None, writes: None, code: None, message: None, retryable: false };
    if manner.later {
        importer::stage(session, record, &context)?;
        return Ok(done(ResultStatus::Completed));
    }
    Ok(match importer::import_record(session, record, &context)? {
        Processed::Written { change, writes } => {
            Finish { change: Some(change), writes: Some(writes), ..done(ResultStatus::Completed) }
        }
        Processed::Unchanged => done(ResultStatus::Unchanged),
        Processed::Waiting { on } => Finish {
            code: Some("waiting".to_owned()),
            message: Some(format!("complete as soon as there is {on}")),
            ..done(ResultStatus::Completed)
        },
        Processed::Refused { code, message } => Finish::failed(code, message, false),
    })
}

/// Keeps a record that the store refused where an operator finds it.
pub(super) fn park(
    session: &Session<'_>,
    record: &Record,
    manner: Manner,
    code: &str,
    message: &str,
    now: i64,
) -> Result<(), SqlError> {
    importer::park(session, record, &manner.context(now), code, message)
}
