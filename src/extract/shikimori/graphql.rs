//! One GraphQL request for up to 50 titles. Posters of newer titles are only here.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{NAME, Shikimori, message_of};
use crate::extract::ExtractError;
use crate::extract::parse::json_reason;
use crate::extract::text::{MESSAGE_MAX, clean, is_object};
use crate::http::Request;
use crate::model::SeriesId;

/// Titles of one request at most.
pub const MAX_BATCH: usize = 50;

const ENDPOINT: &str = "/api/graphql";

/// The limit is a literal because its type has had two names over time (`Int`, `PositiveInt`); a variable of the
/// wrong one is refused. Depth 4 of 5 and far below the allowed complexity.
pub(super) const QUERY: &str = "query($ids: String, $censored: Boolean) { \
    animes(ids: $ids, limit: 50, censored: $censored) { \
    id malId name russian licenseNameRu english japanese synonyms kind rating score status \
    episodes episodesAired duration airedOn { year month day date } releasedOn { year month day date } season \
    poster { id originalUrl mainUrl } createdAt updatedAt nextEpisodeAt isCensored franchise \
    genres { id name russian kind } studios { id name imageUrl } description } }";

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    animes: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

impl Shikimori {
    /// Those of the titles that GraphQL knows, each with its raw object.
    pub(super) async fn graphql(&self, ids: &[SeriesId]) -> Result<HashMap<SeriesId, Bytes>, ExtractError> {
        let list = ids.iter().map(SeriesId::to_string).collect::<Vec<_>>().join(",");
        let question = serde_json::json!({
            "query": QUERY,
            "variables": { "ids": list, "censored": !self.options.adult },
        });
        let request = Request::post_json("/graphql", ENDPOINT, question.to_string());
        let response = self.service.send(request).await?;
        let (status, body) = (response.status, response.body);
        if matches!(status.as_u16(), 401 | 403) {
            return Err(ExtractError::Forbidden {
                service: NAME,
                endpoint: ENDPOINT,
                status: status.as_u16(),
                message: message_of(&body),
            });
        }
        if !is_object(&body) {
            return Err(ExtractError::not_json(NAME, ENDPOINT, status, &body));
        }
        if !status.is_success() {
            return Err(ExtractError::Refused {
                service: NAME,
                endpoint: ENDPOINT,
                status: status.as_u16(),
                message: message_of(&body),
                with_cursor: false,
            });
        }
        known(&body, ids)
    }
}

/// Takes the asked titles out of an answer. Errors beside data are tolerated: what is missing is asked for by REST.
pub(super) fn known(body: &Bytes, ids: &[SeriesId]) -> Result<HashMap<SeriesId, Bytes>, ExtractError> {
    let unexpected = |reason: String| ExtractError::Unexpected { service: NAME, endpoint: ENDPOINT, reason };
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| unexpected(json_reason(&error)))?;
    let Some(animes) = answer.data.and_then(|data| data.animes) else {
        return Err(unexpected(clean(&format!("no data: {}", message_of(body)), MESSAGE_MAX)));
    };
    let mut known = HashMap::with_capacity(animes.len());
    for anime in animes {
        if let Some(id) = id_of(anime).filter(|id| ids.contains(id)) {
            known.entry(id).or_insert_with(|| body.slice_ref(anime.get().as_bytes()));
        }
    }
    Ok(known)
}

fn id_of(anime: &RawValue) -> Option<SeriesId> {
    let head: Head<'_> = is_object(anime.get().as_bytes()).then(|| serde_json::from_str(anime.get()).ok()).flatten()?;
    head.id?.get().trim_matches('"').parse().ok()
}
