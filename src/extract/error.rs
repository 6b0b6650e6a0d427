//! Why a source did not give what it was asked for. No text holds a URL or a token.

use std::borrow::Cow;

use http::StatusCode;

use super::parse::Malformed;
use crate::error::{Fault, Party, Severity};
use crate::http::HttpError;

/// A request to a source that did not end in data.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// No answer at all, after every retry.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Kodik does not take the token.
    #[error("kodik {endpoint}: the token is refused: {message}")]
    BadToken {
        /// Endpoint name.
        endpoint: &'static str,
        /// The service's words.
        message: String,
    },
    /// The service understood and said no.
    #[error("{service} {endpoint}: refused with HTTP {status}: {message}")]
    Refused {
        /// Service name.
        service: &'static str,
        /// Endpoint name.
        endpoint: &'static str,
        /// HTTP status; Kodik refuses with 500 and sometimes with 200.
        status: u16,
        /// The service's words, shortened.
        message: String,
        /// Was a listing cursor sent along? Then that may be what is refused.
        with_cursor: bool,
    },
    /// The service refuses this client as a whole.
    #[error("{service} {endpoint}: refuses this client with HTTP {status}: {message}")]
    Forbidden {
        /// Service name.
        service: &'static str,
        /// Endpoint name.
        endpoint: &'static str,
        /// 401 or 403.
        status: u16,
        /// The service's words, shortened.
        message: String,
    },
    /// An answer in another format, usually an error page.
    #[error("{service} {endpoint}: HTTP {status}, {reason}")]
    NotJson {
        /// Service name.
        service: &'static str,
        /// Endpoint name.
        endpoint: &'static str,
        /// HTTP status.
        status: u16,
        /// The beginning of the body, cleaned.
        reason: String,
    },
    /// JSON, but not the expected one.
    #[error("{service} {endpoint}: unexpected answer: {reason}")]
    Unexpected {
        /// Service name.
        service: &'static str,
        /// Endpoint name.
        endpoint: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// One record that cannot be used.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The listing continues on a host that is not the configured one.
    #[error("kodik /list: `next_page` points to another host, `{host}`")]
    ForeignNextPage {
        /// The host, nothing more of the URL.
        host: String,
    },
    /// The listing says that it continues, but not where.
    #[error("kodik /list: `next_page` carries no `next` cursor")]
    NoCursor,
    /// The listing leads back to a page it has shown before.
    #[error("kodik /list: the cursor repeats after {pages} pages, the listing would never end")]
    RepeatingCursor {
        /// Pages seen so far.
        pages: usize,
    },
    /// The listing has more pages than any real one.
    #[error("kodik /list: no end after {pages} pages")]
    EndlessListing {
        /// Pages seen so far.
        pages: usize,
    },
}

impl ExtractError {
    /// Must the run stop (resumably), because no other request would fare better?
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Http(error) => error.is_service_wide(),
            Self::BadToken { .. }
            | Self::Forbidden { .. }
            | Self::ForeignNextPage { .. }
            | Self::NoCursor
            | Self::RepeatingCursor { .. }
            | Self::EndlessListing { .. } => true,
            Self::Refused { .. } | Self::NotJson { .. } | Self::Unexpected { .. } | Self::Malformed(_) => false,
        }
    }

    /// Did the service refuse a request that carried a listing cursor? Walking the pages from the start may work then.
    pub fn is_bad_cursor(&self) -> bool {
        matches!(self, Self::Refused { with_cursor: true, .. })
    }

    /// The source's name.
    pub fn service(&self) -> &'static str {
        match self {
            Self::Http(error) => error.service(),
            Self::Refused { service, .. }
            | Self::Forbidden { service, .. }
            | Self::NotJson { service, .. }
            | Self::Unexpected { service, .. } => service,
            Self::Malformed(malformed) if malformed.what != "material" => "shikimori",
            _ => "kodik",
        }
    }

    /// A short code for grouping in reports.
    pub fn code(&self) -> String {
        match self {
            Self::Http(HttpError::Exhausted { .. }) => "exhausted".to_owned(),
            Self::Http(HttpError::Throttled { .. }) => "throttled".to_owned(),
            Self::Http(HttpError::Down { .. }) => "down".to_owned(),
            Self::Http(HttpError::Moved { .. } | HttpError::Redirect { .. }) => "moved".to_owned(),
            Self::Http(HttpError::TooLarge { .. }) => "too_large".to_owned(),
            Self::Http(HttpError::Invalid { .. }) => "invalid_request".to_owned(),
            Self::BadToken { .. } => "bad_token".to_owned(),
            Self::Refused { status, .. } | Self::Forbidden { status, .. } => format!("http_{status}"),
            Self::NotJson { .. } => "not_json".to_owned(),
            Self::Unexpected { .. } => "unexpected_answer".to_owned(),
            Self::Malformed(_) => "malformed".to_owned(),
            Self::ForeignNextPage { .. } => "foreign_next_page".to_owned(),
            Self::NoCursor => "no_cursor".to_owned(),
            Self::RepeatingCursor { .. } | Self::EndlessListing { .. } => "endless_listing".to_owned(),
        }
    }

    /// An answer that is done but not JSON.
    pub(super) fn not_json(service: &'static str, endpoint: &'static str, status: StatusCode, body: &[u8]) -> Self {
        Self::NotJson { service, endpoint, status: status.as_u16(), reason: super::text::not_json(body) }
    }
}

impl Fault for ExtractError {
    fn severity(&self) -> Severity {
        match self {
            Self::Http(error) => error.severity(),
            Self::NotJson { .. } => Severity::Transient,
            Self::Refused { status, .. } if *status >= 500 && self.service() != "kodik" => Severity::Transient,
            _ => Severity::Permanent,
        }
    }

    fn party(&self) -> Party {
        match self {
            Self::Http(error) => error.party(),
            _ => Party::Source,
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match self {
            Self::Http(error) => return error.hint(),
            Self::BadToken { .. } => {
                "check KODIK_API_TOKEN; some tokens work for players but not for /list and /search; `parser diagnose` tries it"
            }
            Self::Forbidden { .. } => {
                "set the User-Agent to your application's name (browser names are banned); `parser diagnose` shows what the service says"
            }
            Self::Refused { with_cursor: true, .. } => {
                "the saved cursor may be too old; a run from page 1 skips what is done"
            }
            Self::Refused { service: "shikimori", status: 403, .. } => {
                "the title may be hidden, or the User-Agent is not accepted: set it to your application's name"
            }
            Self::Refused { service: "shikimori", status: 404, .. }
            | Self::NotJson { service: "shikimori", status: 404, .. } => {
                "check SHIKIMORI_BASE_URL: it should end in /api"
            }
            Self::NotJson { service: "kodik", .. } | Self::Unexpected { service: "kodik", .. } => {
                "check KODIK_BASE_URL; `parser diagnose` shows what answers there"
            }
            Self::NotJson { .. } | Self::Unexpected { .. } => {
                "check SHIKIMORI_BASE_URL; `parser diagnose` shows what answers there"
            }
            Self::ForeignNextPage { host } => {
                return Some(Cow::Owned(format!(
                    "the service may have moved; if you trust `{host}`, set KODIK_BASE_URL to it"
                )));
            }
            Self::NoCursor | Self::RepeatingCursor { .. } | Self::EndlessListing { .. } => {
                "the source's paging is broken; try again later or check KODIK_BASE_URL"
            }
            Self::Refused { .. } | Self::Malformed(_) => return None,
        }))
    }
}
