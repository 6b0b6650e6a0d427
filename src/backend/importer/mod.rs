//! The catalogue importer: the only way into the canonical tables, for whole records and for the parts that the import
//! contract sends, for the crawler in this process, for the jobs, and for every import over HTTP.
//!
//! [`import_record`] does all of one record inside its caller's transaction: what the record says is read and brought
//! into form (`title`, `persons`, by the domain's services), what is stored is read, pure functions decide what changes,
//! the difference is written, what waited for the new entity is carried out (`arrivals`), and staging keeps the hash and
//! lineage. A record that is refused changes nothing but its staging row, which keeps it whole, with the reason.

mod arrivals;
mod convert;
mod parts;
pub mod payload;
mod persons;
mod pictures;
mod record;
mod series;
mod staged;
mod title;

pub use parts::{stage_part, stage_video};
pub use record::{IdText, LONGEST_ID, Payload, Record, RecordRefused};
pub use staged::{process, settle_missed, stage, stage_all};
pub use title::{CastMember, Parts, Title, season_of};

pub(super) use arrivals::series as series_arrived;
pub(super) use pictures::shown as picture_shown;

use crate::model::{Change, Collision, ImportId, RecordKind, Writes};
use crate::store::sql::{Session, SqlError};
use crate::store::staging::Finish;

/// Under which terms a record is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// What to do when the catalogue has it already.
    pub collision: Collision,
    /// The import that brings it; none for the crawler in this process.
    pub import: Option<ImportId>,
    /// The time of everything that is written, in milliseconds since 1970.
    pub now: i64,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Processed {
    /// The catalogue has it now.
    Written {
        /// New or changed.
        change: Change,
        /// How many rows.
        writes: Writes,
    },
    /// The catalogue had all of it, or the policy leaves it as it is.
    Unchanged,
    /// Its other end is not there yet; it completes by itself when that arrives.
    Waiting {
        /// What has to arrive: `series kodik-shikimori/5114`.
        on: String,
    },
    /// It will never be taken as it is. Nothing of it is applied; staging keeps it.
    Refused {
        /// For grouping: `invalid_field`, `exists`.
        code: &'static str,
        /// What a person reads; names the field.
        message: String,
    },
}

impl Processed {
    fn refused(refused: &RecordRefused) -> Self {
        Self::Refused { code: refused.code, message: refused.to_string() }
    }

    /// How its staging row ends.
    fn finish(&self) -> Finish<'_> {
        match self {
            Self::Written { .. } | Self::Unchanged => Finish::Processed(None),
            Self::Waiting { on } => Finish::Waiting(on),
            Self::Refused { code, message } => Finish::Errors(code, message),
        }
    }
}

/// Brings a record into the catalogue, through staging, in the caller's transaction.
///
/// # Errors
/// Only the store's: the caller's transaction must not be committed. Whoever meets a permanent one parks the record with
/// [`park`] in another transaction.
pub fn import_record(session: &Session<'_>, record: &Record, context: &Context) -> Result<Processed, SqlError> {
    let (processed, trace) = apply(session, record, context)?;
    staged::keep(session, record, context, &processed, &trace)?;
    Ok(processed)
}

/// Keeps a record whose transaction had to be undone, with the reason.
///
/// # Errors
/// The store's.
pub fn park(
    session: &Session<'_>,
    record: &Record,
    context: &Context,
    code: &str,
    message: &str,
) -> Result<(), SqlError> {
    staged::park(session, record, context, code, message)
}

/// What staging needs to know beside the outcome.
#[derive(Debug, Default)]
struct Trace {
    /// Of the content.
    hash: String,
    /// Nothing of this record is open in staging, so there is nothing to close.
    settled: bool,
}

/// Everything but staging.
fn apply(session: &Session<'_>, record: &Record, context: &Context) -> Result<(Processed, Trace), SqlError> {
    match record.kind {
        RecordKind::Series => series::series(session, record, context),
        RecordKind::Release => series::release(session, record, context),
        RecordKind::Character => persons::character(session, record, context),
        RecordKind::Pet => persons::pet(session, record, context),
    }
}
