//! Why a server cannot start.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::token::SHORTEST_PUBLIC;
use crate::backend::BackendError;
use crate::error::{Fault, Party, Severity};
use crate::store::objects::ObjectError;

/// A server that does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others could reach it, and its token is missing or too easy.
    #[error("{address} can be reached from other machines, but INTERNAL_TOKEN {problem}")]
    Exposed {
        /// The address.
        address: SocketAddr,
        /// `is not set`, `has fewer than 32 characters`.
        problem: &'static str,
    },
    /// The file of the generated token cannot be read or written.
    #[error("cannot use the token file `{}`", .path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The system gives no random numbers.
    #[error("the system has no random numbers for a token: {0}")]
    Random(String),
    /// The rules of what may be fetched cannot be used.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The catalogue does not open.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl Fault for ServerError {
    fn severity(&self) -> Severity {
        match self {
            Self::Backend(error) => error.severity(),
            Self::Objects(error) => error.severity(),
            _ => Severity::Permanent,
        }
    }

    fn party(&self) -> Party {
        match self {
            Self::Bind { .. } | Self::Exposed { .. } => Party::Usage,
            Self::TokenFile { .. } | Self::Random(_) => Party::State,
            Self::Backend(error) => error.party(),
            Self::Objects(error) => error.party(),
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Bind { .. } => Some("another program may have the port: choose another one with --listen".into()),
            Self::Exposed { .. } => Some(Cow::Owned(format!(
                "set INTERNAL_TOKEN to at least {SHORTEST_PUBLIC} characters (`openssl rand -hex 32`), or listen on \
                 127.0.0.1"
            ))),
            Self::TokenFile { .. } => Some("set INTERNAL_TOKEN, or make the state folder writable".into()),
            Self::Random(_) => Some("set INTERNAL_TOKEN".into()),
            Self::Backend(error) => error.hint(),
            Self::Objects(error) => error.hint(),
        }
    }
}
