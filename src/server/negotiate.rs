//! Types of bodies: what a route takes (else 415) and answers (else 406). Both stand in its description, so neither can
//! be forgotten or differ from what is written there.

use std::collections::HashMap;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use super::answer::{PROBLEM, Refusal};
use super::app::Shared;

/// The types of bodies of one route.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Types {
    takes: Vec<String>,
    answers: Vec<String>,
}

/// The types of all routes, by method and path.
#[derive(Debug, Default)]
pub(super) struct AllTypes(HashMap<(String, Method), Types>);

impl AllTypes {
    /// Those of a description's `paths`.
    pub(super) fn of(paths: &Value) -> Self {
        let mut all = HashMap::new();
        let items = paths.as_object().into_iter().flatten();
        for (path, item) in items {
            for (method, operation) in item.as_object().into_iter().flatten() {
                if let Ok(method) = Method::from_bytes(method.to_ascii_uppercase().as_bytes()) {
                    all.insert((path.clone(), method), Types::of(operation));
                }
            }
        }
        Self(all)
    }

    fn get(&self, path: &str, method: &Method) -> Option<&Types> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.0.get(&(path.to_owned(), method.clone()))
    }
}

impl Types {
    fn of(operation: &Value) -> Self {
        let keys = |content: &Value| content.as_object().map(|types| types.keys().cloned().collect::<Vec<_>>());
        let good = operation["responses"].as_object().into_iter().flatten();
        let good = good.filter(|(status, _)| status.starts_with('2'));
        Self {
            takes: keys(&operation["requestBody"]["content"]).unwrap_or_default(),
            answers: good.filter_map(|(_, response)| keys(&response["content"])).flatten().collect(),
        }
    }

    /// Is a body of this type taken? Without a word about it, it is the only type there is.
    fn take(&self, headers: &HeaderMap) -> bool {
        match media_type(headers) {
            _ if self.takes.is_empty() => true,
            None => self.takes.len() == 1 || !has_body(headers),
            Some(given) => self.takes.contains(&given),
        }
    }

    /// Does `Accept` leave anything that the route answers?
    fn answer(&self, headers: &HeaderMap) -> bool {
        self.answers.is_empty() || self.answers.iter().any(|offered| accepts(headers, offered))
    }
}

/// The layer.
pub(super) async fn negotiated(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let types = shared.description.get().and_then(|description| description.types.get(path, request.method()));
    let Some(types) = types else { return next.run(request).await };
    if !types.take(request.headers()) {
        let message = format!("Send a body of type {}", types.takes.join(" or "));
        return Refusal::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
    }
    if !types.answer(request.headers()) {
        let message = format!("This route answers {}", types.answers.join(" or "));
        return Refusal::http(StatusCode::NOT_ACCEPTABLE, message).into_response();
    }
    next.run(request).await
}

/// `type/subtype` of the body, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.as_bytes();
    let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
    Some(String::from_utf8_lossy(value[..end].trim_ascii()).to_ascii_lowercase())
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != b"0")
}

/// Does the client take this type? Without `Accept` it takes everything; refusals are for everybody.
pub(super) fn accepts(headers: &HeaderMap, offered: &str) -> bool {
    let mut ranges =
        headers.get_all(header::ACCEPT).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut asked = false;
    let taken = ranges.any(|range| {
        let range = String::from_utf8_lossy(range).to_ascii_lowercase();
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        if name.is_empty() {
            return false;
        }
        asked = true;
        let refused = parts.filter_map(|part| part.strip_prefix("q=")).any(|q| q.trim_matches(['0', '.']).is_empty());
        let (kind, _) = offered.split_once('/').unwrap_or_default();
        let fits = match name.split_once('/') {
            Some(("*", "*")) => true,
            Some((range, "*")) => range == kind,
            _ => name == offered || name == PROBLEM,
        };
        fits && !refused
    });
    taken || !asked
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};
    use serde_json::json;

    use super::{Types, accepts};

    fn headers(of: &[(header::HeaderName, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn accept_is_read_with_ranges_and_weights() {
        let takes = |accept: &str| accepts(&headers(&[(header::ACCEPT, accept)]), "application/json");
        for good in
            ["", "*/*", "application/*", "application/json", "text/html, application/JSON;q=0.1", "a/b,*/*;q=0.8"]
        {
            assert!(takes(good), "{good}");
        }
        for bad in ["text/html", "text/*", "application/xml", "application/json;q=0", "*/*; q=0.000", "json"] {
            assert!(!takes(bad), "{bad}");
        }
        assert!(accepts(&HeaderMap::new(), "application/json"));
    }

    #[test]
    fn a_body_is_of_a_type_that_is_taken() {
        let types = Types::of(&json!({
            "requestBody": { "content": { "application/json": {}, "application/x-ndjson": {} } },
            "responses": { "200": { "content": { "application/json": {} } }, "400": { "content": { "text/html": {} } } },
        }));
        assert_eq!(types.answers, ["application/json"]);
        let take = |of: &[(header::HeaderName, &str)]| types.take(&headers(of));
        assert!(take(&[(header::CONTENT_TYPE, "application/json; charset=utf-8")]));
        assert!(take(&[(header::CONTENT_TYPE, "Application/X-NDJSON")]));
        assert!(!take(&[(header::CONTENT_TYPE, "text/plain")]));
        assert!(take(&[]), "no body");
        assert!(!take(&[(header::CONTENT_LENGTH, "2")]), "either of the two");
        assert!(Types::default().take(&headers(&[(header::CONTENT_TYPE, "text/plain")])), "nobody reads it");
    }
}
