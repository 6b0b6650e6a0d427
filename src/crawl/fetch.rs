//! Metadata for the titles phase: 50 titles at a time, landed before it is used, so that a killed run and
//! `--from-landing` find it again.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::checkpoint::{RunMode, RunState};
use crate::error::{Fault as _, Severity, chain};
use crate::extract::Fetched;
use crate::model::{SeriesId, SkipReason};
use crate::store::landing::{LandedMaterial, LandedMetadata, LandedOrigin};

use super::{Crawl, CrawlError, View};

/// Titles of one GraphQL request, and of one step of the titles phase.
pub(super) const BATCH: usize = 50;

/// A hidden title costs a request of its own, so its absence is believed for a while.
const ABSENCE_BELIEVED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A title with everything that is fetched for many titles at once, still raw.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) id: SeriesId,
    pub(super) metadata: Metadata,
    /// Landed materials in the source's order; `None` = to be searched for.
    pub(super) materials: Option<Vec<LandedMaterial>>,
    /// A landed item of the title that could not be read: the view is not complete.
    pub(super) unreadable: Option<String>,
}

/// The metadata of one title, or why there is none.
#[derive(Debug)]
pub(super) enum Metadata {
    /// Landed.
    Row(LandedMetadata),
    /// Shikimori hides it.
    Absent(SkipReason),
    /// It could not be fetched now.
    Failed { code: String, reason: String, retryable: bool },
}

impl Crawl<'_> {
    /// Everything for the next titles, in the order of `ids`.
    pub(super) async fn prepare(&self, run: &RunState, ids: &[SeriesId]) -> Result<Vec<Prepared>, CrawlError> {
        let mut metadata = self.metadata(run, ids).await?;
        let mut prepared: Vec<_> = ids
            .iter()
            .map(|id| {
                let metadata = metadata.remove(id).unwrap_or_else(|| Metadata::Failed {
                    code: "no_metadata".to_owned(),
                    reason: "there is no metadata of this title".to_owned(),
                    retryable: true,
                });
                Prepared { id: *id, metadata, materials: None, unreadable: None }
            })
            .collect();
        if Self::view(run) == View::Landed {
            for (title, (_, materials)) in prepared.iter_mut().zip(self.landing.materials_of(ids).await?) {
                title.materials = Some(materials);
            }
            for reject in self.landing.rejected_of_titles(&self.lister_of(run).await?).await? {
                if let Some(title) = prepared.iter_mut().find(|title| Some(title.id) == reject.series) {
                    let id = reject.id.as_deref().unwrap_or("without id");
                    title.unreadable = Some(format!("material {id}: {}", reject.reason));
                }
            }
        }
        Ok(prepared)
    }

    async fn metadata(&self, run: &RunState, ids: &[SeriesId]) -> Result<HashMap<SeriesId, Metadata>, CrawlError> {
        let run_id = run.id.to_string();
        let now = Timestamp::now();
        let mut known = HashMap::with_capacity(ids.len());
        for row in self.landing.metadata(ids).await? {
            if Self::is_usable(run, &run_id, &row, now) {
                known.insert(row.series, metadata_of(row));
            }
        }
        let missing: Vec<_> = ids.iter().copied().filter(|id| !known.contains_key(id)).collect();
        let Some(sources) = self.sources.as_ref().filter(|_| !missing.is_empty()) else { return Ok(known) };

        let mut rows = Vec::with_capacity(missing.len());
        for (series, fetched) in sources.shikimori.metadata(&missing).await? {
            let (origin, raw) = match fetched {
                Fetched::GraphQl(raw) => (LandedOrigin::GraphQl, raw),
                Fetched::Rest(raw) => (LandedOrigin::Rest, raw),
                Fetched::Absent(reason) => (LandedOrigin::Absent(reason), bytes::Bytes::new()),
                Fetched::Failed(error) if error.is_fatal() => return Err(error.into()),
                Fetched::Failed(error) => {
                    let retryable = error.severity() == Severity::Transient;
                    known.insert(series, Metadata::Failed { code: error.code(), reason: chain(&error), retryable });
                    continue;
                }
            };
            rows.push(LandedMetadata { series, run_id: run_id.clone(), origin, raw, fetched_at: now });
        }
        fail::fail_point!("crawl.metadata.fetched");
        self.landing.put_metadata(rows.clone()).await?;
        fail::fail_point!("crawl.metadata.landed");
        known.extend(rows.into_iter().map(|row| (row.series, metadata_of(row))));
        Ok(known)
    }

    /// May a landed row be used, or must it be asked for again?
    fn is_usable(run: &RunState, run_id: &str, row: &LandedMetadata, now: Timestamp) -> bool {
        if run.from_landing || row.run_id == run_id {
            return true;
        }
        let believed = now.duration_since(row.fetched_at) < ABSENCE_BELIEVED;
        matches!(row.origin, LandedOrigin::Absent(_)) && believed && run.mode != RunMode::One
    }
}

fn metadata_of(row: LandedMetadata) -> Metadata {
    match row.origin {
        LandedOrigin::Absent(reason) => Metadata::Absent(reason),
        LandedOrigin::GraphQl | LandedOrigin::Rest => Metadata::Row(row),
    }
}
