//! What the backend's answers mean. Both of its error envelopes are understood.

use http::StatusCode;
use serde::Deserialize;

use crate::http::{Response, Verdict, default_classify};

/// Texts of a backend are cut here: they end up in reports.
const MAX_TEXT: usize = 300;

/// One answer, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Taken; with one line for each part that was not.
    Accepted {
        /// `Episode 3 (ID: 12345:3): …`.
        errors: Vec<String>,
    },
    /// The token is wrong: nothing will ever be accepted.
    BadToken(String),
    /// The record that this one belongs to is not there.
    NotFound(String),
    /// Somebody else changed it at the same time (409, 412).
    Conflict(String),
    /// This part will not be accepted.
    Refused {
        /// For grouping: `validation`, `http_400`, `bad_answer`.
        code: String,
        /// What it says.
        message: String,
    },
}

#[derive(Deserialize)]
struct Body {
    success: Option<bool>,
    message: Option<String>,
    errors: Option<Vec<String>>,
    error: Option<Envelope>,
    detail: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Envelope {
    message: Option<String>,
    trace_id: Option<String>,
}

/// Judges an answer for the retry layer: an application error (500 with an envelope) is tried again without counting
/// as an outage of the service.
pub fn classify(response: &Response) -> Verdict {
    if response.status == StatusCode::INTERNAL_SERVER_ERROR
        && let Ok(Body { error, detail, .. }) = serde_json::from_slice(&response.body)
        && (error.is_some() || detail.is_some())
    {
        return Verdict::Retry(message(response));
    }
    default_classify(response)
}

/// Understands an answer that will not be tried again.
pub(super) fn understand(response: &Response) -> Answer {
    let status = response.status;
    if status.is_success() {
        return match serde_json::from_slice::<Body>(&response.body) {
            Ok(Body { success: Some(success), message, errors, .. }) => {
                let mut errors = errors.unwrap_or_default();
                if !success && errors.is_empty() {
                    errors.push(message.unwrap_or_else(|| "refused without a reason".to_owned()));
                }
                for line in &mut errors {
                    cut(line);
                }
                Answer::Accepted { errors }
            }
            _ => Answer::Refused {
                code: "bad_answer".to_owned(),
                message: format!(
                    "status {} without the contract's answer; is BACKEND_BASE_URL right?",
                    status.as_u16()
                ),
            },
        };
    }
    let message = message(response);
    match status.as_u16() {
        401 | 403 => Answer::BadToken(message),
        // FastAPI's own answer for a path it does not have: no record is missing, the endpoint is.
        404 if message.to_ascii_lowercase().contains("not found:") => Answer::NotFound(message),
        404 | 405 => Answer::Refused {
            code: format!("http_{}", status.as_u16()),
            message: format!("{message}; no such endpoint: is BACKEND_BASE_URL right?"),
        },
        409 | 412 => Answer::Conflict(message),
        422 => Answer::Refused { code: "validation".to_owned(), message },
        other => Answer::Refused { code: format!("http_{other}"), message },
    }
}

/// `status 404: Anime not found: … (trace 0af7…)`: everything a person needs to find it in the backend's log.
fn message(response: &Response) -> String {
    let body = serde_json::from_slice::<Body>(&response.body).ok();
    let (mut text, trace) = match body {
        Some(Body { error: Some(envelope), .. }) => (envelope.message.unwrap_or_default(), envelope.trace_id),
        Some(Body { detail: Some(detail), .. }) => (detail_text(&detail), None),
        Some(Body { message: Some(message), .. }) => (message, None),
        _ => (String::new(), None),
    };
    cut(&mut text);
    let header = response.headers.get("x-trace-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut line = format!("status {}", response.status.as_u16());
    if !text.is_empty() {
        line = format!("{line}: {text}");
    }
    if let Some(mut trace) = trace.or(header) {
        cut(&mut trace);
        line = format!("{line} (trace {trace})");
    }
    line
}

/// A text, or `FastAPI`'s list of `{loc, msg}`.
fn detail_text(detail: &serde_json::Value) -> String {
    if let Some(text) = detail.as_str() {
        return text.to_owned();
    }
    let Some(items) = detail.as_array() else { return detail.to_string() };
    let lines = items.iter().map(|item| {
        let place = item["loc"].as_array().map(|loc| {
            loc.iter()
                .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(".")
        });
        format!("{}: {}", place.unwrap_or_default(), item["msg"].as_str().unwrap_or("invalid"))
    });
    lines.collect::<Vec<_>>().join("; ")
}

/// Cuts a foreign text to one line of bounded length.
fn cut(text: &mut String) {
    if text.len() > MAX_TEXT || text.contains(char::is_control) {
        *text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT).collect();
    }
}

/// The episode id in `Episode 3 (ID: 12345:3): …`.
pub(super) fn refused_episode(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("(ID: ")?;
    rest.split_once(')').map(|(id, _)| id.trim())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::{Answer, classify, refused_episode, understand};
    use crate::http::{Response, Verdict};

    fn answer(status: u16, body: &'static str) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert("x-trace-id", HeaderValue::from_static("t-1"));
        let status = StatusCode::from_u16(status).unwrap();
        Response { status, headers, body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn both_envelopes_are_understood() {
        let new = answer(403, r#"{"error":{"code":"HTTP_ERROR","message":"Invalid internal token","trace_id":"t-9"}}"#);
        assert_eq!(understand(&new), Answer::BadToken("status 403: Invalid internal token (trace t-9)".into()));
        let old = answer(404, r#"{"detail":"Episode not found: kodik-shikimori/7:1"}"#);
        let expected = "status 404: Episode not found: kodik-shikimori/7:1 (trace t-1)";
        assert_eq!(understand(&old), Answer::NotFound(expected.into()));
        let list = answer(422, r#"{"detail":[{"type":"missing","loc":["body","source_id"],"msg":"Field required"}]}"#);
        let message = "status 422: body.source_id: Field required (trace t-1)".to_owned();
        assert_eq!(understand(&list), Answer::Refused { code: "validation".into(), message });
    }

    #[test]
    fn a_missing_endpoint_is_no_missing_record() {
        let Answer::Refused { code, message } = understand(&answer(404, r#"{"detail":"Not Found"}"#)) else {
            panic!("taken for a missing record")
        };
        assert_eq!(code, "http_404");
        assert!(message.contains("BACKEND_BASE_URL"));
    }

    #[test]
    fn success_false_is_a_partial_failure_and_html_is_no_answer() {
        let partial = answer(200, r#"{"success":false,"total":2,"imported":1,"errors":["Episode 3 (ID: 7:3): bad"]}"#);
        assert_eq!(understand(&partial), Answer::Accepted { errors: vec!["Episode 3 (ID: 7:3): bad".into()] });
        let whole = answer(200, r#"{"success":true,"message":"ok","errors":null}"#);
        assert_eq!(understand(&whole), Answer::Accepted { errors: vec![] });
        assert!(matches!(understand(&answer(200, "<html>")), Answer::Refused { .. }));
    }

    #[test]
    fn application_errors_are_retried_and_are_no_outage() {
        let body = r#"{"error":{"code":"INTERNAL_ERROR","message":"boom","trace_id":"t-2"}}"#;
        assert_eq!(classify(&answer(500, body)), Verdict::Retry("status 500: boom (trace t-2)".into()));
        assert!(matches!(classify(&answer(503, "")), Verdict::Outage(_)));
        assert!(matches!(classify(&answer(429, "")), Verdict::Throttled(None)));
        assert_eq!(classify(&answer(422, "{}")), Verdict::Done);
    }

    #[test]
    fn refused_episodes_are_named() {
        assert_eq!(refused_episode("Episode 3 (ID: 12345:3): validation error"), Some("12345:3"));
        assert_eq!(refused_episode("something else"), None);
    }
}
