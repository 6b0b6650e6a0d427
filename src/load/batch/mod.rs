//! Loading by imports: a title is one record in one request, brought in whole or not at all, and answered with what has
//! become of it.
//!
//! A run is one import, made when its first title is sent. It has the run's id as its key, so a run that was killed and
//! resumed goes on in the same one; a run that was stopped has closed it, and begins another. Each title has a key, too:
//! a request whose answer was lost is answered again instead of done again.

mod answer;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

use super::LoadError;
use crate::backend::importer::Record;
use crate::error::{Fault as _, Severity, chain};
use crate::http::{Request, Response, Service};
use crate::model::{Failure, Outcome, TitleRecord};
use crate::observe::events;
use answer::{Answer, Made, Sent};

const IMPORTS: &str = "/api/v1/imports";
const BATCHES: &str = "/api/v1/imports/:id/batches";
const FINALISE: &str = "/api/v1/imports/:id/finalise";

/// Longest that the backend is asked to keep an answer back.
const WAIT: Duration = Duration::from_secs(25);

/// How often a batch that has not ended is asked for, each time for as long as [`WAIT`].
const PATIENCE: u32 = 12;

/// Imports of one run: as many as it was stopped and resumed.
const MOST_IMPORTS: u32 = 1000;

/// What closing may take at the end of a run.
const CLOSING: Duration = Duration::from_secs(10);

/// What the loader needs.
#[derive(Debug)]
pub struct Settings {
    /// The backend.
    pub service: Service,
    /// `INTERNAL_TOKEN`.
    pub token: SecretString,
    /// `kodik-shikimori`.
    pub source_name: String,
    /// One attempt of a request.
    pub timeout: Duration,
}

/// The client of the imports API.
#[derive(Debug)]
pub struct Batch {
    service: Service,
    token: HeaderValue,
    secret: SecretString,
    source_name: String,
    target: String,
    wait: HeaderValue,
    open: Mutex<Open>,
}

/// The import that titles go into.
#[derive(Debug, Default)]
struct Open {
    run: String,
    import: Option<String>,
    /// Imports of this run so far.
    number: u32,
}

/// The identity of a backend: its address without anything secret, and the name our titles have there.
pub(super) fn target(base_url: &url::Url, source_name: &str) -> String {
    super::contract::target(base_url, source_name).replacen("contract:", "batch:", 1)
}

impl Batch {
    /// A client of `settings.service`.
    pub fn new(settings: Settings) -> Result<Self, LoadError> {
        let Settings { service, token: secret, source_name, timeout } = settings;
        let mut token = HeaderValue::from_str(secret.expose_secret())
            .map_err(|_| LoadError::Config("INTERNAL_TOKEN holds characters that no header may hold".to_owned()))?;
        token.set_sensitive(true);
        // The answer has to come before the request times out.
        let wait = WAIT.min(timeout.saturating_sub(Duration::from_secs(5))).as_secs().max(1);
        let wait =
            HeaderValue::from_str(&format!("wait={wait}")).map_err(|error| LoadError::Config(error.to_string()))?;
        let target = target(service.base_url(), &source_name);
        Ok(Self { service, token, secret, source_name, target, wait, open: Mutex::default() })
    }

    /// `batch:<address>#<source name>`, without password and query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The run that titles are of from now on.
    pub async fn begin(&self, run: &str) {
        *self.open.lock().await = Open { run: run.to_owned(), import: None, number: 0 };
    }

    /// Loads one title; see [`super::Loader::load`].
    pub async fn load(&self, record: &TitleRecord, known: Option<&str>) -> Result<Outcome, LoadError> {
        let fingerprint = record.fingerprint();
        if known == Some(fingerprint.as_str()) {
            return Ok(Outcome::Unchanged);
        }
        let key = format!("{}-{fingerprint}", record.series.id);
        let body = Bytes::from(format!("[{}]", Record::of_title(&self.source_name, record.clone()).to_json()));
        let mut gone = false;
        for _ in 0..PATIENCE {
            let import = self.import().await?;
            let path = format!("{IMPORTS}/{import}/batches");
            let request = self
                .authorised(Request::post_json(path, BATCHES, body.clone()))
                .header(HeaderName::from_static("idempotency-key"), header(&key)?)
                .header(HeaderName::from_static("prefer"), self.wait.clone());
            let response = match self.service.send(request).await {
                Ok(response) => response,
                Err(error) if error.is_service_wide() => return Err(LoadError::Http(error)),
                Err(error) => {
                    let retryable = error.severity() == Severity::Transient;
                    return Ok(failed("http", self.clean(chain(&error)), retryable));
                }
            };
            match answer::of_batch(&response) {
                Answer::Sent(Sent::Ended(outcome)) => return Ok(self.cleaned(outcome)),
                // The same request again waits for the same batch.
                Answer::Sent(Sent::Open) => {}
                Answer::BadToken(message) => return Err(LoadError::BadToken { message: self.clean(message) }),
                // Somebody has closed the import, or it is gone: another one, once.
                Answer::Closed(_) if !gone => {
                    gone = true;
                    self.forget(&import).await;
                }
                Answer::Closed(message) => return Ok(failed("closed", self.clean(message), true)),
                Answer::Refused { code, message, retryable } => {
                    return Ok(failed(&code, self.clean(message), retryable));
                }
            }
        }
        Ok(failed("unfinished", "the backend has not finished it in time".to_owned(), true))
    }

    /// Closes the import: it ends as soon as nothing of it is open.
    pub async fn close(&self) {
        let open = std::mem::take(&mut *self.open.lock().await);
        let Some(import) = open.import else { return };
        let path = format!("{IMPORTS}/{import}/finalise");
        let request = self.authorised(Request { method: Method::PATCH, ..Request::get(path, FINALISE) });
        let reason = match tokio::time::timeout(CLOSING, self.service.send(request)).await {
            Ok(Ok(response)) if response.status.is_success() => return,
            Ok(Ok(response)) => format!("status {}", response.status.as_u16()),
            Ok(Err(error)) => chain(&error),
            Err(_) => "no answer in time".to_owned(),
        };
        events::import_not_closed(&import, &self.clean(reason));
    }

    /// The run's import, made if there is none.
    async fn import(&self) -> Result<String, LoadError> {
        let mut open = self.open.lock().await;
        if let Some(import) = &open.import {
            return Ok(import.clone());
        }
        while open.number < MOST_IMPORTS {
            open.number += 1;
            let key = format!("{}-{}", open.run, open.number);
            match answer::of_import(&self.create(&key).await?) {
                Made::Open(id) => {
                    open.import = Some(id.clone());
                    return Ok(id);
                }
                // An earlier part of this run has closed it.
                Made::Closed => {}
                Made::BadToken(message) => return Err(LoadError::BadToken { message: self.clean(message) }),
                Made::Refused(message) => {
                    let message = self.clean(message);
                    return Err(LoadError::Config(format!("the backend makes no import: {message}")));
                }
            }
        }
        Err(LoadError::Config(format!("this run has had {MOST_IMPORTS} imports already")))
    }

    async fn create(&self, key: &str) -> Result<Response, LoadError> {
        let body = serde_json::json!({
            "source": self.source_name,
            "processor": concat!("parser/", env!("CARGO_PKG_VERSION")),
            "notes": "a crawl",
        });
        let request = self
            .authorised(Request::post_json(IMPORTS, IMPORTS, body.to_string()))
            .header(HeaderName::from_static("idempotency-key"), header(key)?);
        self.service.send(request).await.map_err(LoadError::Http)
    }

    async fn forget(&self, import: &str) {
        let mut open = self.open.lock().await;
        if open.import.as_deref() == Some(import) {
            open.import = None;
        }
    }

    fn authorised(&self, request: Request) -> Request {
        request.header(HeaderName::from_static("x-internal-token"), self.token.clone()).traced()
    }

    /// A backend may repeat our request in its answer, token and all.
    fn clean(&self, text: String) -> String {
        let secret = self.secret.expose_secret();
        if secret.len() >= 4 && text.contains(secret) { text.replace(secret, "[token]") } else { text }
    }

    fn cleaned(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failed(failure) => Outcome::Failed(Failure { reason: self.clean(failure.reason), ..failure }),
            outcome => outcome,
        }
    }
}

fn header(text: &str) -> Result<HeaderValue, LoadError> {
    HeaderValue::from_str(text).map_err(|error| LoadError::Config(error.to_string()))
}

pub(super) fn failed(code: &str, reason: String, retryable: bool) -> Outcome {
    Outcome::Failed(Failure { stage: "batch".to_owned(), code: code.to_owned(), reason, retryable, parts: Vec::new() })
}
