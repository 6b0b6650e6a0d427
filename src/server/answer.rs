//! Refusals: problem details (RFC 9457) on our own routes, the contract's envelope on the contract's.
//!
//! A handler says what went wrong and, apart from that, why; the client gets the first, the log gets both, and the
//! trace id joins them. The trace id is known outside the handlers (`trace`), so a refusal travels as an extension of
//! an empty answer and becomes a body there.

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::backend::BackendError;
use crate::error::chain;

/// The media type of [`Problem`].
pub(super) const PROBLEM: &str = "application/problem+json";

/// Why a request is not served.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    status: StatusCode,
    code: Code,
    message: String,
    /// For the log only.
    cause: Option<String>,
    /// Seconds after which to come back.
    retry_after: Option<u32>,
}

/// What a program tells refusals apart by.
#[derive(Debug, Clone, Copy)]
enum Code {
    /// The status says it all.
    Http,
    /// The request is not what is asked for.
    Validation,
    /// A bug of ours.
    Internal,
    /// One that only this refusal has.
    Own(&'static str),
}

/// How an area of routes writes its refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// [`ErrorEnvelope`].
    Contract,
    /// [`Problem`].
    Problem,
}

impl Style {
    /// The style of the routes below this path.
    pub(super) fn of(path: &str) -> Self {
        let below =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if below("/api/v1/internal") || below("/api/v1/anime") { Self::Contract } else { Self::Problem }
    }
}

/// Why a request was refused, by RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:parser:problem:not_found", "title": "Not Found", "status": 404, "detail": "There is no such import",
    "code": "not_found", "trace_id": "0198f2c4-7d1e-7c3a-9b60-3f2f1c5d8e11",
    "instance": "urn:parser:trace:0198f2c4-7d1e-7c3a-9b60-3f2f1c5d8e11",
}))]
pub(super) struct Problem<'a> {
    /// Names the kind of problem: `urn:parser:problem:` and the code.
    #[schema(value_type = String, format = "uri")]
    r#type: String,
    /// The status in words.
    title: &'a str,
    /// The status once more.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong this time.
    detail: &'a str,
    /// What a program tells problems apart by.
    code: &'a str,
    /// Joins the answer to the server's log; also the header `X-Trace-ID`.
    trace_id: &'a str,
    /// The same as a URI.
    #[schema(value_type = String, format = "uri")]
    instance: String,
}

/// Why a request was refused, on the contract's routes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "error": {
    "code": "HTTP_ERROR", "message": "Anime not found: kodik-shikimori/1",
    "trace_id": "0198f2c4-7d1e-7c3a-9b60-3f2f1c5d8e11",
} }))]
pub(super) struct ErrorEnvelope<'a> {
    /// All of it.
    error: ErrorInside<'a>,
}

/// What is inside the envelope.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorInside<'a> {
    /// `HTTP_ERROR`, `VALIDATION_ERROR` or `INTERNAL_ERROR`.
    code: &'a str,
    /// What went wrong.
    message: &'a str,
    /// Joins the answer to the server's log; also the header `X-Trace-ID`.
    trace_id: &'a str,
}

impl Refusal {
    fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), cause: None, retry_after: None }
    }

    /// A refusal that its status says enough about.
    pub(super) fn http(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, Code::Http, message)
    }

    /// A refusal that programs tell apart from others of this status by `code` (lower case, underscores).
    pub(super) fn coded(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, Code::Own(code), message)
    }

    /// The request is not what is asked for. The contract never says which field; our own routes say `why`, which
    /// therefore names places and rules and repeats no value.
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        // It ends up in a log, where a line is a line.
        let why = why.into().replace(char::is_control, " ");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, Code::Validation, "Invalid request data").because(why)
    }

    /// The backend failed; `message` is all that the client learns, and whether to come back.
    pub(super) fn failed(message: &str, error: &BackendError) -> Self {
        if error.is_transient() {
            return Self::busy("The store is busy or away", 2).because(format!("{message}: {}", chain(error)));
        }
        Self::http(StatusCode::INTERNAL_SERVER_ERROR, message).because(chain(error))
    }

    /// A bug of ours.
    pub(super) fn internal(cause: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "Internal server error").because(cause)
    }

    /// Not now.
    pub(super) fn busy(message: &str, seconds: u32) -> Self {
        Self::http(StatusCode::SERVICE_UNAVAILABLE, message).after(seconds)
    }

    /// The same, with how long to wait before the next try.
    pub(super) fn after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
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
    pub(super) fn with_trace(&self, style: Style, trace_id: &str) -> Response {
        let mut response = match style {
            Style::Contract => (self.status, Json(self.envelope(trace_id))).into_response(),
            Style::Problem => {
                let mut response = (self.status, Json(self.problem(trace_id))).into_response();
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
                response
            }
        };
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"parser\""));
        }
        response
    }

    fn envelope<'a>(&'a self, trace_id: &'a str) -> ErrorEnvelope<'a> {
        let code = match self.code {
            Code::Http => "HTTP_ERROR",
            Code::Validation => "VALIDATION_ERROR",
            Code::Internal => "INTERNAL_ERROR",
            Code::Own(code) => code,
        };
        ErrorEnvelope { error: ErrorInside { code, message: &self.message, trace_id } }
    }

    fn problem<'a>(&'a self, trace_id: &'a str) -> Problem<'a> {
        let code = match self.code {
            Code::Http => word(self.status),
            Code::Validation => "validation_error",
            Code::Internal => "internal_error",
            Code::Own(code) => code,
        };
        let detail = match (self.code, &self.cause) {
            (Code::Validation, Some(why)) => why,
            _ => &self.message,
        };
        Problem {
            r#type: format!("urn:parser:problem:{code}"),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail,
            code,
            trace_id,
            instance: format!("urn:parser:trace:{trace_id}"),
        }
    }
}

/// The code of a refusal that has none of its own.
fn word(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "bad_request",
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::NOT_ACCEPTABLE => "not_acceptable",
        StatusCode::CONFLICT => "conflict",
        StatusCode::PAYLOAD_TOO_LARGE => "payload_too_large",
        StatusCode::URI_TOO_LONG => "uri_too_long",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "header_too_large",
        StatusCode::INTERNAL_SERVER_ERROR => "server_error",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ => "http_error",
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

#[cfg(test)]
mod tests {
    use super::Style;

    #[test]
    fn the_contract_keeps_its_envelope() {
        for path in ["/api/v1/internal/import/anime", "/api/v1/internal", "/api/v1/anime", "/api/v1/anime/one/x"] {
            assert_eq!(Style::of(path), Style::Contract, "{path}");
        }
        for path in ["/", "/readyz", "/api/v1/imports", "/api/v1/animes", "/api/v1/internals", "/x/api/v1/anime"] {
            assert_eq!(Style::of(path), Style::Problem, "{path}");
        }
    }
}
