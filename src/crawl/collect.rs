//! Phase one of the runs that touch few titles: collect the ids. Each title is then seen whole through `/search`.

use jiff::Timestamp;

use crate::checkpoint::{RunMode, RunState, Status};
use crate::extract::{Cursor, Order, RepeatGuard};
use crate::model::SeriesId;
use crate::observe::events;
use crate::store::landing::CollectPosition;

use super::listing::{landed_reject, newest};
use super::{Crawl, CrawlError, Flow, PhaseKind};

impl Crawl<'_> {
    /// Collects the ids of the run's titles into the landing.
    pub(super) async fn collect_ids(&self, run: &RunState) -> Result<Flow, CrawlError> {
        match run.mode {
            RunMode::One => self.collect_all(run, run.source_id.into_iter().collect()).await,
            RunMode::Ongoing => {
                let now = Timestamp::now();
                let due = self.checkpoint.select(|_, entry| entry.wants_refresh(now));
                self.collect_all(run, due.into_iter().map(|(id, _)| id).collect()).await
            }
            RunMode::Incremental => self.collect_pages(run, Order::NewestFirst).await,
            RunMode::Full => self.collect_pages(run, Order::OldestFirst).await,
        }
    }

    /// Ids that are known without asking anybody.
    async fn collect_all(&self, run: &RunState, ids: Vec<SeriesId>) -> Result<Flow, CrawlError> {
        let position = CollectPosition { finished: true, ..CollectPosition::default() };
        self.landing.commit_pending(&run.id.to_string(), ids, Vec::new(), position).await?;
        Ok(Flow::Done)
    }

    /// Walks pages: newest change first down to the watermark, or the first `--max-pages` of the whole list.
    async fn collect_pages(&self, run: &RunState, order: Order) -> Result<Flow, CrawlError> {
        let Some(sources) = &self.sources else { return Ok(Flow::Done) };
        let watermark = match run.mode {
            RunMode::Incremental => self.checkpoint.watermark().and_then(|text| text.parse::<Timestamp>().ok()),
            _ => None,
        };
        let run_id = run.id.to_string();
        let mut position = self.landing.collect_position(&run_id).await?.unwrap_or_default();
        let mut guard = RepeatGuard::default();
        let mut walked_again = false;
        let mut materials = 0;
        self.catch_up(run, position.page, position.cursor.clone(), position.mark.clone()).await?;
        self.progress.phase(PhaseKind::Listing, 0, None);
        while !position.finished {
            let cursor = position.cursor.as_deref().map(Cursor::new);
            let page = tokio::select! {
                biased;
                () = self.stop.requested() => return Ok(Flow::Stopped),
                page = sources.kodik.list_page(cursor.as_ref(), order) => page,
            };
            let page = match page {
                // Once: a source that refuses its own cursors would be asked for the same pages for ever.
                Err(error) if error.is_bad_cursor() && position.page > 0 && !walked_again => {
                    walked_again = true;
                    events::cursor_refused(position.page);
                    // Ids are a set, so walking the first pages again adds nothing twice.
                    position = CollectPosition::default();
                    guard = RepeatGuard::default();
                    continue;
                }
                page => page?,
            };
            if let Some(next) = &page.next {
                guard.check(next)?;
            }
            let number = position.page + 1;
            materials += page.materials.len() as u64;
            events::page_landed(number, page.materials.len(), page.rejected.len(), page.total);

            let is_old = |updated: Option<&str>| {
                let updated = updated.and_then(|text| text.parse::<Timestamp>().ok());
                matches!((updated, watermark), (Some(updated), Some(watermark)) if updated < watermark)
            };
            let reached = page.materials.iter().any(|material| is_old(material.updated_at.as_deref()));
            let last = reached || run.max_pages.is_some_and(|max| number >= u64::from(max));
            let mut ids: Vec<SeriesId> = page
                .materials
                .iter()
                .filter(|material| !is_old(material.updated_at.as_deref()))
                .filter_map(|material| material.series)
                .collect();
            position = CollectPosition {
                page: number,
                finished: last || page.next.is_none(),
                cursor: page.next.as_ref().filter(|_| !last).map(|next| next.as_str().to_owned()),
                // Newest first: the first page that has a time has the newest.
                mark: position.mark.or_else(|| newest(&page, Timestamp::now())),
            };
            if position.finished && run.mode == RunMode::Incremental {
                // A title that failed before is below the watermark by now and would never be seen again.
                let failed = self.checkpoint.select(|_, entry| entry.status() == Status::Failed);
                ids.extend(failed.into_iter().map(|(id, _)| id));
            }
            // A title of which an item cannot be read is visited: its search tells, and fails, the whole of it.
            ids.extend(page.rejected.iter().filter_map(|reject| reject.series));
            let rejected = page.rejected.into_iter().map(|reject| landed_reject(number, reject)).collect();
            self.landing.commit_pending(&run_id, ids, rejected, position.clone()).await?;
            fail::fail_point!("crawl.collect.landed");
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            self.checkpoint.finish_page(number, position.cursor.clone(), position.mark.clone()).await?;
            self.progress.page(number, materials, None);
        }
        Ok(Flow::Done)
    }
}
