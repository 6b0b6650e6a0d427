//! What stands in a request's address, as arguments of handlers. (The framework's own extractors would refuse in a form
//! of their own.)

use axum::extract::{FromRequestParts, Path, Query};
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::answer::Refusal;
use super::app::Shared;

/// The parameters behind the `?`. What cannot be read is invalid.
#[derive(Debug)]
pub(super) struct InQuery<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for InQuery<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Refusal> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => Err(Refusal::invalid(error.body_text())),
        }
    }
}

/// The variable parts of the path. What cannot be one names nothing that exists.
#[derive(Debug)]
pub(super) struct InPath<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for InPath<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Refusal> {
        match Path::<T>::from_request_parts(parts, shared).await {
            Ok(Path(path)) => Ok(Self(path)),
            Err(_) => Err(Refusal::http(StatusCode::NOT_FOUND, "Not Found")),
        }
    }
}
