//! Phase one of a full run: land every page of Kodik's list, oldest change first.
//!
//! Oldest first, because a material that changes during the crawl then moves to the end, where it is seen again;
//! newest first it would jump over the cursor and be missed.

use jiff::{SignedDuration, Timestamp};

use crate::checkpoint::RunState;
use crate::extract::{Cursor, ListPage, Order, RawMaterial, Rejected, RepeatGuard};
use crate::observe::events;
use crate::store::landing::{LandedMaterial, LandedPage, ListingPosition, RejectedMaterial};

use super::{Crawl, CrawlError, Flow, PhaseKind};

impl Crawl<'_> {
    /// Lists from where the landing stands to the end.
    pub(super) async fn list_everything(&self, run: &RunState) -> Result<Flow, CrawlError> {
        let Some(sources) = &self.sources else {
            // A part of a listing is no view of any title.
            return match self.landing.listing().await? {
                Some(listing) if listing.finished => Ok(Flow::Done),
                _ => Err(CrawlError::NothingLanded { path: self.landing.path().to_owned() }),
            };
        };
        let mut position = self.listing_of(run).await?;
        let mut guard = RepeatGuard::default();
        let mut walked_again = false;
        let mut materials = self.landing.material_count_of(position.generation).await?;
        if position.page > u64::from(run.last_page) {
            let times = self.landing.updates_after(position.generation, run.last_page.into()).await?;
            let newest = newest_of(times.iter().map(String::as_str), Timestamp::now());
            self.catch_up(run, position.page, position.cursor.clone(), newest).await?;
        }
        self.progress.phase(PhaseKind::Listing, materials, position.total);
        while !position.finished {
            if position.page > 0 && position.cursor.is_none() {
                self.landing.finish_listing(position.generation).await?;
                return Ok(Flow::Done);
            }
            let cursor = position.cursor.as_deref().map(Cursor::new);
            let page = tokio::select! {
                biased;
                () = self.stop.requested() => return Ok(Flow::Stopped),
                page = sources.kodik.list_page(cursor.as_ref(), Order::OldestFirst) => page,
            };
            let page = match page {
                // Once: a source that refuses its own cursors would be asked for the same pages for ever.
                Err(error) if error.is_bad_cursor() && position.page > 0 && !walked_again => {
                    walked_again = true;
                    // Landed materials are keyed by id, so walking the pages again replaces and adds, nothing more.
                    events::cursor_refused(position.page);
                    (position.page, position.cursor, guard) = (0, None, RepeatGuard::default());
                    continue;
                }
                page => page?,
            };
            if let Some(next) = &page.next {
                guard.check(next)?;
            }
            position.page += 1;
            position.cursor = page.next.as_ref().map(|next| next.as_str().to_owned());
            position.total = page.total.or(position.total);
            materials += page.materials.len() as u64;
            if page.next.is_none() {
                // Before the page is landed: `--resume` asks for it again.
                complete(materials + page.rejected.len() as u64, position.total)?;
            }
            let newest = newest(&page, Timestamp::now());
            events::page_landed(position.page, page.materials.len(), page.rejected.len(), page.total);
            self.landing.commit_page(position.generation, landed_page(position.page, page)).await?;
            fail::fail_point!("crawl.page.landed");
            let number = u32::try_from(position.page).unwrap_or(u32::MAX);
            self.checkpoint.finish_page(number, position.cursor.clone(), newest).await?;
            fail::fail_point!("crawl.page.finished");
            self.progress.page(number, materials, position.total);
        }
        Ok(Flow::Done)
    }

    /// Tells the checkpoint of pages that were landed just before the process died: without them the next watermark
    /// would be too old.
    pub(super) async fn catch_up(
        &self,
        run: &RunState,
        page: u64,
        cursor: Option<String>,
        newest: Option<String>,
    ) -> Result<(), CrawlError> {
        if page > u64::from(run.last_page) {
            self.checkpoint.finish_page(u32::try_from(page).unwrap_or(u32::MAX), cursor, newest).await?;
        }
        Ok(())
    }

    /// The run's own listing in the landing; begun if it is not there (a new run, or a landing that was removed).
    async fn listing_of(&self, run: &RunState) -> Result<ListingPosition, CrawlError> {
        let run_id = run.id.to_string();
        if let Some(position) = self.landing.listing().await?
            && position.run_id == run_id
        {
            if run.generation != position.generation {
                // Killed between the two: the checkpoint never heard of the listing that was begun.
                let generation = position.generation;
                self.checkpoint.update_run(move |run| run.generation = generation).await?;
            }
            return Ok(position);
        }
        let generation = self.landing.begin_listing(&run_id).await?;
        fail::fail_point!("crawl.listing.begun");
        self.checkpoint.update_run(move |run| run.generation = generation).await?;
        Ok(ListingPosition { generation, run_id, page: 0, cursor: None, finished: false, total: None })
    }
}

fn landed_page(number: u64, page: ListPage) -> LandedPage {
    LandedPage {
        page: number,
        next: page.next.map(|next| next.as_str().to_owned()),
        total: page.total,
        materials: page.materials.into_iter().map(landed_material).collect(),
        rejected: page.rejected.into_iter().map(|reject| landed_reject(number, reject)).collect(),
    }
}

/// An item that could not be read, as it is landed.
pub(super) fn landed_reject(page: u64, reject: Rejected) -> RejectedMaterial {
    let Rejected { id, series, reason, raw } = reject;
    RejectedMaterial { page, id, series, reason, raw }
}

/// A material as it is landed.
pub(super) fn landed_material(material: RawMaterial) -> LandedMaterial {
    LandedMaterial { id: material.id, series: material.series, updated_at: material.updated_at, raw: material.raw }
}

/// Refuses a listing that ends far too early. What is missing from a finished listing counts as gone from the source:
/// its releases would be switched off and its raw payloads dropped, because a source had a bad minute.
fn complete(seen: u64, total: Option<u64>) -> Result<(), CrawlError> {
    // `total` drifts while one lists, but not by a tenth.
    let enough = total.is_none_or(|total| seen.saturating_mul(10) >= total.saturating_mul(9));
    if seen > 0 && enough { Ok(()) } else { Err(CrawlError::IncompleteListing { seen, total: total.unwrap_or(0) }) }
}

/// How far a service's clock may be ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// A time that the source can have written. One date in the far future, or one that is none, must not become the
/// watermark: no later change would ever be newer.
pub(super) fn plausible(text: &str, now: Timestamp) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().filter(|at| now.duration_since(*at) >= -AHEAD)
}

/// The newest plausible `updated_at` of a page.
pub(super) fn newest(page: &ListPage, now: Timestamp) -> Option<String> {
    newest_of(page.materials.iter().filter_map(|material| material.updated_at.as_deref()), now)
}

fn newest_of<'a>(times: impl Iterator<Item = &'a str>, now: Timestamp) -> Option<String> {
    times.filter_map(|text| Some((plausible(text, now)?, text))).max().map(|(_, text)| text.to_owned())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{complete, newest};
    use crate::extract::{ListPage, RawMaterial};
    use crate::model::MaterialId;

    #[test]
    fn a_listing_that_ends_too_early_is_refused() {
        for (seen, total) in [(100, None), (100, Some(100)), (90, Some(100)), (120, Some(100))] {
            assert!(complete(seen, total).is_ok(), "{seen} of {total:?}");
        }
        for (seen, total) in [(0, None), (0, Some(0)), (20, Some(200)), (89, Some(100))] {
            assert!(complete(seen, total).is_err(), "{seen} of {total:?}");
        }
    }

    #[test]
    fn the_watermark_is_the_newest_time_that_can_be_true() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().expect("a time");
        let page = |times: &[&str]| ListPage {
            total: None,
            materials: times
                .iter()
                .map(|time| RawMaterial {
                    id: MaterialId("serial-1".to_owned()),
                    series: None,
                    updated_at: Some((*time).to_owned()),
                    raw: bytes::Bytes::new(),
                })
                .collect(),
            rejected: Vec::new(),
            next: None,
        };
        let found = newest(&page(&["2026-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "soon"]), now);
        assert_eq!(found.as_deref(), Some("2026-01-01T00:00:00Z"));
        let found = newest(&page(&["2026-01-01T01:00:00+03:00", "2025-12-31T23:00:00Z"]), now);
        assert_eq!(found.as_deref(), Some("2025-12-31T23:00:00Z"), "compared as times, not as texts");
        assert_eq!(newest(&page(&["soon"]), now), None);
    }
}
