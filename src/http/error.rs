//! Why a request got no answer that its caller could use. No variant holds a URL, because URLs carry tokens.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::{Fault, Party, Severity};

/// A request that ended without an answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Attempts or time are spent.
    #[error("{service} {endpoint}: gave up after {attempts} attempts: {last}")]
    Exhausted {
        /// Service name.
        service: &'static str,
        /// Endpoint name.
        endpoint: &'static str,
        /// Attempts made.
        attempts: u32,
        /// What the last one died of.
        last: String,
    },
    /// Nothing but 429, or a 429 that asks for too long a wait.
    #[error("{service} {endpoint}: still rate-limited after {waited:.1?}{}", asked_text(*asked))]
    Throttled {
        /// Service name.
        service: &'static str,
        /// Endpoint name.
        endpoint: &'static str,
        /// Time spent waiting.
        waited: Duration,
        /// The wait the service asked for last, if it did.
        asked: Option<Duration>,
    },
    /// The breaker stayed open for too long.
    #[error("{service} is down: no answer for {down_for:.1?} ({last})")]
    Down {
        /// Service name.
        service: &'static str,
        /// How long.
        down_for: Duration,
        /// What the last probe died of.
        last: String,
    },
    /// A redirect to another host.
    #[error("{service} {endpoint}: redirected to another host, `{to}`")]
    Moved {
        /// Service name.
        service: &'static str,
        /// Endpoint name.
        endpoint: &'static str,
        /// `scheme://host` of the target, nothing more of its URL.
        to: String,
    },
    /// A redirect on the same host that is not followed: too many, without a target, or of a POST.
    #[error("{service} {endpoint}: {reason}")]
    Redirect {
        /// Service name.
        service: &'static str,
        /// Endpoint name.
        endpoint: &'static str,
        /// Which of these.
        reason: String,
    },
    /// The body is larger than allowed.
    #[error("{service} {endpoint}: the answer is larger than {}", size_text(*limit))]
    TooLarge {
        /// Service name.
        service: &'static str,
        /// Endpoint name.
        endpoint: &'static str,
        /// The cap.
        limit: u64,
    },
    /// The client could not be built or the request is not a request.
    #[error("{service}: cannot make a request: {reason}")]
    Invalid {
        /// Service name.
        service: &'static str,
        /// Why.
        reason: String,
    },
}

fn asked_text(asked: Option<Duration>) -> String {
    asked.map(|wait| format!("; it asks to wait {wait:.1?} more")).unwrap_or_default()
}

fn size_text(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

impl HttpError {
    /// The service's name.
    pub fn service(&self) -> &'static str {
        match self {
            Self::Exhausted { service, .. }
            | Self::Throttled { service, .. }
            | Self::Down { service, .. }
            | Self::Moved { service, .. }
            | Self::Redirect { service, .. }
            | Self::TooLarge { service, .. }
            | Self::Invalid { service, .. } => service,
        }
    }

    /// Does it concern the service as a whole (the run must stop) and not just this request?
    pub fn is_service_wide(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Down { .. } | Self::Moved { .. } | Self::Invalid { .. })
    }
}

impl Fault for HttpError {
    fn severity(&self) -> Severity {
        match self {
            Self::Exhausted { .. } | Self::Throttled { .. } | Self::Down { .. } => Severity::Transient,
            Self::Moved { .. } | Self::Redirect { .. } | Self::TooLarge { .. } | Self::Invalid { .. } => {
                Severity::Permanent
            }
        }
    }

    fn party(&self) -> Party {
        match self {
            Self::Invalid { .. } => Party::Usage,
            other if other.service() == "backend" => Party::Backend,
            _ => Party::Source,
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Moved { service, to, .. } => Some(Cow::Owned(format!(
                "the service has moved; if you trust `{to}`, set {}_BASE_URL to it",
                service.to_uppercase()
            ))),
            Self::Throttled { service, .. } => Some(Cow::Owned(format!(
                "lower {}_RATE_LIMIT_RPS or wait, then `parser run --resume`",
                service.to_uppercase()
            ))),
            Self::Down { service, .. } | Self::Exhausted { service, .. } => Some(Cow::Owned(format!(
                "check {}_BASE_URL; `parser diagnose` shows what answers there; then `parser run --resume`",
                service.to_uppercase()
            ))),
            Self::Redirect { service, .. } => {
                Some(Cow::Owned(format!("check the path and the scheme in {}_BASE_URL", service.to_uppercase())))
            }
            Self::TooLarge { .. } => Some(Cow::Borrowed("raise HTTP_MAX_BODY_MIB if the answer is genuine")),
            Self::Invalid { .. } => None,
        }
    }
}
