//! Why the backend could not import a title.

use std::borrow::Cow;

use crate::error::{Fault, Party, Severity};
use crate::store::{StoreError, StoreErrorKind};

/// A failed use case.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// The store failed.
    #[error("catalogue {0}")]
    Store(#[from] StoreError),
}

impl BackendError {
    /// Does another process hold the store's write lock, so that waiting helps?
    pub fn is_locked(&self) -> bool {
        match self {
            Self::Store(error) => error.kind == StoreErrorKind::Locked,
        }
    }

    /// Does it concern the backend as a whole (the run must stop) and not just this title?
    pub fn stops_run(&self) -> bool {
        match self {
            Self::Store(error) => error.stops_run(),
        }
    }
}

impl Fault for BackendError {
    fn severity(&self) -> Severity {
        match self {
            Self::Store(error) => error.severity(),
        }
    }

    fn party(&self) -> Party {
        match self {
            Self::Store(error) => error.party(),
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Store(error) => error.hint(),
        }
    }
}
