//! `/search` by Shikimori id: every material of one title, in one answer (there is no paging).

use bytes::Bytes;

use super::{Kodik, PAGE_LIMIT, RawMaterial, Rejected};
use crate::extract::ExtractError;
use crate::model::SeriesId;
use crate::observe::events;

const ENDPOINT: &str = "/search";

/// The materials of one title.
#[derive(Debug, Clone)]
pub struct Found {
    /// Materials that carry the asked id, in the source's order; empty = the title is gone.
    pub materials: Vec<RawMaterial>,
    /// Items that are no materials or belong to another title.
    pub rejected: Vec<Rejected>,
    /// The answer is as long as an answer can be, so there may be more.
    pub maybe_truncated: bool,
}

impl Kodik {
    /// All materials of a title.
    pub async fn search(&self, id: SeriesId) -> Result<Found, ExtractError> {
        let request = self
            .with_contents(self.request(ENDPOINT))
            .query("shikimori_id", id.to_string())
            .query("limit", PAGE_LIMIT.to_string());
        let body = self.ask(request, false).await?;
        let found = self.found(&body, id)?;
        if found.maybe_truncated {
            events::search_maybe_truncated(id.0, found.materials.len());
        }
        Ok(found)
    }

    pub(super) fn found(&self, body: &Bytes, id: SeriesId) -> Result<Found, ExtractError> {
        let envelope = self.envelope(ENDPOINT, body)?;
        let results = envelope.results.as_deref().unwrap_or_default();
        let maybe_truncated = u32::try_from(results.len()).is_ok_and(|count| count >= PAGE_LIMIT)
            || envelope.total().is_some_and(|total| usize::try_from(total).is_ok_and(|total| total > results.len()));
        let (materials, mut rejected) = self.place(body, results);
        let (materials, strangers): (Vec<_>, Vec<_>) = materials.into_iter().partition(|m| m.series == Some(id));
        rejected.extend(strangers.into_iter().map(|material| Rejected {
            reason: format!("found for {id}, but carries another Shikimori id"),
            id: Some(material.id.0),
            series: material.series,
            raw: material.raw,
        }));
        Ok(Found { materials, rejected, maybe_truncated })
    }
}
