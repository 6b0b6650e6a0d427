//! Requests and answers. A secret parameter never reaches `Debug`, a log or an error.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use secrecy::SecretString;
use std::time::Duration;

use crate::observe::traces;

/// One request, relative to the service's base URL. Cheap to clone: it is sent again on retries.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Path below the base URL, `/list`; also the endpoint's name in logs when `endpoint` is not set.
    pub path: String,
    /// The endpoint's name in logs and metrics, without ids: `/api/animes/:id`.
    pub endpoint: &'static str,
    /// Query parameters in order.
    pub query: Vec<(&'static str, Param)>,
    /// Extra headers; mark secret values `set_sensitive`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// JSON body.
    pub json: Option<Bytes>,
}

/// A query parameter.
#[derive(Debug, Clone)]
pub enum Param {
    /// Shown in logs.
    Plain(String),
    /// Never shown.
    Secret(SecretString),
}

impl Request {
    /// A GET.
    pub fn get(path: impl Into<String>, endpoint: &'static str) -> Self {
        Self { method: Method::GET, path: path.into(), endpoint, query: Vec::new(), headers: Vec::new(), json: None }
    }

    /// A POST with a JSON body.
    pub fn post_json(path: impl Into<String>, endpoint: &'static str, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, json: Some(body.into()), ..Self::get(path, endpoint) }
    }

    /// Adds a visible query parameter.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, Param::Plain(value.into())));
        self
    }

    /// Adds a secret query parameter.
    #[must_use]
    pub fn secret(mut self, name: &'static str, value: SecretString) -> Self {
        self.query.push((name, Param::Secret(value)));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Lets the receiver go on with the trace that is open here. For a backend only: no source has business with it.
    #[must_use]
    pub fn traced(mut self) -> Self {
        for (name, value) in traces::traceparent() {
            self.headers.extend(HeaderValue::from_str(&value).map(|value| (HeaderName::from_static(name), value)));
        }
        self
    }
}

/// A whole answer, decompressed, within the size cap.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body after decompression.
    pub body: Bytes,
}

/// A service's judgement of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Hand it to the caller, whatever its status says.
    Done,
    /// A transient failure of this request; counts as an attempt.
    Retry(String),
    /// 429. With the wait the service asked for, if it did; else the next window.
    Throttled(Option<Duration>),
    /// The service as a whole is not there (502, 503, 504, 52x): feeds the breaker; counts as an attempt.
    Outage(String),
}
