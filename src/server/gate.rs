//! What every request has to pass: the size of its head, a free place, a time limit.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Method, StatusCode};

use super::answer::Refusal;
use super::app::Shared;
use crate::observe::events;

/// Bytes of an address.
const LONGEST_URI: usize = 8 * 1024;

/// Headers, and their bytes. (Beyond several times as many, the connection ends before anybody is asked: see `listen`.)
const MOST_HEADERS: usize = 64;
const HEADER_BYTES: usize = 16 * 1024;

/// Refuses a head that is out of proportion.
pub(super) async fn proportionate(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let length = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if length > LONGEST_URI {
        return Refusal::http(StatusCode::URI_TOO_LONG, "The address is too long").into_response();
    }
    if request.headers().len() > MOST_HEADERS || bytes(request.headers()) > HEADER_BYTES {
        let message = "The headers are too many or too large";
        return Refusal::http(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message).into_response();
    }
    next.run(request).await
}

fn bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Bounds how many requests are worked on at once, and for how long.
pub(super) async fn bounded(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let Ok(_place) = shared.places.try_acquire() else {
        return Refusal::busy("Too many requests at once", 1).into_response();
    };
    let _counted = events::request_in_flight();
    // A batch of any size may come; its own rules say how long it may pause.
    let streams = request.method() == Method::POST
        && request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str().ends_with("/batches"));
    if streams {
        return next.run(request).await;
    }
    match tokio::time::timeout(shared.limits.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::busy("Request timed out", 5).into_response(),
    }
}
