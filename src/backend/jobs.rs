//! The four jobs that bring staged records into the catalogue: each by its schedule and on demand, never twice at once.
//!
//! A run claims rows in batches and processes each in a transaction of its own, which also looks whether the claim still
//! stands: so a record succeeds at most once, whoever else is at work. A record that cannot be taken is parked with the
//! reason. A store that is busy or away for a moment is asked again; a run that was killed leaves leases that run out.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument as _;
use uuid::Uuid;

use super::importer::{self, Processed};
use super::schedule::Schedule;
use super::{BackendError, tasks};
use crate::error::chain;
use crate::model::RecordKind;
use crate::observe::{events, spans};
use crate::store::jobs::{self, JobRow, RunCounts};
use crate::store::sqlite::CrashPoints;
use crate::store::staging::{self, Claim, Finish};
use crate::store::{Store, StoreError};

const CLAIM: CrashPoints = CrashPoints { before: "jobs.claim.before_commit", after: "jobs.claim.after_commit" };
const RECORD: CrashPoints = CrashPoints { before: "jobs.record.before_commit", after: "jobs.record.after_commit" };
const BOOKS: CrashPoints = CrashPoints { before: "jobs.books.before_commit", after: "jobs.books.after_commit" };

/// The scheduler looks at the clock at least so often: it may have been set, and other processes change the table.
const LOOK: Duration = Duration::from_secs(20);

/// How jobs run.
#[derive(Debug, Clone)]
pub struct JobOptions {
    /// When each runs by itself.
    pub schedules: Vec<(RecordKind, Schedule)>,
    /// Rows that are claimed and processed at once.
    pub batch: u32,
    /// How long a claim lasts without renewal.
    pub lease: Duration,
}

/// The jobs on one store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Jobs {
    store: Arc<Store>,
    options: Arc<JobOptions>,
}

/// What a run does beside the ordinary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Also what was refused before.
    pub retry_errors: bool,
    /// At most so many records.
    pub limit: Option<u64>,
}

/// Who asked for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The clock.
    Schedule,
    /// A request.
    Api,
    /// A command.
    Command,
}

impl Trigger {
    /// The word in the table and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Api => "api",
            Self::Command => "command",
        }
    }
}

/// A run that has begun: its lease is held.
#[derive(Debug)]
pub struct Begun {
    kind: RecordKind,
    owner: String,
    options: RunOptions,
}

impl Jobs {
    /// The jobs of this store.
    pub fn new(store: Arc<Store>, options: JobOptions) -> Self {
        Self { store, options: Arc::new(options) }
    }

    /// Makes sure that all jobs are known with their schedules.
    pub async fn prepare(&self) -> Result<(), BackendError> {
        let now = Timestamp::now();
        let options = Arc::clone(&self.options);
        let job = self.store.write(BOOKS, move |session| {
            for (kind, schedule) in &options.schedules {
                let next = schedule.next(now).map(Timestamp::as_millisecond);
                jobs::ensure(session, *kind, schedule.cron(), schedule.zone(), next)?;
            }
            Ok(())
        });
        Ok(job.await?)
    }

    /// All jobs, in the order in which they run by default.
    pub async fn list(&self) -> Result<Vec<JobRow>, BackendError> {
        let mut rows = self.store.read(jobs::all).await?;
        rows.sort_by_key(|row| RecordKind::ALL.iter().position(|kind| *kind == row.kind));
        Ok(rows)
    }

    /// Begins a run; `None` = one is going on, here or elsewhere.
    pub async fn begin(
        &self,
        kind: RecordKind,
        trigger: Trigger,
        options: RunOptions,
    ) -> Result<Option<Begun>, BackendError> {
        let owner = Uuid::now_v7().to_string();
        let (now, until) = self.times();
        let holder = owner.clone();
        let started = self.patiently(CLAIM, move |session| {
            let started = jobs::start(session, kind, &holder, trigger.as_str(), now, until)?;
            if started {
                if options.retry_errors {
                    staging::requeue_errors(session, kind, now)?;
                }
                importer::settle_missed(session, now)?;
            }
            Ok(started)
        });
        Ok(started.await?.then_some(Begun { kind, owner, options }))
    }

    /// Runs what has begun, to its end or until `stop` is true.
    pub async fn run(&self, begun: Begun, stop: &watch::Receiver<bool>) -> Result<RunCounts, BackendError> {
        let Begun { kind, owner, options } = begun;
        let mut counts = RunCounts::default();
        events::job_started(kind.as_str());
        let span = spans::job(kind.as_str());
        let done = self.work(kind, &owner, options, &mut counts, stop).instrument(span.clone()).await;
        spans::failed(&span, done.is_err());
        let error = done.as_ref().err().map(|error| chain(error));
        events::job_ended(
            kind.as_str(),
            counts.written,
            counts.unchanged,
            counts.waiting,
            counts.failed,
            error.as_deref(),
        );
        let ended = self
            .patiently(BOOKS, move |session| {
                let now = Timestamp::now().as_millisecond();
                // What was claimed and not finished (the run was stopped, or failed) is anybody's at once.
                staging::release_claims(session, kind, &owner, now)?;
                jobs::keep(session, kind, &owner, counts, now)?;
                jobs::end(session, kind, &owner, error.as_deref(), now)
            })
            .await;
        done?;
        ended?;
        Ok(counts)
    }

    async fn work(
        &self,
        kind: RecordKind,
        owner: &str,
        options: RunOptions,
        counts: &mut RunCounts,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), BackendError> {
        let mut beat = tokio::time::interval(self.options.lease / 3);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let left = options.limit.map_or(u64::MAX, |limit| limit.saturating_sub(counts.total()));
            let limit = self.options.batch.min(u32::try_from(left).unwrap_or(u32::MAX));
            if limit == 0 || *stop.borrow() {
                return Ok(());
            }
            let Some(rows) = self.claim(kind, owner, *counts, limit).await? else { return Ok(()) };
            if rows.is_empty() {
                return Ok(());
            }
            let mut batch = JoinSet::new();
            for id in rows {
                let (jobs, owner) = (self.clone(), owner.to_owned());
                batch.spawn(async move { jobs.record(kind, id, &owner).await }.in_current_span());
            }
            while !batch.is_empty() {
                tokio::select! {
                    Some(done) = batch.join_next() => {
                        if let Some(outcome) = tasks::outcome(done) {
                            count(counts, outcome?.as_ref());
                        }
                    }
                    _ = beat.tick() => self.renew(kind, owner, *counts).await?,
                }
            }
        }
    }

    /// The next batch; `None` = the run has lost its lease.
    async fn claim(
        &self,
        kind: RecordKind,
        owner: &str,
        counts: RunCounts,
        limit: u32,
    ) -> Result<Option<Vec<i64>>, BackendError> {
        let owner = owner.to_owned();
        let (now, until) = self.times();
        self.patiently(CLAIM, move |session| {
            if !jobs::keep(session, kind, &owner, counts, until)? {
                return Ok(None);
            }
            let rows = staging::claim(session, kind, Claim { owner: &owner, limit, until, now })?;
            Ok(Some(rows.into_iter().map(|row| row.id).collect()))
        })
        .await
    }

    async fn renew(&self, kind: RecordKind, owner: &str, counts: RunCounts) -> Result<(), BackendError> {
        let owner = owner.to_owned();
        let (_, until) = self.times();
        self.patiently(BOOKS, move |session| {
            staging::renew(session, kind, &owner, until)?;
            jobs::keep(session, kind, &owner, counts, until).map(drop)
        })
        .await
    }

    /// One record; `None` = the claim was lost.
    async fn record(&self, kind: RecordKind, id: i64, owner: &str) -> Result<Option<Processed>, BackendError> {
        let holder = owner.to_owned();
        let done = self
            .patiently(RECORD, move |session| {
                importer::process(session, kind, id, &holder, Timestamp::now().as_millisecond())
            })
            .await;
        let error = match done {
            Err(BackendError::Store(error)) if !error.stops_run() && !error.is_transient() => error,
            done => return done,
        };
        // The store refuses this one: it is kept aside, or it would come back for ever.
        let (holder, message) = (owner.to_owned(), error.kind.to_string());
        events::record_parked(kind.as_str(), id, &message);
        self.patiently(RECORD, move |session| {
            if staging::owned(session, kind, id, &holder)?.is_none() {
                return Ok(None);
            }
            let now = Timestamp::now().as_millisecond();
            staging::finish(session, kind, id, Finish::Errors("store", &message), now)?;
            Ok(Some(Processed::Refused { code: "store", message }))
        })
        .await
    }

    fn times(&self) -> (i64, i64) {
        let now = Timestamp::now().as_millisecond();
        (now, now.saturating_add(i64::try_from(self.options.lease.as_millis()).unwrap_or(i64::MAX)))
    }

    /// A transaction, tried again while the store is only busy.
    async fn patiently<T, F>(&self, points: CrashPoints, job: F) -> Result<T, BackendError>
    where
        T: Send + 'static,
        F: FnOnce(&crate::store::sql::Session<'_>) -> Result<T, crate::store::sql::SqlError> + Clone + Send + 'static,
    {
        let patience = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(5))
            .with_max_times(8)
            .with_jitter();
        (|| self.store.write(points, job.clone()))
            .retry(patience)
            .when(StoreError::is_transient)
            .notify(|error, delay| events::store_locked(&error.to_string(), delay))
            .await
            .map_err(BackendError::from)
    }

    /// Starts jobs when they are due, until `stop` is true; then waits for those that run.
    pub async fn keep_schedule(&self, mut stop: watch::Receiver<bool>) {
        let mut running = JoinSet::new();
        while !*stop.borrow() {
            let wait = match self.start_due(&mut running, &stop).await {
                Ok(wait) => wait.min(LOOK),
                Err(error) => {
                    events::schedule_failed(&chain(&error));
                    LOOK
                }
            };
            while running.try_join_next().is_some() {}
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // A sender that is gone means the same as stopping.
                changed = stop.changed() => if changed.is_err() { break },
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Starts what is due; how long until the next.
    async fn start_due(
        &self,
        running: &mut JoinSet<()>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Duration, BackendError> {
        let mut wait = LOOK;
        for row in self.store.read(jobs::all).await? {
            let Some(due) = row.next_run_at else { continue };
            let now = Timestamp::now();
            if due > now.as_millisecond() {
                let left = u64::try_from(due - now.as_millisecond()).unwrap_or(0);
                wait = wait.min(Duration::from_millis(left));
                continue;
            }
            let schedule = self.options.schedules.iter().find(|(kind, _)| *kind == row.kind).map(|(_, found)| found);
            let next = schedule.and_then(|schedule| schedule.next(now)).map(Timestamp::as_millisecond);
            wait = Duration::ZERO;
            // Of all servers that see the hour strike, one takes the date.
            if !self.patiently(BOOKS, move |session| jobs::take_date(session, row.kind, due, next)).await? {
                continue;
            }
            if let Some(begun) = self.begin(row.kind, Trigger::Schedule, RunOptions::default()).await? {
                let (jobs, stop) = (self.clone(), stop.clone());
                running.spawn(async move {
                    // The table and the log have it.
                    let _ = jobs.run(begun, &stop).await;
                });
            }
        }
        Ok(wait)
    }
}

fn count(counts: &mut RunCounts, outcome: Option<&Processed>) {
    match outcome {
        None => {}
        Some(Processed::Written { .. }) => counts.written += 1,
        Some(Processed::Unchanged) => counts.unchanged += 1,
        Some(Processed::Waiting { .. }) => counts.waiting += 1,
        Some(Processed::Refused { .. }) => counts.failed += 1,
    }
}
