//! The state of a crawl on disk: where a run stands (checkpoint) and what became of every title (ledger).
//!
//! [`Checkpoint`] is what a run uses. What it reports as done is durable: the ledger's line first, then the
//! checkpoint, whose counters are counted anew from the ledger at every start, so that a crash between the two is
//! harmless. [`admin`] and [`transfer`] are what `parser state` does.

pub mod admin;
mod atomic_file;
pub mod entry;
pub mod error;
pub mod health;
mod ledger;
mod line;
pub mod lock;
pub mod migrate;
pub mod notice;
mod open;
pub mod paths;
pub mod run;
pub mod state;
pub mod transfer;
mod writer;

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::SeriesId;

pub use entry::{Airing, Entry, Fingerprint, LedgerEntry, Reason, Status};
pub use error::StateError;
pub use health::{Health, ServiceHealth};
pub use line::from_hex as fingerprint_from_hex;
pub use lock::{Holder, LockProbe, LockStatus, StateLock};
pub use notice::Notice;
pub use paths::StatePaths;
pub use run::{Counters, Phase, RunMode, RunSpec, RunState};
pub use state::LastRun;

use open::Opened;
use writer::{Command, Live, Memory, Shared, Writer, apply_in_memory};

/// How many titles ended in which way, over all runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// All titles known.
    pub titles: u64,
    /// Loaded when last seen.
    pub done: u64,
    /// Already there when last seen.
    pub unchanged: u64,
    /// Failed when last seen.
    pub failed: u64,
    /// Skipped when last seen.
    pub skipped: u64,
}

/// An open state. Shared by concurrent titles: every method takes `&self`.
#[derive(Debug)]
pub struct Checkpoint {
    paths: StatePaths,
    shared: Arc<Shared>,
    notices: Vec<Notice>,
    /// `None` = read-only: everything works, nothing is written. Before the lock, because it must end first.
    writer: Option<Writer>,
    _lock: Option<StateLock>,
}

impl Checkpoint {
    /// Opens the state for a run: takes the lock, migrates an old state, cuts off a torn tail, loads the ledger.
    /// `command` tells others who holds the lock; it must not contain secrets.
    pub fn open(paths: &StatePaths, now: Timestamp, command: &str) -> Result<Self, StateError> {
        let (lock, opened, appender) = open::for_writing(paths, now, command)?;
        let (shared, notices) = Self::share(opened);
        let writer = Writer::start(paths, Arc::clone(&shared), appender)?;
        Ok(Self { paths: paths.clone(), shared, notices, writer: Some(writer), _lock: Some(lock) })
    }

    /// Opens it for looking, and for dry runs: no lock, no byte changed. Marks and changes work in memory only.
    pub fn open_read_only(paths: &StatePaths, now: Timestamp) -> Result<Self, StateError> {
        let (shared, notices) = Self::share(open::for_reading(paths, now)?);
        Ok(Self { paths: paths.clone(), shared, notices, writer: None, _lock: None })
    }

    fn share(opened: Opened) -> (Arc<Shared>, Vec<Notice>) {
        let live = Live { document: opened.document, side: None };
        (Shared::new(Memory { live, entries: opened.entries }), opened.notices)
    }

    /// What opening had to mend.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The files.
    pub fn paths(&self) -> &StatePaths {
        &self.paths
    }

    /// Whether nothing is written.
    pub fn is_read_only(&self) -> bool {
        self.writer.is_none()
    }

    async fn ask(&self, command: Command) -> Result<(), StateError> {
        match &self.writer {
            Some(writer) => writer.ask(command).await,
            None => apply_in_memory(&self.shared, command),
        }
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut Live) -> Result<(), StateError> + Send + 'static,
    ) -> Result<(), StateError> {
        self.ask(Command::Update(Box::new(change))).await
    }

    fn no_run(&self) -> StateError {
        StateError::NoRun { path: self.paths.checkpoint.clone() }
    }

    /// The run that `--resume` would continue.
    pub fn resumable(&self) -> Option<RunState> {
        self.shared.lock().live.document.run.clone()
    }

    /// The run that is going on.
    pub fn run(&self) -> Option<RunState> {
        self.shared.lock().live.run().cloned()
    }

    /// Begins a run. An unfinished one is given up, except by mode `one`, which leaves it resumable.
    pub async fn begin_run(&self, spec: RunSpec, now: Timestamp) -> Result<RunState, StateError> {
        fail::fail_point!("checkpoint.begin.before");
        self.change(move |live| {
            live.document.run_seq = live.document.run_seq.saturating_add(1);
            let run = RunState::new(&spec, live.document.run_seq, now);
            if spec.mode == RunMode::One {
                live.side = Some(run);
            } else {
                live.side = None;
                live.document.run = Some(run);
            }
            Ok(())
        })
        .await?;
        fail::fail_point!("checkpoint.begin.after");
        self.run().ok_or_else(|| self.no_run())
    }

    /// Changes the run that is going on.
    pub async fn update_run(&self, change: impl FnOnce(&mut RunState) + Send + 'static) -> Result<(), StateError> {
        let no_run = self.no_run();
        self.change(move |live| live.run_mut().map(change).ok_or(no_run)).await
    }

    /// A page is landed: the listing goes on behind it. `newest` is the latest `updated_at` on it, if any.
    pub async fn finish_page(
        &self,
        page: u32,
        cursor: Option<String>,
        newest: Option<String>,
    ) -> Result<(), StateError> {
        fail::fail_point!("checkpoint.page.before");
        self.update_run(move |run| {
            run.last_page = page;
            run.cursor = cursor;
            run.watermark_candidate = later(run.watermark_candidate.take(), newest);
        })
        .await?;
        fail::fail_point!("checkpoint.page.after");
        Ok(())
    }

    /// The listing is complete: from now on titles are loaded, and no page is asked for again.
    pub async fn enter_titles_phase(&self) -> Result<(), StateError> {
        fail::fail_point!("checkpoint.phase.before");
        self.update_run(|run| {
            run.phase = Phase::Titles;
            run.cursor = None;
        })
        .await?;
        fail::fail_point!("checkpoint.phase.after");
        Ok(())
    }

    /// Records the end of a title. Durable when it returns; concurrent marks share one wait for the disk.
    pub async fn mark(&self, mut entry: LedgerEntry) -> Result<(), StateError> {
        entry.run = self.shared.lock().live.run().map(|run| run.seq).ok_or_else(|| self.no_run())?;
        self.ask(Command::Mark(entry.bounded())).await
    }

    /// The run is over. `watermark` replaces the old one if given.
    pub async fn finish_run(&self, exit: u8, watermark: Option<String>, now: Timestamp) -> Result<(), StateError> {
        fail::fail_point!("checkpoint.finish.before");
        let no_run = self.no_run();
        self.change(move |live| {
            let run = live.side.take().or_else(|| live.document.run.take()).ok_or(no_run)?;
            live.document.last_run = Some(LastRun {
                id: Some(run.id),
                mode: Some(run.mode),
                started_at: Some(run.started_at),
                finished_at: now,
                exit,
                counters: run.counters,
                extra: run.extra,
            });
            if watermark.is_some() {
                live.document.watermark = watermark;
            }
            Ok(())
        })
        .await?;
        fail::fail_point!("checkpoint.finish.after");
        Ok(())
    }

    /// The last run that finished.
    pub fn last_run(&self) -> Option<LastRun> {
        self.shared.lock().live.document.last_run.clone()
    }

    /// The newest `updated_at` that a finished run has seen.
    pub fn watermark(&self) -> Option<String> {
        self.shared.lock().live.document.watermark.clone()
    }

    /// The backend that the known fingerprints speak of.
    pub fn target(&self) -> Option<String> {
        self.shared.lock().live.document.target.as_ref().map(|target| target.id.clone())
    }

    /// Names the backend of this run. A different one than before makes every fingerprint unknown, and an unfinished
    /// run load its titles again. No secret may be in `id`.
    pub async fn set_target(&self, id: &str) -> Result<(), StateError> {
        if self.target().as_deref() == Some(id) {
            return Ok(());
        }
        let id = id.to_owned();
        self.change(move |live| {
            live.document.retarget(&id);
            Ok(())
        })
        .await
    }

    /// Whether run `seq` has finished the title other than by failing.
    pub fn is_done(&self, series: SeriesId, seq: u32) -> bool {
        self.entry(series).is_some_and(|entry| entry.run() == seq && entry.status() != Status::Failed)
    }

    /// What is known of a title.
    pub fn entry(&self, series: SeriesId) -> Option<Entry> {
        self.shared.lock().entries.get(&series.0).copied()
    }

    /// What the present target has of a title; `None` when unknown or of another target.
    pub fn known_fingerprint(&self, series: SeriesId) -> Option<Fingerprint> {
        let memory = self.shared.lock();
        let since = memory.live.document.target.as_ref()?.since;
        memory.entries.get(&series.0).filter(|entry| entry.run() >= since)?.fingerprint()
    }

    /// The titles that `wanted` picks, in the order of their ids. `wanted` must not call back into the state.
    pub fn select(&self, mut wanted: impl FnMut(SeriesId, &Entry) -> bool) -> Vec<(SeriesId, Entry)> {
        let memory = self.shared.lock();
        memory
            .entries
            .iter()
            .filter(|(id, entry)| wanted(SeriesId(**id), entry))
            .map(|(id, entry)| (SeriesId(*id), *entry))
            .collect()
    }

    /// Counts all titles.
    pub fn counts(&self) -> Counts {
        let memory = self.shared.lock();
        let mut counts = Counts { titles: memory.entries.len() as u64, ..Counts::default() };
        for entry in memory.entries.values() {
            match entry.status() {
                Status::Done => counts.done += 1,
                Status::Unchanged => counts.unchanged += 1,
                Status::Failed => counts.failed += 1,
                Status::Skipped => counts.skipped += 1,
            }
        }
        counts
    }
}

/// The later of two times; what is no time gives way to what is one.
fn later(old: Option<String>, new: Option<String>) -> Option<String> {
    match (old, new) {
        (Some(old), Some(new)) => match (old.parse::<Timestamp>(), new.parse::<Timestamp>()) {
            (Ok(before), Ok(after)) => Some(if after > before { new } else { old }),
            (Err(_), Ok(_)) => Some(new),
            _ => Some(old),
        },
        (old, new) => old.or(new),
    }
}

#[cfg(test)]
mod tests {
    use super::later;

    #[test]
    fn the_watermark_never_goes_back() {
        let text = |text: &str| Some(text.to_owned());
        let (a, b) = ("2026-01-09T12:00:00Z", "2026-01-09T13:00:00+00:30");
        assert_eq!(later(text(a), text(b)), text(b));
        assert_eq!(later(text(b), text(a)), text(b));
        assert_eq!(later(text(a), None), text(a));
        assert_eq!(later(None, text(a)), text(a));
        assert_eq!(later(text("x"), text(a)), text(a));
        assert_eq!(later(text(a), text("x")), text(a));
    }
}
