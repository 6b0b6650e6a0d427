//! Placeholder until the staging branch is merged.
use crate::model::{Change, Collision, ImportId, RecordKind, Writes};
use crate::store::sql::{Session, SqlError};

/// A record.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Record {
    /// Kind.
    pub kind: RecordKind,
    /// Source.
    pub source_name: String,
    /// Id.
    pub external_id: String,
    /// Payload.
    pub payload: Box<serde_json::value::RawValue>,
    /// When.
    #[serde(default)]
    pub observed_at: Option<jiff::Timestamp>,
}

/// Why a text is not a record.
#[derive(Debug, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct RecordRefused {
    /// Code.
    pub code: &'static str,
    /// Field.
    pub field: String,
    /// Problem.
    pub problem: String,
}

impl Record {
    /// Parses.
    pub fn parse(json: &[u8]) -> Result<Self, RecordRefused> {
        serde_json::from_slice(json).map_err(|e| RecordRefused {
            code: "malformed",
            field: "record".into(),
            problem: e.to_string(),
        })
    }
}

/// Context.
#[derive(Debug, Clone)]
pub struct Context {
    /// Policy.
    pub collision: Collision,
    /// Lineage.
    pub import: Option<ImportId>,
    /// Now.
    pub now: i64,
}

/// Processed.
#[derive(Debug)]
pub enum Processed {
    /// Written.
    Written {
        /// New or not.
        change: Change,
        /// Rows.
        writes: Writes,
    },
    /// Nothing to do.
    Unchanged,
    /// Waits.
    Waiting {
        /// For.
        on: String,
    },
    /// Refused.
    Refused {
        /// Code.
        code: &'static str,
        /// Words.
        message: String,
    },
}

/// Imports.
pub fn import_record(session: &Session<'_>, record: &Record, context: &Context) -> Result<Processed, SqlError> {
    let _ = (session, context);
    if record.payload.get().contains("bad") {
        return Ok(Processed::Refused { code: "bad", message: "bad".into() });
    }
    Ok(Processed::Written { change: Change::Created, writes: Writes { series: 1, ..Writes::default() } })
}

/// Stages only.
pub fn stage(session: &Session<'_>, record: &Record, context: &Context) -> Result<Processed, SqlError> {
    import_record(session, record, context)
}

/// Parks.
pub fn park(
    session: &Session<'_>,
    record: &Record,
    context: &Context,
    code: &str,
    message: &str,
) -> Result<(), SqlError> {
    let _ = (session, record, context, code, message);
    Ok(())
}
