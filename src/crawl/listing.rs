//! Phase one of a full run: land every page of Kodik's list, oldest change first.
//!
//! Oldest first, because a material that changes during the crawl then moves to the end, where it is seen again;
//! newest first it would jump over the cursor and be missed.

use crate::checkpoint::RunState;
use crate::extract::{Cursor, ExtractError, ListPage, Order, RepeatGuard, Sources};
use crate::observe::events;
use crate::store::landing::{LandedMaterial, LandedReject, PageCommit};

use super::{Crawl, CrawlError, Flow, PhaseKind};

impl Crawl<'_> {
    /// Lists from where the landing stands to the end.
    pub(super) async fn list_everything(&self, run: &RunState) -> Result<Flow, CrawlError> {
        let Some(sources) = &self.sources else { return Ok(Flow::Done) };
        let mut position = self.landing.position(run.seq).await?;
        let mut guard = RepeatGuard::default();
        self.progress.phase(PhaseKind::Listing, position.materials, position.total);
        while !position.finished {
            let cursor = position.cursor.as_deref().map(Cursor::new);
            let page = tokio::select! {
                biased;
                () = self.stop.requested() => return Ok(Flow::Stopped),
                page = next_page(sources, cursor.as_ref(), Order::OldestFirst) => page,
            };
            let page = match page {
                Err(error) if error.is_bad_cursor() && position.page > 0 => {
                    events::cursor_refused(position.page);
                    position = self.landing.restart_listing(run.seq).await?;
                    guard = RepeatGuard::default();
                    continue;
                }
                page => page?,
            };
            if let Some(next) = &page.next {
                guard.check(next)?;
            }
            let number = position.page + 1;
            events::page_landed(number, page.materials.len(), page.rejected.len(), page.total);
            position = self.landing.commit_page(commit(run.seq, number, &page)).await?;
            fail::fail_point!("crawl.page.landed");
            self.checkpoint.finish_page(number, position.cursor.clone(), newest(&page)).await?;
            fail::fail_point!("crawl.page.finished");
            self.progress.page(number, position.materials, position.total);
        }
        Ok(Flow::Done)
    }
}

/// One page; split off so that the listing and the collecting of ids ask in the same way.
pub(super) async fn next_page(
    sources: &Sources,
    cursor: Option<&Cursor>,
    order: Order,
) -> Result<ListPage, ExtractError> {
    sources.kodik.list_page(cursor, order).await
}

fn commit(run: u32, number: u32, page: &ListPage) -> PageCommit {
    PageCommit {
        run,
        page: number,
        total: page.total,
        cursor: page.next.as_ref().map(|next| next.as_str().to_owned()),
        materials: page
            .materials
            .iter()
            .map(|material| LandedMaterial {
                id: material.id.clone(),
                series: material.series,
                updated_at: material.updated_at.clone(),
                raw: material.raw.clone(),
            })
            .collect(),
        rejected: page
            .rejected
            .iter()
            .map(|reject| LandedReject {
                id: reject.id.clone(),
                reason: reject.reason.clone(),
                raw: reject.raw.clone(),
            })
            .collect(),
    }
}

/// The newest `updated_at` of a page; RFC 3339 in UTC sorts as text.
pub(super) fn newest(page: &ListPage) -> Option<String> {
    page.materials.iter().filter_map(|material| material.updated_at.as_deref()).max().map(str::to_owned)
}
