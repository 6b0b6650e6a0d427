//! Metadata for the titles phase: 50 titles at a time, landed before it is used, so that a killed run and
//! `--from-landing` find it again.

use jiff::{SignedDuration, Timestamp};

use crate::checkpoint::{RunMode, RunState};
use crate::extract::Fetched;
use crate::model::{SeriesId, SkipReason};
use crate::store::landing::{LandedMetadata, MetadataRow, RawRow};

use super::{Crawl, CrawlError, View};

/// Titles of one GraphQL request, and of one step of the titles phase.
pub(super) const BATCH: usize = 50;

/// A hidden title costs a request of its own, so its absence is believed for a while.
const ABSENCE_BELIEVED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A title with everything the sources gave, still raw.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) id: SeriesId,
    pub(super) metadata: Metadata,
    /// Landed materials in the source's order; `None` = to be searched for.
    pub(super) materials: Option<Vec<RawRow>>,
    pub(super) roles: Option<Vec<u8>>,
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
        let mut materials = match self.view(run) {
            View::Landed => Some(self.landing.materials_of(ids).await?),
            View::Search => None,
        };
        let mut prepared = Vec::with_capacity(ids.len());
        for id in ids {
            prepared.push(Prepared {
                id: *id,
                metadata: metadata.remove(id).unwrap_or_else(|| Metadata::Failed {
                    code: "no_answer".to_owned(),
                    reason: "shikimori answered without this title".to_owned(),
                    retryable: true,
                }),
                materials: materials.as_mut().map(|materials| materials.remove(id).unwrap_or_default()),
                roles: None,
            });
        }
        Ok(prepared)
    }

    async fn metadata(
        &self,
        run: &RunState,
        ids: &[SeriesId],
    ) -> Result<std::collections::HashMap<SeriesId, Metadata>, CrawlError> {
        let now = Timestamp::now();
        let mut known = std::collections::HashMap::with_capacity(ids.len());
        for (id, row) in self.landing.metadata(ids).await? {
            if self.usable(run, &row, now) {
                known.insert(id, known_metadata(row));
            }
        }
        let missing: Vec<_> = ids.iter().copied().filter(|id| !known.contains_key(id)).collect();
        let Some(sources) = self.sources.as_ref().filter(|_| !missing.is_empty()) else { return Ok(known) };

        let mut rows = Vec::with_capacity(missing.len());
        for (id, fetched) in sources.shikimori.metadata(&missing).await? {
            let row = match fetched {
                Fetched::GraphQl(raw) => LandedMetadata::GraphQl(raw),
                Fetched::Rest(raw) => LandedMetadata::Rest(raw),
                Fetched::Absent(reason) => LandedMetadata::Absent(reason),
                Fetched::Failed(error) if error.is_fatal() => return Err(error.into()),
                Fetched::Failed(error) => {
                    let failed = Metadata::Failed {
                        code: error.code(),
                        reason: crate::error::chain(&error),
                        retryable: crate::error::Fault::severity(&error) == crate::error::Severity::Transient,
                    };
                    known.insert(id, failed);
                    continue;
                }
            };
            rows.push((id, row));
        }
        fail::fail_point!("crawl.metadata.fetched");
        self.landing.put_metadata(run.seq, &rows, now).await?;
        fail::fail_point!("crawl.metadata.landed");
        for (id, row) in rows {
            known.insert(id, landed(row));
        }
        Ok(known)
    }

    /// May a landed row be used, or must it be asked for again?
    fn usable(&self, run: &RunState, row: &MetadataRow, now: Timestamp) -> bool {
        if run.from_landing || row.run == run.seq {
            return true;
        }
        let believed = now.duration_since(row.fetched_at) < ABSENCE_BELIEVED;
        matches!(row.metadata, LandedMetadata::Absent(_)) && believed && run.mode != RunMode::One
    }
}

fn known_metadata(row: MetadataRow) -> Metadata {
    landed(row.metadata)
}

fn landed(row: LandedMetadata) -> Metadata {
    match row {
        LandedMetadata::Absent(reason) => Metadata::Absent(reason),
        row => Metadata::Row(row),
    }
}
