//! Why the backend could not import a title.

use std::borrow::Cow;

use crate::error::{Fault, Party, Severity};
use crate::store::StoreError;

/// A failed use case.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// The store failed.
    #[error("catalogue {0}")]
    Store(#[from] StoreError),
}

impl BackendError {
    /// Is the same worth doing again after a moment? A lock is held for long, changes collided, the server is away.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
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
