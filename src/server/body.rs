//! The body of a request: read within its limit, not nested too deeply, parsed once.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use futures::StreamExt as _;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::Refusal;
use super::app::Shared;
use super::negotiate::media_type;
use crate::backend::imports::depth;

/// A body that is too large is read on (and thrown away) up to this many times the limit: a client that is still
/// sending when the connection closes would see a broken connection instead of the answer.
const PATIENCE: usize = 8;

/// Deeper JSON is nobody's payload.
const MAX_DEPTH: usize = 32;

/// A JSON body as an argument of a handler.
#[derive(Debug)]
pub(super) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Sent<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Refusal> {
        // Routes of our own have been asked for more than this already.
        if media_type(request.headers()).is_some_and(|given| !is_json(&given)) {
            return Err(Refusal::invalid("the body is not of type application/json"));
        }
        parse(&json_body(shared, request.into_body()).await?).map(Self)
    }
}

/// `application/json`, or something that is JSON beneath.
fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

/// The whole body, if it is not too large and not nested too deeply.
pub(super) async fn json_body(shared: &Shared, body: Body) -> Result<Bytes, Refusal> {
    let limit = shared.limits.max_body;
    let mut chunks = body.into_data_stream();
    let mut whole: Vec<u8> = Vec::new();
    let mut seen = 0_usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refusal::http(StatusCode::BAD_REQUEST, "The body ended early"))?;
        seen = seen.saturating_add(chunk.len());
        if seen > limit.saturating_mul(PATIENCE) {
            break;
        }
        if seen <= limit {
            whole.extend_from_slice(&chunk);
        } else {
            whole = Vec::new();
        }
    }
    if seen > limit {
        return Err(Refusal::http(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large"));
    }
    if depth(&whole) > MAX_DEPTH {
        return Err(Refusal::invalid("nested too deeply"));
    }
    Ok(whole.into())
}

/// One JSON value and nothing else. A refusal names the path and the place, never the value: it goes to the log.
pub(super) fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let body = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let inner = error.inner();
        let kind = if inner.is_data() { "wrong value" } else { "not JSON" };
        Refusal::invalid(format!("{kind} at `{}` (line {}, column {})", error.path(), inner.line(), inner.column()))
    })?;
    deserializer.end().map_err(|_| Refusal::invalid("something follows the JSON"))?;
    Ok(body)
}

/// The same of JSON that was looked at already, to see what it is.
pub(super) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| Refusal::invalid(format!("wrong value at `{}`", error.path())))
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert_eq!(depth(br#"{"a":[1,{"b":2}],"c":[]}"#), 3);
        assert_eq!(depth(br#"{"a":"[[[\"[["}"#), 1);
        assert_eq!(depth(br#"{"a":"\\","b":[[1]]}"#), 3);
        assert_eq!(depth(b"]]]["), 1);
        assert_eq!(depth(b"1"), 0);
    }
}
