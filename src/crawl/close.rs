//! The end of a run: what was left out before it became a title is counted, the checkpoint is closed, the report written.

use std::time::Duration;

use jiff::Timestamp;

use crate::checkpoint::{Phase, RunMode, RunState};
use crate::model::SkipReason;
use crate::observe::events;

use super::summary::FailureLine;
use super::{Crawl, CrawlError, End, ServiceLine, Summary, Tally, View};

impl Crawl<'_> {
    /// The landing is the authority on where the listing stands: page and cursor move there in one transaction. What
    /// the checkpoint says about a landing that is gone (or another one) counts for nothing.
    pub(super) async fn agree_with_landing(&self, run: RunState) -> Result<RunState, CrawlError> {
        if run.phase == Phase::Listing {
            return Ok(run);
        }
        let landed = match Self::view(&run) {
            View::Landed => self
                .landing
                .listing()
                .await?
                .is_some_and(|listing| listing.finished && listing.generation == run.generation),
            View::Search => {
                self.landing.collect_position(&run.id.to_string()).await?.is_some_and(|position| position.finished)
            }
        };
        if landed {
            return Ok(run);
        }
        if run.from_landing {
            return Err(CrawlError::NothingLanded { path: self.landing.path().to_owned() });
        }
        events::landing_lost();
        self.checkpoint
            .update_run(|run| {
                run.phase = Phase::Listing;
                run.last_page = 0;
                run.cursor = None;
            })
            .await?;
        Ok(self.checkpoint.run().unwrap_or(run))
    }

    /// Closes everything and tells what happened.
    pub(super) async fn close(mut self, run: Option<RunState>, end: End, tally: Tally, elapsed: Duration) -> Summary {
        let mut summary = Summary::new(run.as_ref(), end, tally, elapsed);
        if let Some(run) = &run {
            if let Some(now) = self.checkpoint.run() {
                summary.pages = now.last_page;
                summary.whole_run = now.counters;
            }
            summary.failures = self.failures.take();
            if matches!(summary.end, End::Finished)
                && let Err(error) = self.finish(run, &mut summary).await
            {
                summary.end = End::Failed(error);
            }
            events::run_ended(run.mode.as_str(), summary.end.as_str(), elapsed);
        }
        summary.target = self.loader.target();
        summary.drift = self.drift.summary();
        summary.services =
            self.services.iter().map(|service| ServiceLine::new(service.name(), &service.stats())).collect();
        self.loader.close().await;
        if !self.options.dry_run && run.is_some() {
            let health = summary.health(Timestamp::now());
            // The run's own end counts; that nobody can look it up later is no reason to fail it.
            if let Err(error) = health.write(self.checkpoint.paths()) {
                events::health_not_kept(&crate::error::chain(&error));
            }
        }
        if let Some(report) = self.report.take() {
            let report = report.into_inner();
            let path = report.path().to_owned();
            if let Err(error) = report.finish(&summary)
                && !matches!(summary.end, End::Failed(_))
            {
                summary.end = End::Failed(CrawlError::Report { path, reason: error.to_string() });
            }
        }
        summary
    }

    /// Every title is marked: count what never became one, and close the run in the checkpoint.
    async fn finish(&self, run: &RunState, summary: &mut Summary) -> Result<(), CrawlError> {
        // A limited run has not been everywhere, so what it did not look at is not its to count.
        if Self::view(run) == View::Landed && run.limit.is_none() {
            let nameless = self.landing.without_series_count().await?;
            summary.titles.count_skipped(SkipReason::NoShikimoriId, nameless);
            events::materials_left_out("skipped", SkipReason::NoShikimoriId.as_str(), nameless);
        }
        let mut rejected = self.landing.rejected(&self.lister_of(run).await?).await?;
        if Self::view(run) == View::Search {
            // Those that name a title were visited through it.
            rejected.retain(|reject| reject.series.is_none());
        }
        summary.titles.extracted += rejected.len() as u64;
        summary.titles.failed += rejected.len() as u64;
        events::materials_left_out("failed", "bad_material", rejected.len() as u64);
        for reject in rejected.into_iter().take(FailureLine::MAX) {
            let id = reject.id.unwrap_or_else(|| "without id".to_owned());
            let reason = format!("material {id}: {} (kodik/bad_material)", reject.reason);
            summary.failures.push(FailureLine { series: reject.series, title: String::new(), reason });
        }
        summary.failures.truncate(FailureLine::MAX);
        let whole = run.limit.is_none() && run.max_pages.is_none() && !run.from_landing;
        let moves_watermark = whole && matches!(run.mode, RunMode::Full | RunMode::Incremental);
        let watermark = self.checkpoint.run().and_then(|run| run.watermark_candidate).filter(|_| moves_watermark);
        let exit = u8::from(summary.failed() > 0);
        self.checkpoint.finish_run(exit, watermark, Timestamp::now()).await?;
        if !self.options.dry_run {
            self.landing.keep_pending_of(&run.id.to_string()).await?;
        }
        Ok(())
    }

    /// Which run has listed what this one sees: itself, or the one whose landing it uses.
    pub(super) async fn lister_of(&self, run: &RunState) -> Result<String, CrawlError> {
        let listed = if Self::view(run) == View::Landed { self.landing.listing().await? } else { None };
        Ok(listed.map_or_else(|| run.id.to_string(), |listing| listing.run_id))
    }
}
