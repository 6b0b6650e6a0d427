//! Judges Shikimori's answers. It answers 503 for its own bugs, HTML from its protection, 429 in plain text.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::extract::text::{MESSAGE_MAX, clean, looks_like_json, not_json};
use crate::http::{Response, Verdict, retry_after};

/// Judges an answer of Shikimori.
pub fn classify(response: &Response) -> Verdict {
    let Response { status, headers, body } = response;
    let code = status.as_u16();
    match code {
        429 => Verdict::Throttled(retry_after(headers, Timestamp::now())),
        200..=299 if looks_like_json(body) => Verdict::Done,
        200..=299 => Verdict::Retry(not_json(body)),
        // Any exception in the application comes as 503: it is this request's trouble, not the service's end.
        503 => match bug(body) {
            Some(bug) => Verdict::Retry(format!("HTTP 503: {bug}")),
            None => Verdict::Outage("HTTP 503".to_owned()),
        },
        502 | 504 | 520..=530 => Verdict::Outage(format!("HTTP {code}")),
        500..=599 | 408 | 425 => Verdict::Retry(format!("HTTP {code}")),
        // The protection's challenge page; the application itself refuses in JSON.
        403 if !looks_like_json(body) => Verdict::Retry(format!("HTTP 403, {}", not_json(body))),
        _ => Verdict::Done,
    }
}

/// `{"code":503,"exception":"…","message":"…"}`.
fn bug(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Bug {
        exception: Option<Value>,
        message: Option<Value>,
    }
    let bug: Bug = serde_json::from_slice(body).ok()?;
    let parts = [bug.exception?, bug.message.unwrap_or_default()];
    let text = parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(": ");
    Some(clean(&text, MESSAGE_MAX))
}
