//! Why nothing more can be loaded. A single title that is refused is no error but an outcome.

use std::borrow::Cow;

use crate::backend::BackendError;
use crate::error::{Fault, Party, Severity};
use crate::http::HttpError;
use crate::store::StoreError;

/// The run must stop.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The embedded backend failed as a whole.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The record of what was sent cannot be kept.
    #[error("record of what was sent: {0}")]
    Sent(#[from] StoreError),
    /// The backend cannot be reached.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The backend does not accept the token.
    #[error("the backend refuses the token: {message}")]
    BadToken {
        /// What it says.
        message: String,
    },
    /// What is configured cannot be used.
    #[error("{0}")]
    Config(String),
}

impl Fault for LoadError {
    fn severity(&self) -> Severity {
        match self {
            Self::Backend(error) => error.severity(),
            Self::Sent(error) => error.severity(),
            Self::Http(error) => error.severity(),
            Self::BadToken { .. } | Self::Config(_) => Severity::Permanent,
        }
    }

    fn party(&self) -> Party {
        match self {
            Self::Backend(error) => error.party(),
            Self::Sent(error) => error.party(),
            Self::Http(error) => error.party(),
            Self::BadToken { .. } => Party::Backend,
            Self::Config(_) => Party::Usage,
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Backend(error) => error.hint(),
            Self::Sent(error) => error.hint(),
            Self::Http(error) => error.hint(),
            Self::BadToken { .. } => Some(Cow::Borrowed(
                "set INTERNAL_TOKEN to exactly the backend's INTERNAL_TOKEN; `parser diagnose` checks it",
            )),
            Self::Config(_) => None,
        }
    }
}
