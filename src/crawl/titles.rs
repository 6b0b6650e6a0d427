//! Phase two: every title of the run, fetched, transformed, loaded, marked.
//!
//! Two things happen side by side: the next 50 titles are prepared (the sources' limits set the pace) while the
//! present ones are loaded, some at a time. A bounded channel between the two keeps memory flat.

use std::cell::RefCell;
use std::time::Instant;

use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use crate::checkpoint::{Airing, LedgerEntry, RunState};
use crate::error::{Fault as _, Party, Severity, chain};
use crate::http;
use crate::load::Loader;
use crate::model::{Failure, Outcome, SeriesId, TitleRecord};
use crate::observe::{events, spans};
use crate::transform;

use super::fetch::{BATCH, Prepared};
use super::report::{TitleLine, outcome_word};
use super::title::{Fetch, failed};
use super::{Crawl, CrawlError, FailureLine, FailureStreak, Flow, PhaseKind, Stop, Tally, View};

/// How long titles in flight may take to finish after a stop; later they are dropped and loaded again next time.
const GRACE: std::time::Duration = std::time::Duration::from_secs(20);

/// Loaded titles that may wait for the disk; more make loading wait.
const MARKS: usize = 24;

/// Titles that load into the embedded catalogue at the same time: they cost nobody anything, and share its commits.
/// All of them may be loaded again after a kill.
const EMBEDDED: usize = 24;

/// Ids read from the landing at once.
const PAGE: u32 = 500;

/// A title that the backend has answered for and the state does not know yet.
struct Loaded {
    entry: LedgerEntry,
    outcome: Outcome,
    attempts: u32,
    started: Instant,
}

impl Crawl<'_> {
    /// Loads every title of the run that it has not finished yet.
    pub(super) async fn load_titles(&self, run: &RunState, tally: &RefCell<Tally>) -> Result<Flow, CrawlError> {
        let total = self.titles_of(run).await?;
        let total = run.limit.map_or(total, |limit| total.min(limit.into()));
        self.progress.phase(PhaseKind::Titles, run.counters.extracted.min(total), Some(total));

        let (sender, prepared) = mpsc::channel(1);
        // The sender moves in, because dropping it is what ends the consumer.
        let producer = async move { self.prepare_all(run, &sender).await };
        let consumer = self.consume(run, prepared, tally);
        tokio::pin!(producer, consumer);
        tokio::select! {
            biased;
            // A stop ends the consumer and drops the producer wherever it waits: what it has fetched is landed.
            flow = &mut consumer => flow,
            produced = &mut producer => {
                let flow = consumer.await;
                produced?;
                flow
            }
        }
    }

    /// Loads prepared titles, some at a time. After a stop or an error no new title is begun; those in flight finish.
    async fn consume(
        &self,
        run: &RunState,
        mut prepared: mpsc::Receiver<Vec<Prepared>>,
        tally: &RefCell<Tally>,
    ) -> Result<Flow, CrawlError> {
        let halt = Stop::default();
        let mut ended = Ok(());
        let mut streak = FailureStreak::new(self.options.max_consecutive_errors);
        {
            let over = async {
                tokio::select! { () = self.stop.requested() => (), () = halt.requested() => () }
            };
            let patience = async {
                tokio::select! { () = self.stop.requested() => (), () = halt.requested() => () }
                tokio::time::sleep(GRACE).await;
            };
            let outcomes = stream::poll_fn(|context| prepared.poll_recv(context))
                .flat_map(stream::iter)
                .take_until(over)
                .map(|title| {
                    let span = spans::title(title.id.0);
                    self.load_title(run, title).instrument(span)
                })
                .buffer_unordered(self.in_flight(run))
                // A title waits for the disk outside of its place among those that load, so that the places stay
                // busy and many titles share one wait.
                .map(|loaded| self.mark_title(loaded, tally))
                .buffer_unordered(MARKS);
            tokio::pin!(patience, outcomes);
            while let Some(outcome) = tokio::select! {
                biased;
                outcome = outcomes.next() => outcome,
                () = &mut patience => None,
            } {
                let error = match outcome {
                    Ok(outcome) => match (streak.count(&outcome), outcome) {
                        (true, Outcome::Failed(failure)) => too_many_failures(streak.titles(), &failure),
                        _ => continue,
                    },
                    Err(error) => error,
                };
                halt.request();
                ended = ended.and(Err(error));
            }
        }
        ended.map(|()| if self.stop.is_requested() { Flow::Stopped } else { Flow::Done })
    }

    /// How many titles load at the same time. Where that asks no service, more of them share a commit of the catalogue.
    fn in_flight(&self, run: &RunState) -> usize {
        let local = matches!(self.loader, Loader::Embedded(_)) && Self::view(run) == View::Landed;
        if local && !self.options.fetch_characters {
            self.options.concurrency.max(EMBEDDED)
        } else {
            self.options.concurrency
        }
    }

    async fn titles_of(&self, run: &RunState) -> Result<u64, CrawlError> {
        Ok(match Self::view(run) {
            View::Landed => self.landing.series_count().await?,
            View::Search => self.landing.pending_count(&run.id.to_string()).await?,
        })
    }

    async fn ids_after(&self, run: &RunState, after: Option<SeriesId>) -> Result<Vec<SeriesId>, CrawlError> {
        Ok(match Self::view(run) {
            View::Landed => self.landing.series_ids(after, PAGE).await?,
            View::Search => self.landing.pending(&run.id.to_string(), after, PAGE).await?,
        })
    }

    /// Walks the run's titles in the order of their ids and prepares those that are not done, 50 at a time.
    async fn prepare_all(&self, run: &RunState, sender: &mpsc::Sender<Vec<Prepared>>) -> Result<(), CrawlError> {
        let mut left = run
            .limit
            .map_or(u64::MAX, |limit| u64::from(limit).saturating_sub(run.counters.extracted - run.counters.failed));
        let mut after = None;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let ids = self.ids_after(run, after).await?;
            after = ids.last().copied().or(after);
            let end = ids.is_empty();
            for id in ids {
                if left > 0 && !self.checkpoint.is_done(id, run.seq) {
                    left -= 1;
                    batch.push(id);
                }
                // Full batches only, also where an earlier process has done most: requests are what is scarce.
                if batch.len() == BATCH && !self.send(run, &mut batch, sender).await? {
                    return Ok(());
                }
            }
            if end || left == 0 {
                if !batch.is_empty() {
                    self.send(run, &mut batch, sender).await?;
                }
                return Ok(());
            }
        }
    }

    async fn send(
        &self,
        run: &RunState,
        batch: &mut Vec<SeriesId>,
        sender: &mpsc::Sender<Vec<Prepared>>,
    ) -> Result<bool, CrawlError> {
        let prepared = self.prepare(run, batch).await?;
        batch.clear();
        Ok(sender.send(prepared).await.is_ok())
    }

    /// One title from raw to loaded. An error here stops the run; the title's own trouble is an outcome.
    async fn load_title(&self, run: &RunState, prepared: Prepared) -> Result<Loaded, CrawlError> {
        let started = Instant::now();
        let id = prepared.id;
        let (done, attempts) = http::count_attempts(self.fetch_transform_load(run, prepared)).await;
        let (record, outcome) = done?;
        fail::fail_point!("crawl.title.loaded");
        // The record ends here: titles that wait for the disk are small.
        let entry = self.ledger_entry(id, record.as_ref(), &outcome);
        Ok(Loaded { entry, outcome, attempts, started })
    }

    /// Marks a loaded title and tells everybody.
    async fn mark_title(
        &self,
        loaded: Result<Loaded, CrawlError>,
        tally: &RefCell<Tally>,
    ) -> Result<Outcome, CrawlError> {
        let Loaded { entry, outcome, attempts, started } = loaded?;
        let (id, title) = (entry.id, entry.title.clone());
        self.checkpoint.mark(entry).await?;
        fail::fail_point!("crawl.title.marked");

        let elapsed = started.elapsed();
        tally.borrow_mut().count(&outcome);
        self.progress.title(&outcome);
        let word = outcome_word(&outcome);
        let (reason, failure) = match &outcome {
            Outcome::Skipped(reason) => (Some(reason.as_str().to_owned()), None),
            Outcome::Failed(failure) => (Some(failure.reason.clone()), Some(failure)),
            _ => (None, None),
        };
        events::title_finished(id.0, &title, word, reason.as_deref(), elapsed);
        if let Outcome::Loaded { writes, .. } = &outcome {
            events::records_written("series", writes.series);
            events::records_written("episode", writes.episodes);
            events::records_written("video", writes.videos);
        }
        if let Outcome::Failed(failure) = &outcome {
            let mut failures = self.failures.borrow_mut();
            if failures.len() < FailureLine::MAX {
                let reason = format!("{} ({}/{})", failure.reason, failure.stage, failure.code);
                failures.push(FailureLine { series: Some(id), title: title.clone(), reason });
            }
        }
        if let Some(report) = &self.report {
            let line = TitleLine {
                series: id,
                title: Some(&title).filter(|title| !title.is_empty()).map(String::as_str),
                outcome: word,
                reason,
                failure,
                attempts,
                seconds: elapsed.as_secs_f64(),
            };
            let mut report = report.borrow_mut();
            report
                .title(&line)
                .map_err(|error| CrawlError::Report { path: report.path().to_owned(), reason: error.to_string() })?;
        }
        Ok(outcome)
    }

    async fn fetch_transform_load(
        &self,
        run: &RunState,
        prepared: Prepared,
    ) -> Result<(Option<TitleRecord>, Outcome), CrawlError> {
        let raw = match self.raw_title(run, prepared).await? {
            Fetch::Whole(raw) => raw,
            Fetch::Skip(reason) => return Ok((None, Outcome::Skipped(reason))),
            Fetch::Failed(failure) => return Ok((None, Outcome::Failed(failure))),
        };
        let record = match transform::title(&raw, &self.rules) {
            Ok(record) => record,
            Err(error) => {
                let retryable = error.severity() == Severity::Transient;
                return Ok((None, Outcome::Failed(failed("transform", "transform", chain(&error), retryable))));
            }
        };
        // The landing's raw payloads and the parsed ones are not needed while the backend works.
        drop(raw);
        fail::fail_point!("crawl.title.transformed");
        let known = self.checkpoint.known_fingerprint(record.series.id);
        let known = known.map(|bytes| format!("{:032x}", u128::from_be_bytes(bytes)));
        let outcome = self.loader.load(&record, known.as_deref()).await?;
        Ok((Some(record), outcome))
    }

    fn ledger_entry(&self, id: SeriesId, record: Option<&TitleRecord>, outcome: &Outcome) -> LedgerEntry {
        let title = record.map(|record| record.series.title.clone()).unwrap_or_default();
        let mut entry = LedgerEntry::from_outcome(id, title, outcome, Timestamp::now());
        if let Some(record) = record {
            let signals = &record.series.signals;
            entry.episodes = u32::try_from(record.episodes.len()).unwrap_or(u32::MAX);
            entry.episodes_total = signals.episodes_total;
            entry.airing = Airing::from(record.series.status);
            entry.next_episode_at = signals.next_episode_at;
            if matches!(outcome, Outcome::Loaded { .. } | Outcome::Unchanged) {
                entry.fingerprint = u128::from_str_radix(&record.fingerprint(), 16).ok().map(u128::to_be_bytes);
            }
        } else if let Some(known) = self.checkpoint.entry(id) {
            // What an earlier run learnt still decides whether `ongoing` looks at the title again.
            entry.episodes = known.episodes();
            entry.airing = known.airing();
            entry.next_episode_at = known.next_episode_at();
        }
        entry
    }
}

fn too_many_failures(titles: u64, last: &Failure) -> CrawlError {
    let party = match last.stage.as_str() {
        "batch" | "contract" | "embedded" => Party::Backend,
        _ => Party::Source,
    };
    CrawlError::TooManyFailures { titles, last: last.reason.clone(), party }
}
