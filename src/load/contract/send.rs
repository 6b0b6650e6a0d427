//! One request of the contract: token, conflict retry, and what its failure means for the title.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::answer::{Answer, understand};
use crate::error::{Fault, Severity, chain};
use crate::http::{Request, Service};
use crate::load::LoadError;
use crate::model::Failure;

/// The contract's endpoints.
#[derive(Debug, Clone, Copy)]
pub(super) enum Endpoint {
    Anime,
    Episodes,
    Video,
}

impl Endpoint {
    fn path(self) -> &'static str {
        match self {
            Self::Anime => "/api/v1/internal/import/anime",
            Self::Episodes => "/api/v1/internal/import/episodes",
            Self::Video => "/api/v1/internal/import/video",
        }
    }
}

/// The backend with its token.
#[derive(Debug)]
pub(super) struct Client {
    service: Service,
    token: HeaderValue,
    secret: SecretString,
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The parent is not there.
    Lost(String),
    /// This part was refused.
    Refused { code: String, message: String, retryable: bool },
    /// Nothing more can be loaded.
    Stop(LoadError),
}

/// A part of a title that was not taken.
#[derive(Debug)]
pub(super) struct Part {
    code: String,
    line: String,
    retryable: bool,
    pub(super) lost: bool,
    pub(super) stop: Option<LoadError>,
}

impl Client {
    pub(super) fn new(service: Service, secret: SecretString) -> Result<Self, LoadError> {
        let mut token = HeaderValue::from_str(secret.expose_secret())
            .map_err(|_| LoadError::Config("INTERNAL_TOKEN holds characters that no header may hold".to_owned()))?;
        token.set_sensitive(true);
        Ok(Self { service, token, secret })
    }

    /// Sends a payload; `Ok` carries a line for each part of it that was not taken.
    pub(super) async fn post(&self, endpoint: Endpoint, payload: String) -> Result<Vec<String>, Trouble> {
        let body = Bytes::from(payload);
        match self.once(endpoint, body.clone()).await? {
            // Somebody was faster: the same again finds what they wrote.
            Answer::Conflict(_) => Self::judge(self.once(endpoint, body).await?),
            answer => Self::judge(answer),
        }
    }

    async fn once(&self, endpoint: Endpoint, body: Bytes) -> Result<Answer, Trouble> {
        let request = Request::post_json(endpoint.path(), endpoint.path(), body)
            .header(HeaderName::from_static("x-internal-token"), self.token.clone())
            .traced();
        match self.service.send(request).await {
            Ok(response) => Ok(self.scrub(understand(&response))),
            Err(error) if error.is_service_wide() => Err(Trouble::Stop(LoadError::Http(error))),
            Err(error) => Err(Trouble::Refused {
                code: "http".to_owned(),
                message: self.clean(chain(&error)),
                retryable: error.severity() == Severity::Transient,
            }),
        }
    }

    fn judge(answer: Answer) -> Result<Vec<String>, Trouble> {
        match answer {
            Answer::Accepted { errors } => Ok(errors),
            Answer::BadToken(message) => Err(Trouble::Stop(LoadError::BadToken { message })),
            Answer::NotFound(message) => Err(Trouble::Lost(message)),
            Answer::Conflict(message) => {
                Err(Trouble::Refused { code: "conflict".to_owned(), message, retryable: true })
            }
            Answer::Refused { code, message } => Err(Trouble::Refused { code, message, retryable: false }),
        }
    }

    /// A backend may repeat our request in its answer, token and all.
    fn scrub(&self, answer: Answer) -> Answer {
        match answer {
            Answer::Accepted { errors } => {
                Answer::Accepted { errors: errors.into_iter().map(|line| self.clean(line)).collect() }
            }
            Answer::BadToken(text) => Answer::BadToken(self.clean(text)),
            Answer::NotFound(text) => Answer::NotFound(self.clean(text)),
            Answer::Conflict(text) => Answer::Conflict(self.clean(text)),
            Answer::Refused { code, message } => Answer::Refused { code, message: self.clean(message) },
        }
    }

    fn clean(&self, text: String) -> String {
        let secret = self.secret.expose_secret();
        if secret.len() >= 4 && text.contains(secret) { text.replace(secret, "[token]") } else { text }
    }
}

impl Trouble {
    /// The part it happened to.
    pub(super) fn of(self, name: String) -> Part {
        let part = |code: String, line: String, retryable| Part { code, line, retryable, lost: false, stop: None };
        match self {
            Self::Lost(message) => Part { lost: true, ..part("order".to_owned(), format!("{name}: {message}"), true) },
            Self::Refused { code, message, retryable } => part(code, format!("{name}: {message}"), retryable),
            Self::Stop(error) => Part { stop: Some(error), ..part(String::new(), name, true) },
        }
    }
}

impl Part {
    /// Answered with "not successful".
    pub(super) fn partial(name: &str, errors: &[String]) -> Self {
        Self::partial_line(name, &errors.join("; "))
    }

    /// One line of such an answer.
    pub(super) fn partial_line(name: &str, line: &str) -> Self {
        Self { code: "partial".to_owned(), line: format!("{name}: {line}"), retryable: true, lost: false, stop: None }
    }

    /// Videos that were not sent, because their episodes were refused.
    pub(super) fn orphans(count: usize) -> Self {
        let line = format!("{count} videos: not sent, their episodes were refused");
        Self { code: "partial".to_owned(), line, retryable: true, lost: false, stop: None }
    }
}

/// The title's failure, with a line for each refused part.
pub(super) fn failure(parts: Vec<Part>) -> Failure {
    let first = parts.first();
    let code = first.map(|part| part.code.clone()).unwrap_or_default();
    let reason = match parts.as_slice() {
        [one] => one.line.clone(),
        [one, ..] => format!("{} (and {} more parts)", one.line, parts.len() - 1),
        [] => String::new(),
    };
    Failure {
        stage: "contract".to_owned(),
        code,
        reason,
        // Whatever is refused for good stays refused, but the rest may get through next time.
        retryable: parts.iter().any(|part| part.retryable),
        parts: bounded(parts.into_iter().map(|part| part.line).collect()),
    }
}

/// At most [`Failure::MAX_PARTS`] lines; the last one counts the rest.
pub(super) fn bounded(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > Failure::MAX_PARTS {
        let rest = lines.len() - (Failure::MAX_PARTS - 1);
        lines.truncate(Failure::MAX_PARTS - 1);
        lines.push(format!("… and {rest} more"));
    }
    lines
}
