//! Shikimori: metadata 50 titles at a time through GraphQL, one by one through REST where that fails, `/roles`.

mod error;
mod graphql;
mod rest;

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use futures::StreamExt;
use serde_json::value::RawValue;
use url::Url;

use super::drift::{Drift, DriftKind, Root};
use super::parse::{self, Malformed, RawRecord, json_reason};
use super::{ExtractError, text};
use crate::http::{Service, Stats};
use crate::model::raw::shikimori::{GraphAnime, RestAnime, Role};
use crate::model::{SeriesId, SkipReason};
use crate::observe::events;

pub use error::classify;
pub use graphql::MAX_BATCH;

/// The service's name in logs, metrics and reports.
pub const NAME: &str = "shikimori";

/// REST requests waiting for their turn at once; the limiter decides when each is sent.
const REST_AT_ONCE: usize = 4;

/// The Shikimori API.
#[derive(Debug, Clone)]
pub struct Shikimori {
    service: Service,
    options: ShikimoriOptions,
}

/// What to ask Shikimori for.
#[derive(Debug, Clone, Copy)]
pub struct ShikimoriOptions {
    /// Adult titles too; otherwise the service hides them and they end as skipped.
    pub adult: bool,
}

impl Default for ShikimoriOptions {
    fn default() -> Self {
        Self { adult: true }
    }
}

/// What became of one title's metadata.
#[derive(Debug)]
pub enum Fetched {
    /// GraphQL's object, byte for byte.
    GraphQl(Bytes),
    /// REST's object, byte for byte.
    Rest(Bytes),
    /// The service says that there is none.
    Absent(SkipReason),
    /// This title's request failed; the others' did not.
    Failed(ExtractError),
}

impl Shikimori {
    /// A client on top of `service`, whose profile should judge by [`classify`] and whose base URL should have gone
    /// through [`normalise_base`].
    pub fn new(service: Service, options: ShikimoriOptions) -> Self {
        Self { service, options }
    }

    /// What the service cost so far.
    pub fn stats(&self) -> Stats {
        self.service.stats()
    }

    /// The metadata of some titles, in their order. Fails as a whole only when the run must stop.
    pub async fn metadata(&self, ids: &[SeriesId]) -> Result<Vec<(SeriesId, Fetched)>, ExtractError> {
        let mut fetched = Vec::with_capacity(ids.len());
        for batch in ids.chunks(MAX_BATCH) {
            let mut known = self.by_graphql(batch).await?;
            let by_rest = futures::stream::iter(batch.iter().copied())
                .map(|id| {
                    let graph = known.remove(&id);
                    async move {
                        match graph {
                            Some(raw) => Ok((id, Fetched::GraphQl(raw))),
                            None => self.by_rest(id).await.map(|fetched| (id, fetched)),
                        }
                    }
                })
                .buffered(REST_AT_ONCE);
            futures::pin_mut!(by_rest);
            while let Some(title) = by_rest.next().await {
                fetched.push(title?);
            }
        }
        Ok(fetched)
    }

    /// Asks by GraphQL alone, for a check of the service: an answer without the title is an answer, too.
    pub async fn check_graphql(&self, id: SeriesId) -> Result<(), ExtractError> {
        self.graphql(&[id]).await.map(drop)
    }

    /// What GraphQL knows of a batch; nothing if it fails in a way that REST may not.
    async fn by_graphql(&self, batch: &[SeriesId]) -> Result<HashMap<SeriesId, Bytes>, ExtractError> {
        match self.graphql(batch).await {
            Ok(known) => Ok(known),
            Err(error) if error.is_fatal() => Err(error),
            Err(error) => {
                events::graphql_fell_back(batch.len(), &error.to_string());
                Ok(HashMap::new())
            }
        }
    }

    async fn by_rest(&self, id: SeriesId) -> Result<Fetched, ExtractError> {
        match self.rest(id).await {
            Ok(fetched) => Ok(fetched),
            Err(error) if error.is_fatal() => Err(error),
            Err(error) => Ok(Fetched::Failed(error)),
        }
    }
}

/// The API's base: `https://shikimori.io` and `https://shikimori.io/api/` both become `https://shikimori.io/api`.
#[must_use]
pub fn normalise_base(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/graphql").unwrap_or(path);
    let path = if path.ends_with("/api") { path.to_owned() } else { format!("{path}/api") };
    url.set_path(&path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Parses what [`Fetched::GraphQl`] holds.
pub fn parse_graph(raw: &[u8], drift: &Drift) -> Result<GraphAnime, Malformed> {
    parse::parse(raw, drift)
}

/// Parses what [`Fetched::Rest`] holds.
pub fn parse_rest(raw: &[u8], drift: &Drift) -> Result<RestAnime, Malformed> {
    parse::parse(raw, drift)
}

/// Parses what [`Shikimori::roles`] gives; an element that is no role is counted and left out.
pub fn parse_roles(raw: &[u8], drift: &Drift) -> Result<Vec<Role>, Malformed> {
    let items: Vec<&RawValue> = serde_json::from_slice(raw)
        .map_err(|error| Malformed { what: Role::ROOT.name, reason: json_reason(&error) })?;
    let mut roles = Vec::with_capacity(items.len());
    for item in items {
        match parse::parse(item.get().as_bytes(), drift) {
            Ok(role) => roles.push(role),
            Err(_) => drift.add(Role::ROOT, DriftKind::WrongType, "rest.roles.*".to_owned(), 1, "roles"),
        }
    }
    Ok(roles)
}

impl RawRecord for GraphAnime {
    const ROOT: Root = Root { source: NAME, name: "graphql.anime" };

    fn record_id(&self) -> Option<Cow<'_, str>> {
        let id = self.id.trim();
        (!id.is_empty()).then_some(Cow::Borrowed(id))
    }
}

impl RawRecord for RestAnime {
    const ROOT: Root = Root { source: NAME, name: "rest.anime" };

    fn record_id(&self) -> Option<Cow<'_, str>> {
        (self.id > 0).then(|| Cow::Owned(self.id.to_string()))
    }
}

impl RawRecord for Role {
    const ROOT: Root = Root { source: NAME, name: "rest.roles" };

    fn record_id(&self) -> Option<Cow<'_, str>> {
        let subject = self.character.as_ref().or(self.person.as_ref());
        Some(subject.map_or(Cow::Borrowed("nobody"), |subject| Cow::Owned(subject.id.to_string())))
    }
}

/// The service's own words in an error body: `{"message"}`, `{"errors":[…]}`, `["…"]`, else a cleaned excerpt.
fn message_of(body: &[u8]) -> String {
    use serde_json::Value;
    let said = serde_json::from_slice::<Value>(body).ok().and_then(|value| {
        let words = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            other => other.get("message").and_then(Value::as_str).map(str::to_owned),
        };
        let first = |value: &Value| value.as_array().and_then(|list| list.first()).and_then(words);
        words(&value).or_else(|| first(&value)).or_else(|| value.get("errors").and_then(first))
    });
    said.map_or_else(|| text::excerpt(body), |said| text::clean(&said, text::MESSAGE_MAX))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
