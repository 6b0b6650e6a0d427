//! Phase one of a full run: land every page of Kodik's list, oldest change first.
//!
//! Oldest first, because a material that changes during the crawl then moves to the end, where it is seen again;
//! newest first it would jump over the cursor and be missed.

use crate::checkpoint::RunState;
use crate::extract::{Cursor, ListPage, Order, RawMaterial, RepeatGuard};
use crate::observe::events;
use crate::store::landing::{LandedMaterial, LandedPage, ListingPosition, RejectedMaterial};

use super::{Crawl, CrawlError, Flow, PhaseKind};

impl Crawl<'_> {
    /// Lists from where the landing stands to the end.
    pub(super) async fn list_everything(&self, run: &RunState) -> Result<Flow, CrawlError> {
        let Some(sources) = &self.sources else { return Ok(Flow::Done) };
        let mut position = self.listing_of(run).await?;
        let mut guard = RepeatGuard::default();
        let mut walked_again = false;
        let mut materials = self.landing.material_count_of(position.generation).await?;
        if position.page > u64::from(run.last_page) {
            let newest = self.landing.newest_update(position.generation).await?;
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
            let newest = newest(&page);
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
        rejected: page
            .rejected
            .into_iter()
            .map(|reject| RejectedMaterial { page: number, id: reject.id, reason: reject.reason, raw: reject.raw })
            .collect(),
    }
}

/// A material as it is landed.
pub(super) fn landed_material(material: RawMaterial) -> LandedMaterial {
    LandedMaterial { id: material.id, series: material.series, updated_at: material.updated_at, raw: material.raw }
}

/// The newest `updated_at` of a page; RFC 3339 in UTC sorts as text.
pub(super) fn newest(page: &ListPage) -> Option<String> {
    page.materials.iter().filter_map(|material| material.updated_at.as_deref()).max().map(str::to_owned)
}
