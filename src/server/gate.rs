//! What a request has to pass before it is worked on: a free place, a time limit, the token, the size of its body and
//! the depth of its JSON.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, StatusCode, header};

use super::answer::Refusal;
use super::app::Shared;
use crate::observe::events;

/// The contract's header.
const INTERNAL_TOKEN: HeaderName = HeaderName::from_static("x-internal-token");

/// A body that is too large is read on (and thrown away) up to this many times the limit: a client that is still
/// sending when the connection closes would see a broken connection instead of the answer.
const PATIENCE: usize = 8;

/// Deeper JSON is nobody's payload.
const MAX_DEPTH: usize = 32;

/// Bounds how many requests are worked on at once, and for how long.
pub(super) async fn bounded(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let Ok(_place) = shared.places.try_acquire() else {
        return Refusal::busy("Too many requests at once", 1).into_response();
    };
    let _counted = events::request_in_flight();
    match tokio::time::timeout(shared.limits.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::busy("Request timed out", 5).into_response(),
    }
}

/// Lets nobody in without the token. A missing header is invalid data, as in the contract; a wrong one is forbidden.
pub(super) async fn with_token(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match request.headers().get(INTERNAL_TOKEN) {
        None => Refusal::invalid("no X-Internal-Token").into_response(),
        Some(guess) if !shared.token.is(guess.as_bytes()) => {
            Refusal::http(StatusCode::FORBIDDEN, "Invalid internal token").into_response()
        }
        Some(_) => next.run(request).await,
    }
}

/// Lets nobody in without the token, on routes of our own: in either header, and with the status that says which it is.
pub(super) async fn authorised(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if carries_token(&shared, headers) {
        return next.run(request).await;
    }
    if headers.contains_key(INTERNAL_TOKEN) || headers.contains_key(header::AUTHORIZATION) {
        Refusal::coded(StatusCode::FORBIDDEN, "token_wrong", "The token is wrong").into_response()
    } else {
        let message = "Send the token as `Authorization: Bearer …` or `X-Internal-Token: …`";
        Refusal::coded(StatusCode::UNAUTHORIZED, "token_missing", message).into_response()
    }
}

/// Does the request carry the token, in the contract's header or as `Authorization: Bearer`?
pub(super) fn carries_token(shared: &Shared, headers: &HeaderMap) -> bool {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let own = headers.get(INTERNAL_TOKEN).map(http::HeaderValue::as_bytes);
    own.or(bearer).is_some_and(|guess| shared.token.is(guess))
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

/// How deeply brackets are nested, strings aside.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
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
