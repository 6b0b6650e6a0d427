//! Kodik's way to say no: HTTP 500 with `{"error":"…"}`, sometimes the same inside a 200. The body is judged first.

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::NAME;
use crate::extract::ExtractError;
use crate::extract::text::{MESSAGE_MAX, clean, is_object, looks_like_json, not_json};
use crate::http::{Response, Verdict, retry_after};

/// Errors are short; a larger body is data and is not searched for one.
const ERROR_BODY_MAX: usize = 16 * 1024;

/// Judges an answer of Kodik.
pub fn classify(response: &Response) -> Verdict {
    let Response { status, body, headers } = response;
    if *status == StatusCode::TOO_MANY_REQUESTS {
        return Verdict::Throttled(retry_after(headers, Timestamp::now()));
    }
    let gone = matches!(status.as_u16(), 502..=504 | 520..=530);
    if let Some(message) = application_error(body) {
        // Asking again does not change an application's mind; a gateway's JSON is not the application's.
        return if gone && !is_about_token(&message) {
            Verdict::Outage(format!("HTTP {}: {}", status.as_u16(), clean(&message, MESSAGE_MAX)))
        } else {
            Verdict::Done
        };
    }
    match status.as_u16() {
        200..=299 if looks_like_json(body) => Verdict::Done,
        200..=299 => Verdict::Retry(not_json(body)),
        _ if gone => Verdict::Outage(format!("HTTP {}", status.as_u16())),
        500..=599 | 408 | 425 => Verdict::Retry(format!("HTTP {}", status.as_u16())),
        // A protection in front of the service may let the next request through.
        403 if !looks_like_json(body) => Verdict::Retry(format!("HTTP 403, {}", not_json(body))),
        _ => Verdict::Done,
    }
}

/// The text of `{"error": …}`, if the body is that.
pub(super) fn application_error(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        error: Value,
    }
    if body.len() > ERROR_BODY_MAX || !is_object(body) {
        return None;
    }
    match serde_json::from_slice::<Refusal>(body).ok()?.error {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) => Some(text),
        other => Some(other.get("message").and_then(Value::as_str).map_or_else(|| other.to_string(), str::to_owned)),
    }
}

/// The error that a refusal means.
pub(super) fn refusal(endpoint: &'static str, status: StatusCode, message: &str, with_cursor: bool) -> ExtractError {
    let about_token = is_about_token(message);
    let message = clean(message, MESSAGE_MAX);
    if about_token || status == StatusCode::UNAUTHORIZED {
        ExtractError::BadToken { endpoint, message }
    } else {
        ExtractError::Refused { service: NAME, endpoint, status: status.as_u16(), message, with_cursor }
    }
}

fn is_about_token(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("токен") || message.contains("token")
}
