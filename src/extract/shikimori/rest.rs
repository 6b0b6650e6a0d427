//! REST, one title a request: `/animes/:id`, `/animes/:id/roles`.

use bytes::Bytes;
use http::StatusCode;

use super::{Fetched, NAME, Shikimori, message_of};
use crate::extract::ExtractError;
use crate::extract::text::{is_object, looks_like_json};
use crate::http::{Request, Response};
use crate::model::{SeriesId, SkipReason};

const ANIME: &str = "/api/animes/:id";
const ROLES: &str = "/api/animes/:id/roles";

impl Shikimori {
    /// One title: its object, or why the service shows none.
    pub(super) async fn rest(&self, id: SeriesId) -> Result<Fetched, ExtractError> {
        let response = self.service.send(Request::get(format!("/animes/{id}"), ANIME)).await?;
        judge(response)
    }

    /// Characters and staff of a title, byte for byte.
    pub async fn roles(&self, id: SeriesId) -> Result<Bytes, ExtractError> {
        let Response { status, body, .. } =
            self.service.send(Request::get(format!("/animes/{id}/roles"), ROLES)).await?;
        if !status.is_success() {
            return Err(refused(ROLES, status, &body));
        }
        if body.trim_ascii_start().first() != Some(&b'[') {
            return Err(ExtractError::Unexpected { service: NAME, endpoint: ROLES, reason: "not a list".to_owned() });
        }
        Ok(body)
    }
}

pub(super) fn judge(Response { status, body, .. }: Response) -> Result<Fetched, ExtractError> {
    match status {
        _ if status.is_success() && is_object(&body) => Ok(Fetched::Rest(body)),
        _ if status.is_success() => Err(ExtractError::not_json(NAME, ANIME, status, &body)),
        // A page that is not the API's own answer is a wrong base URL, and not a catalogue without titles.
        StatusCode::NOT_FOUND if is_object(&body) => Ok(Fetched::Absent(SkipReason::NotFound)),
        StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
            let age = body.windows(b"age_restricted".len()).any(|window| window == b"age_restricted");
            Ok(Fetched::Absent(if age { SkipReason::AgeRestricted } else { SkipReason::Banned }))
        }
        _ => Err(refused(ANIME, status, &body)),
    }
}

fn refused(endpoint: &'static str, status: StatusCode, body: &[u8]) -> ExtractError {
    if !looks_like_json(body) {
        return ExtractError::not_json(NAME, endpoint, status, body);
    }
    let message = message_of(body);
    ExtractError::Refused { service: NAME, endpoint, status: status.as_u16(), message, with_cursor: false }
}
