//! What every kind of source does: answer with the object's bytes from some byte on.

use bytes::Bytes;
use futures::stream::BoxStream;

use super::file::FileOrigin;
use super::http::HttpOrigin;
use super::s3::S3Origin;

/// One object of one source.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    File(FileOrigin),
    Http(HttpOrigin),
    S3(S3Origin),
}

/// A source's answer.
pub(super) struct Answer {
    /// What tells this version of the object from others: entity tag, time and length.
    pub(super) tag: Option<String>,
    /// The byte of the object that the body begins with; at most the one that was asked for.
    pub(super) start: u64,
    /// Bytes of the whole object, if it is known.
    pub(super) length: Option<u64>,
    pub(super) body: BoxStream<'static, Result<Bytes, Trouble>>,
}

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Another try may help, after this many seconds if the source says so.
    Passing { reason: String, after: Option<u64> },
    /// The object is another one now.
    Changed,
    /// There is none.
    NotFound,
    /// We do not get it.
    Refused(String),
    /// It is said to be elsewhere.
    Redirected(u16),
    /// Not what an answer looks like.
    Nonsense(String),
    /// It may not be read.
    NotAllowed(&'static str),
}

impl Trouble {
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), after: None }
    }
}

impl Origin {
    /// Asks for the object from byte `at` on, if it still is the one of the tag.
    pub(super) async fn open(&self, at: u64, tag: Option<&str>) -> Result<Answer, Trouble> {
        match self {
            Self::File(origin) => origin.open(at).await,
            Self::Http(origin) => origin.open(at, tag).await,
            Self::S3(origin) => origin.open(at, tag).await,
        }
    }

    /// Its name in metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Http(_) => "http",
            Self::S3(_) => "s3",
        }
    }
}
