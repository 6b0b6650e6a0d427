//! What all work shares: the store and how patiently it is asked, what letters say, who is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::batch::{self, Burial, Terms};
use super::letters::Post;
use super::outbox::Posted;
use super::patience::{self, Verdict};
use super::request::{Planned, Refusal};
use crate::backend::imports::Imports;
use crate::broker::Producer;
use crate::config::KafkaSettings;
use crate::error::chain;
use crate::observe::kafka as events;
use crate::store::messages::{JobEnd, Letter, Owner, Sameness};
use crate::store::objects::Sources;
use crate::store::sql::{Session, SqlError};
use crate::store::sqlite::CrashPoints;
use crate::store::{Store, StoreError};

/// First wait for a store that is away.
const AWAY: Duration = Duration::from_millis(200);

/// Becomes true when a partition's work has to let go.
pub(super) type Stop = watch::Receiver<bool>;

/// Resolves when it does.
pub(super) async fn stopped(stop: &Stop) {
    let mut stop = stop.clone();
    // Whoever could say so is gone: that says it, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits; `false`: it was told to let go before.
async fn rest(wait: Duration, stop: &Stop) -> bool {
    tokio::select! {
        () = tokio::time::sleep(wait) => true,
        () = stopped(stop) => false,
    }
}

/// Why a transaction did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gone {
    /// It was told to let go.
    Stopped,
    /// It collided with another.
    Again(String),
    /// It will never be taken.
    Never(String),
}

/// A message that is done.
#[derive(Debug)]
pub(super) struct Ended {
    job: String,
    kind: &'static str,
    topic: String,
    partition: i32,
    offset: i64,
    sent_at: i64,
    /// None = somebody had done it before.
    end: Option<JobEnd>,
    refusal: Option<Refusal>,
    letters: Vec<Letter>,
    /// The claim on its letters.
    owner: Owner,
}

impl Ended {
    pub(super) fn new(
        planned: &Planned,
        job: String,
        end: JobEnd,
        refusal: Option<Refusal>,
        letters: Vec<Letter>,
        owner: Owner,
    ) -> Self {
        Self { end: Some(end), refusal, letters, owner, ..Self::duplicate(planned, job) }
    }

    pub(super) fn duplicate(planned: &Planned, job: String) -> Self {
        let position = &planned.message.position;
        Self {
            job,
            kind: planned.kind().as_str(),
            topic: position.partition.topic.clone(),
            partition: position.partition.number,
            offset: position.offset,
            sent_at: planned.sent_at,
            end: None,
            refusal: None,
            letters: Vec::new(),
            owner: Owner { name: String::new(), until: 0 },
        }
    }

    fn about(&self) -> events::About<'_> {
        events::About { job: &self.job, topic: &self.topic, partition: self.partition, offset: self.offset }
    }
}

/// Somebody's wait for a store that is away, until it is dropped.
#[derive(Debug)]
pub(super) struct Outage<'d> {
    desk: &'d Desk,
    tries: u32,
}

impl Outage<'_> {
    /// Waits a while; `false`: it was told to stop.
    pub(super) async fn sit_out(&mut self, error: &StoreError, stop: &Stop) -> bool {
        if self.tries == 0 {
            self.desk.waiting.fetch_add(1, Ordering::Relaxed);
        }
        self.tries += 1;
        let wait = patience::wait(AWAY, self.tries);
        events::store_waited_for(&error.to_string(), wait);
        rest(wait, stop).await
    }
}

impl Drop for Outage<'_> {
    fn drop(&mut self) {
        if self.tries > 0 && self.desk.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            events::store_is_back();
        }
    }
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) store: Arc<Store>,
    pub(super) imports: Imports,
    /// Which files may be read.
    pub(super) sources: Sources,
    pub(super) settings: KafkaSettings,
    pub(super) producer: Producer,
    pub(super) post: Post,
    /// Whose outbox rows are ours.
    pub(super) owner: String,
    /// Milliseconds that a row is ours without being renewed.
    pub(super) lease: i64,
    /// To whoever publishes.
    pub(super) letters: mpsc::Sender<Posted>,
    /// How many wait for the store.
    pub(super) waiting: AtomicUsize,
}

impl Desk {
    pub(super) fn tries(&self) -> u32 {
        self.settings.tries
    }

    pub(super) fn terms(&self) -> Terms {
        let now = now();
        Terms {
            make_groups: self.settings.make_groups,
            sameness: match self.settings.duplicate_window {
                Some(window) => Sameness::Content { window: i64::try_from(window.as_millis()).unwrap_or(i64::MAX) },
                None => Sameness::Key,
            },
            post: self.post.clone(),
            owner: Owner { name: self.owner.clone(), until: now.saturating_add(self.lease) },
            now,
        }
    }

    /// Waits before another try; `false`: it was told to stop.
    pub(super) async fn pause(&self, tries: u32, stop: &Stop) -> bool {
        rest(patience::wait(self.settings.backoff, tries - 1), stop).await
    }

    /// Runs a transaction, however long the store may be away; `make` makes it anew for each try, so that its times are
    /// of that try. [`Verdict::Away`] comes back only when it was told to
    /// stop meanwhile.
    pub(super) async fn write<T, F, M>(&self, points: CrashPoints, stop: &Stop, make: M) -> Result<T, (Verdict, String)>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Result<T, SqlError> + Send + 'static,
        M: Fn() -> F,
    {
        let mut outage = self.outage();
        loop {
            let error = match self.store.write(points, make()).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let verdict = patience::verdict(&error);
            if verdict != Verdict::Away {
                return Err((verdict, chain(&error)));
            }
            if !outage.sit_out(&error, stop).await {
                return Err((Verdict::Away, chain(&error)));
            }
        }
    }

    /// Waits until the store answers again; `false`: it was told to stop.
    pub(super) async fn wait_for_store(&self, mut error: StoreError, stop: &Stop) -> bool {
        let mut outage = self.outage();
        loop {
            if !outage.sit_out(&error, stop).await {
                return false;
            }
            match self.store.read(|session| session.exists("SELECT 1", &[])).await {
                Err(again) if patience::verdict(&again) == Verdict::Away => error = again,
                _ => return true,
            }
        }
    }

    /// Nobody waits yet.
    pub(super) fn outage(&self) -> Outage<'_> {
        Outage { desk: self, tries: 0 }
    }

    /// Makes a dead letter of a message; `false`: it was told to stop before.
    pub(super) async fn bury(&self, planned: &Arc<Planned>, burial: Burial, stop: &Stop) -> bool {
        let mut tries = 1;
        loop {
            let buried = self.write(batch::POINTS, stop, || {
                let (planned, burial, terms) = (Arc::clone(planned), burial.clone(), self.terms());
                move |session: &Session<'_>| batch::bury(session, &planned, &burial, &terms)
            });
            match buried.await {
                Ok(ended) => {
                    self.tell(vec![ended]).await;
                    return true;
                }
                Err((Verdict::Away, _)) => return false,
                // There is nowhere else to put it: it is not let go before it is kept.
                Err((_, reason)) => {
                    events::outbox_failed(&reason);
                    tries = (tries + 1).min(10);
                    if !self.pause(tries, stop).await {
                        return false;
                    }
                }
            }
        }
    }

    /// Says what is done, and hands its letters to whoever publishes.
    pub(super) async fn tell(&self, ended: Vec<Ended>) {
        let now = now();
        for one in ended {
            let Some(end) = &one.end else {
                events::processed(one.about(), one.kind, "duplicate", None);
                continue;
            };
            let outcome = if end.reason.is_some() { "failed" } else { "completed" };
            events::processed(one.about(), one.kind, outcome, end.reason.as_deref());
            if let Some(refusal) = &one.refusal {
                events::dead_lettered(one.about(), refusal.stage.as_str(), &refusal.code, &refusal.message);
            }
            let since = Duration::from_millis(u64::try_from(now.saturating_sub(one.sent_at)).unwrap_or(0));
            events::job_ended(one.kind, end.status.as_str(), end.processed, since);
            for letter in one.letters {
                // Nobody publishes any more: another process will, it is in the store.
                let _ = self.letters.send(Posted { letter, owner: one.owner.clone() }).await;
            }
        }
    }

    /// Says that a message is tried again, and waits before that; `false`: it was told to stop.
    pub(super) async fn again(&self, planned: &Planned, tries: u32, reason: &str, stop: &Stop) -> bool {
        let wait = patience::wait(self.settings.backoff, tries - 1);
        let about = Ended::duplicate(planned, String::new());
        events::retried(about.about(), tries, wait, reason);
        rest(wait, stop).await
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
