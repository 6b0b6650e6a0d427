//! Who may ask: the token, in the contract's header or (on routes of our own) as `Authorization: Bearer`.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::answer::Refusal;
use super::app::Shared;
use super::dashboard;

/// The contract's header.
const INTERNAL_TOKEN: HeaderName = HeaderName::from_static("x-internal-token");

/// What a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    Wrong,
    Right,
}

/// Lets nobody in without the token. A missing header is invalid data, as in the contract; a wrong one is forbidden.
pub(super) async fn with_token(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match request.headers().get(INTERNAL_TOKEN) {
        None => Refusal::invalid("no X-Internal-Token").into_response(),
        Some(guess) if !shared.token.is(guess.as_bytes()) => {
            Refusal::http(StatusCode::FORBIDDEN, "Invalid internal token").into_response()
        }
        Some(_) => placed(&shared, request, next).await,
    }
}

/// Lets nobody in without the token, on routes of our own: in either header, and with a status that says which it is.
/// A browser that is signed in to the dashboard has a session instead.
pub(super) async fn authorised(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match shown(&shared, request.headers()) {
        Shown::Right => placed(&shared, request, next).await,
        Shown::Wrong => wrong().into_response(),
        Shown::Nothing if dashboard::lets_in(&shared, request.method(), request.headers()) => {
            placed(&shared, request, next).await
        }
        Shown::Nothing => {
            let message = "Send the token as `Authorization: Bearer …` or `X-Internal-Token: …`";
            Refusal::coded(StatusCode::UNAUTHORIZED, "token_missing", message).into_response()
        }
    }
}

/// The refusal of a wrong token.
pub(super) fn wrong() -> Refusal {
    Refusal::coded(StatusCode::FORBIDDEN, "token_wrong", "The token is wrong")
}

/// Does the request carry the token?
pub(super) fn carries_token(shared: &Shared, headers: &HeaderMap) -> bool {
    shown(shared, headers) == Shown::Right
}

/// Works on the request if the token has a place left: whoever imports leaves room for readers.
async fn placed(shared: &Shared, request: Request, next: Next) -> Response {
    let Ok(_place) = shared.token_places.try_acquire() else {
        let message = "This token has too many requests in work";
        return Refusal::http(StatusCode::TOO_MANY_REQUESTS, message).after(1).into_response();
    };
    next.run(request).await
}

fn shown(shared: &Shared, headers: &HeaderMap) -> Shown {
    let own = headers.get(INTERNAL_TOKEN).map(HeaderValue::as_bytes);
    match own.or_else(|| headers.get(header::AUTHORIZATION).and_then(bearer)) {
        None => Shown::Nothing,
        Some(guess) if shared.token.is(guess) => Shown::Right,
        Some(_) => Shown::Wrong,
    }
}

/// What follows the word `Bearer`, whose case does not matter.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, rest) = value.as_bytes().split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::bearer;

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        let of = |text: &'static str| bearer(&HeaderValue::from_static(text)).map(<[u8]>::to_vec);
        for text in ["Bearer abc", "bearer abc", "BEARER   abc"] {
            assert_eq!(of(text), Some(b"abc".to_vec()), "{text}");
        }
        assert_eq!(of("Bearer "), Some(Vec::new()));
        for text in ["", "Bearer", "Basic abc", "abc", "Bearerabc"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
