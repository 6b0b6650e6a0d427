//! Answers: JSON, and the contract's error envelope `{"error":{"code","message","trace_id"}}`.
//!
//! A handler says what went wrong and, apart from that, why; the client gets the first, the log gets both, and the
//! trace id joins them. The trace id is known outside the handlers (`trace`), so a refusal travels as an extension of
//! an empty answer and becomes a body there.

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::backend::BackendError;
use crate::error::chain;

/// Why a request is not served.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// For the log only.
    cause: Option<String>,
    /// Seconds after which to come back.
    retry_after: Option<u32>,
}

impl Refusal {
    /// An error with the contract's general code.
    pub(super) fn http(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, code: "HTTP_ERROR", message: message.into(), cause: None, retry_after: None }
    }

    /// The request is not what the contract asks for. It never says which field.
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        let mut refusal = Self::http(StatusCode::UNPROCESSABLE_ENTITY, "Invalid request data");
        refusal.code = "VALIDATION_ERROR";
        refusal.cause = Some(why.into());
        refusal
    }

    /// The backend failed; `message` is all that the client learns.
    pub(super) fn failed(message: &str, error: &BackendError) -> Self {
        let mut refusal = Self::http(StatusCode::INTERNAL_SERVER_ERROR, message);
        refusal.cause = Some(chain(error));
        refusal
    }

    /// A bug of ours.
    pub(super) fn internal(cause: impl Into<String>) -> Self {
        let mut refusal = Self::http(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error");
        refusal.code = "INTERNAL_ERROR";
        refusal.cause = Some(cause.into());
        refusal
    }

    /// Not now.
    pub(super) fn busy(message: &str, seconds: u32) -> Self {
        let mut refusal = Self::http(StatusCode::SERVICE_UNAVAILABLE, message);
        refusal.retry_after = Some(seconds);
        refusal
    }

    /// The same, with what the log shall say.
    pub(super) fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What the client learns.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// What the log says about it.
    pub(super) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The answer with its body.
    pub(super) fn with_trace(&self, trace_id: &str) -> Response {
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: Inner<'a>,
        }
        #[derive(Serialize)]
        struct Inner<'a> {
            code: &'a str,
            message: &'a str,
            trace_id: &'a str,
        }
        let error = Inner { code: self.code, message: &self.message, trace_id };
        let mut response = (self.status, Json(Envelope { error })).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}
