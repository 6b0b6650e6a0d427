//! Around every request: a trace id, a record of how it went, and a body for every refusal.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::answer::{Refusal, Style};
use crate::observe::{events, spans, traces};

/// Joins an answer to the log.
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// A longer id is not adopted.
const LONGEST: usize = 128;

/// The request's id, for those who show it.
#[derive(Debug, Clone)]
pub(super) struct TraceId(pub(super) String);

/// A refusal that has its body already, because a person reads it.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnBody;

/// The middleware.
pub(super) async fn trace(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let style = Style::of(request.uri().path());
    let trace_id = adopted(&request).unwrap_or_else(|| Uuid::now_v7().to_string());
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    // Standard methods only: a client can invent any number of others.
    let method = match request.method().as_str() {
        known @ ("GET" | "POST" | "HEAD" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known.to_owned(),
        _ => "OTHER".to_owned(),
    };
    request.extensions_mut().insert(TraceId(trace_id.clone()));
    let span = spans::request(&method, &route, &trace_id);
    go_on(&span, request.headers());
    let met = Met { started, style, trace_id, route, method };
    let response = met.answer(request, next).instrument(span.clone()).await;
    spans::answered(&span, response.status().as_u16());
    response
}

/// A caller's trace goes on here.
fn go_on(span: &Span, headers: &HeaderMap) {
    let header = |name| headers.get(name).map(HeaderValue::as_bytes);
    traces::continues(span, header("traceparent"), header("tracestate"));
}

/// What is known of a request before it is answered.
struct Met {
    started: Instant,
    style: Style,
    trace_id: String,
    route: String,
    method: String,
}

impl Met {
    async fn answer(self, request: Request, next: Next) -> Response {
        let Self { started, style, trace_id, route, method } = self;
        // A panic must not take the connection with it: the client would not learn that it was us.
        let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(_) => Refusal::internal("the handler panicked").into_response(),
        };
        let refusal = response.extensions_mut().remove::<Refusal>().or_else(|| foreign(&response));
        if let Some(refusal) = refusal {
            let own_body = response.extensions_mut().remove::<OwnBody>().is_some();
            let mut answer =
                if own_body { std::mem::take(&mut response) } else { refusal.with_trace(style, &trace_id) };
            for (name, value) in response.headers() {
                // What a layer has added (`Allow`, CORS) stays; length and type are those of the new body.
                if !answer.headers().contains_key(name) && name != header::CONTENT_LENGTH {
                    answer.headers_mut().insert(name, value.clone());
                }
            }
            if answer.status().is_server_error() {
                events::serving_failed(&route, refusal.cause().unwrap_or("overloaded"), &trace_id);
            } else if let Some(cause) = refusal.cause() {
                events::request_refused(&route, cause, &trace_id);
            }
            response = answer;
        }
        // What we send is what we say it is.
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(value) = HeaderValue::from_str(&trace_id) {
            response.headers_mut().insert(TRACE_ID, value);
        }
        events::request_served(&method, &route, response.status().as_u16(), started.elapsed(), &trace_id);
        response
    }
}

/// A refusal that the framework has written in words of its own.
fn foreign(response: &Response) -> Option<Refusal> {
    let status = response.status();
    let refused = status.is_client_error() || status.is_server_error();
    let typed = response.headers().get(header::CONTENT_TYPE);
    let plain = typed.is_none_or(|value| value.as_bytes().starts_with(b"text/plain"));
    (refused && plain).then(|| Refusal::http(status, status.canonical_reason().unwrap_or("Error")))
}

/// The caller's id, if it is one that can be put into a log as it is.
fn adopted(request: &Request) -> Option<String> {
    let text = request.headers().get(TRACE_ID)?.to_str().ok()?;
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b'=' | b'+');
    (!text.is_empty() && text.len() <= LONGEST && text.bytes().all(plain)).then(|| text.to_owned())
}
