//! Why a request about imports is not done.

use crate::backend::BackendError;
use crate::store::StoreError;

/// It is not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ImportsError {
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// It cannot be done, for a reason that the caller should know.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl From<StoreError> for ImportsError {
    fn from(error: StoreError) -> Self {
        Self::Backend(error.into())
    }
}

/// What stands against it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No import has this id.
    #[error("There is no such import")]
    NoSuchImport,
    /// No batch of this import has this id.
    #[error("There is no such batch in this import")]
    NoSuchBatch,
    /// Nobody asked for them to be kept.
    #[error(
        "Which rows of this import are in is not kept: no message asked for it, or its status message has them all"
    )]
    NoReferences,
    /// It takes no more batches.
    #[error("The import has been finalised: it takes no more batches")]
    Finalised,
    /// It has ended.
    #[error("The import is {0}: it cannot be changed any more")]
    Ended(&'static str),
    /// It has not ended.
    #[error("The import has not ended: cancel it, or finalise it and wait")]
    NotEnded,
    /// Nothing of it failed.
    #[error("Nothing of this import can be tried again")]
    NothingFailed,
    /// The key was used for something else.
    #[error("This Idempotency-Key was used for another request")]
    KeyReused,
    /// The first request with this key is still being worked on.
    #[error("A request with this Idempotency-Key is still being received")]
    KeyInUse,
    /// The same place is a batch of this import already.
    #[error("This import has a batch of this storage_url already")]
    SamePlace,
    /// It is of the other format.
    #[error("{0}")]
    Format(&'static str),
    /// A command's own: no server works on it.
    #[error("The command line runs this import: run it again there, `--resume` goes on with it")]
    OfCommand,
    /// No place that could be read.
    #[error("{0}")]
    Place(String),
    /// The rules do not let it be read.
    #[error("{0}")]
    PlaceForbidden(String),
    /// The body ended before its end.
    #[error("{0}")]
    Cut(String),
    /// It is larger than is taken.
    #[error("{0}")]
    TooLarge(String),
    /// Somebody cancelled it meanwhile.
    #[error("The import was cancelled meanwhile")]
    Cancelled,
}
