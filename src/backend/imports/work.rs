//! The workers: claim records, bring each in in a transaction of its own, and end what has nothing open.
//!
//! A claim holds for a while and is renewed while we live; whatever a dead worker held is claimed by the next. A record
//! and its result change in the same transaction, and only while the claim holds, so a record counts once however often
//! it was begun. Records of the same name are not worked on side by side, so that the later one wins.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::Instrument as _;

use super::apply::{Manner, apply, park};
use super::settle::{begin, settle_batch};
use super::{Imports, backoff, now, record};
use crate::backend::importer::Record;
use crate::backend::tasks;
use crate::error::{Fault as _, Severity};
use crate::model::ImportStatus;
use crate::observe::{events, spans};
use crate::store::imports::{self, Claim, Claimed, DueBatch, Finish, Number};
use crate::store::sql::SqlError;
use crate::store::sqlite::CrashPoints;
use crate::store::{StoreError, StoreErrorKind};

const CLAIM: CrashPoints = CrashPoints { before: "imports.claim.before_commit", after: "imports.claim.after_commit" };

pub(super) const RECORD: CrashPoints =
    CrashPoints { before: "imports.record.before_commit", after: "imports.record.after_commit" };

pub(super) const SETTLE: CrashPoints =
    CrashPoints { before: "imports.settle.before_commit", after: "imports.settle.after_commit" };

/// How long nobody looks into an empty queue, unless somebody says that there is something: other servers do not.
pub(super) const IDLE: Duration = Duration::from_millis(500);

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(1);

/// Batches that are looked into at once.
const BATCHES: u32 = 16;

/// Results of an import into staging that are claimed at once: they are ended many at a time.
const STAGED: u32 = 1_000;

/// What a transaction says when the claim was lost while it worked.
const LOST: &str = "the claim is lost";

/// A record that is ours.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) claimed: Claimed,
    batch: Arc<DueBatch>,
    pub(super) manner: Manner,
    /// Of what its record is about.
    about: u64,
}

/// What is ours at the moment.
#[derive(Debug, Default)]
struct Desk {
    waiting: VecDeque<Held>,
    /// Results that are ours, waiting or in work.
    held: HashSet<i64>,
    /// What records in work are about.
    busy: HashSet<u64>,
    /// How many of each batch are ours.
    batches: HashMap<Number, (usize, Number)>,
}

impl Desk {
    fn take_in(&mut self, held: Held) {
        self.held.insert(held.claimed.result);
        self.batches.entry(held.batch.number).or_insert((0, held.batch.import)).0 += 1;
        self.waiting.push_back(held);
    }

    /// The next record that nothing in work is about.
    fn next(&mut self) -> Option<Held> {
        let at = self.waiting.iter().position(|held| !self.busy.contains(&held.about))?;
        let held = self.waiting.remove(at)?;
        self.busy.insert(held.about);
        Some(held)
    }

    /// The next record; if it is only to be staged, with others of its batch.
    fn next_group(&mut self) -> Option<Vec<Held>> {
        let first = self.next()?;
        let (batch, later) = (first.batch.number, first.manner.later && first.claimed.attempts == 1);
        let mut group = vec![first];
        while later && group.len() < imports::TOGETHER {
            let next = self.waiting.front().is_some_and(|held| {
                held.batch.number == batch && held.claimed.attempts == 1 && !self.busy.contains(&held.about)
            });
            if !next {
                break;
            }
            group.extend(self.next());
        }
        Some(group)
    }

    /// A record is decided; its batch, if that was the last of it here.
    fn done(&mut self, held: &Held) -> Option<Number> {
        self.busy.remove(&held.about);
        self.held.remove(&held.claimed.result);
        let batch = held.batch.number;
        let (left, _) = self.batches.get_mut(&batch)?;
        *left -= 1;
        (*left == 0).then(|| self.batches.remove(&batch).map(|_| batch)).flatten()
    }
}

impl Imports {
    /// Works until `stop` says so; then finishes what is in work and gives the rest back.
    pub async fn work(&self, stop: watch::Receiver<bool>) {
        tokio::join!(self.work_on_records(stop.clone()), self.fetch_batches(stop.clone()), self.sweep(stop));
    }

    async fn work_on_records(&self, mut stop: watch::Receiver<bool>) {
        let parallel = self.parallel();
        let mut desk = Desk::default();
        let mut in_work = JoinSet::new();
        let mut renewal = interval((self.limits.lease / 3).max(Duration::from_millis(10)));
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Instant::now();
        let mut look = Instant::now();
        loop {
            let stopping = *stop.borrow();
            if !stopping && desk.waiting.len() < parallel && Instant::now() >= look {
                match self.claim_more(parallel, &mut desk).await {
                    // Nothing more at the moment.
                    Ok(0) => look = Instant::now() + IDLE,
                    Ok(_) => {}
                    Err(error) => {
                        events::import_work_failed(&error.to_string());
                        look = Instant::now() + IDLE;
                    }
                }
            }
            while !stopping
                && in_work.len() < parallel
                && let Some(group) = desk.next_group()
            {
                let imports = self.clone();
                in_work.spawn(async move { imports.work_on(group).await });
            }
            if stopping && in_work.is_empty() {
                let rest: Vec<i64> = desk.held.into_iter().collect();
                self.give_back(rest).await;
                return;
            }
            tokio::select! {
                biased;
                Some(done) = in_work.join_next(), if !in_work.is_empty() => {
                    let Some(group) = tasks::outcome(done) else { continue };
                    for held in &group {
                        if let Some(batch) = desk.done(held) {
                            self.settle(batch).await;
                            look = Instant::now();
                        }
                    }
                    if told.elapsed() >= PROGRESS {
                        told = Instant::now();
                        self.tell_progress(desk.batches.values().map(|(_, import)| *import).collect()).await;
                    }
                }
                _ = renewal.tick(), if !desk.held.is_empty() => self.renew(&desk).await,
                () = self.work.notified() => look = Instant::now(),
                () = tokio::time::sleep_until(look), if desk.waiting.len() < parallel && !stopping => {}
                // A sender that is gone means the same.
                _ = stop.changed(), if !stopping => {
                    if stop.has_changed().is_err() { return; }
                }
            }
        }
    }

    /// Claims records for the desk; how many.
    async fn claim_more(&self, parallel: usize, desk: &mut Desk) -> Result<usize, StoreError> {
        let now = now();
        // A question costs the embedded engine nothing; most of the time the answer is that there is nothing to do.
        let due = self.store.read(move |session| imports::due_batches(session, now, BATCHES)).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let wanted = u32::try_from(2 * parallel).unwrap_or(u32::MAX);
        let (owner, until) = (self.owner.clone(), self.lease_until(now));
        let claimed = self.store.write(CLAIM, move |session| {
            let mut left = wanted;
            let mut all = Vec::new();
            for due in due {
                if left == 0 {
                    break;
                }
                let limit = if due.later { STAGED } else { left };
                let claim = Claim { owner: owner.clone(), until, limit };
                let claimed = imports::claim(session, due.number, &claim, now)?;
                if claimed.is_empty() {
                    continue;
                }
                if due.status == ImportStatus::Created || due.import_status == ImportStatus::Created {
                    let batch = imports::batch_by_number(session, due.number)?;
                    begin(session, due.import, Some(&batch), now)?;
                }
                left = left.saturating_sub(u32::try_from(claimed.len()).unwrap_or(u32::MAX));
                all.push((due, claimed));
            }
            Ok(all)
        });
        let mut count = 0;
        for (due, claimed) in claimed.await? {
            let Ok(import) = due.import_id.parse() else { continue };
            let manner = Manner { import, collision: due.collision, later: due.later };
            let batch = Arc::new(due);
            count += claimed.len();
            for claimed in claimed {
                let mut hasher = DefaultHasher::new();
                claimed.about.hash(&mut hasher);
                let about = hasher.finish();
                desk.take_in(Held { claimed, batch: Arc::clone(&batch), manner, about });
            }
        }
        Ok(count)
    }

    /// Records to their end, or to their next attempt.
    async fn work_on(&self, group: Vec<Held>) -> Vec<Held> {
        if group.len() > 1 && self.stage_together(&group).await {
            return group;
        }
        for held in &group {
            let span = spans::record(&held.batch.import_id, held.batch.number, held.claimed.result);
            self.work_on_one(held).instrument(span).await;
        }
        group
    }

    async fn work_on_one(&self, held: &Held) {
        if let Err(error) = self.try_record(held).await
            && let Err(second) = self.tried_in_vain(held, &error).await
        {
            // The claim lapses, and somebody tries again.
            events::import_work_failed(&second.to_string());
        }
    }

    async fn try_record(&self, held: &Held) -> Result<(), StoreError> {
        let (result, manner, attempts) = (held.claimed.result, held.manner, held.claimed.attempts);
        let read = self.store.read(move |session| imports::original(session, result)).await?;
        let Some(bytes) = read else { return Ok(()) };
        let record = record::read(&bytes);
        let owner = self.owner.clone();
        let exhausted = attempts > self.limits.attempts;
        let limit = self.limits.attempts;
        let now = now();
        let done = self.store.write(RECORD, move |session| {
            let end = match &record {
                Err(malformed) => Finish::failed(malformed.code, malformed.message.clone(), false),
                // Whoever tried it was killed each time.
                Ok(record) if exhausted => {
                    let message = format!("given up after {limit} attempts that nobody finished");
                    park(session, record, manner, "attempts", &message, now)?;
                    Finish::failed("attempts", message, true)
                }
                Ok(record) => apply(session, record, manner, now)?,
            };
            if !imports::finish(session, result, &owner, &end, now)? {
                return Err(SqlError::Refused(LOST.to_owned()));
            }
            Ok(end)
        });
        match done.await {
            Ok(end) => {
                events::import_record_ended(end.status.as_str(), attempts);
                Ok(())
            }
            Err(error) if error.kind == StoreErrorKind::Refused(LOST.to_owned()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What becomes of a record whose transaction failed.
    async fn tried_in_vain(&self, held: &Held, error: &StoreError) -> Result<(), StoreError> {
        let result = held.claimed.result;
        let attempts = held.claimed.attempts;
        let transient = error.severity() == Severity::Transient;
        let message = error.kind.to_string();
        let (owner, manner, now) = (self.owner.clone(), held.manner, now());
        if transient && attempts < self.limits.attempts {
            events::import_record_retried(attempts, &message);
            let not_before = now + backoff::jittered(attempts);
            let noted = self.store.write(RECORD, move |session| {
                imports::retry_later(session, result, &owner, "store", &message, not_before, now)
            });
            return noted.await.map(drop);
        }
        let message = if transient { format!("given up after {attempts} attempts: {message}") } else { message };
        let failed = self.store.write(RECORD, move |session| {
            if let Some(bytes) = imports::original(session, result)?
                && let Ok(record) = record::read(&bytes)
            {
                park_quietly(session, &record, manner, &message, now)?;
            }
            let end = Finish::failed("store", message, transient);
            imports::finish(session, result, &owner, &end, now).map(drop)
        });
        failed.await?;
        events::import_record_ended("failed", attempts);
        Ok(())
    }

    /// Ends the batch if that was the last of it.
    pub(super) async fn settle(&self, batch: Number) {
        let now = now();
        match self.store.write(SETTLE, move |session| settle_batch(session, batch, now)).await {
            Ok(true) => self.tell(),
            Ok(false) => {}
            // The sweep does it later.
            Err(error) => events::import_work_failed(&error.to_string()),
        }
    }

    async fn renew(&self, desk: &Desk) {
        let held: Vec<i64> = desk.held.iter().copied().collect();
        let (owner, until) = (self.owner.clone(), self.lease_until(now()));
        let renewed = self.store.write(CLAIM, move |session| imports::renew(session, &owner, &held, until));
        if let Err(error) = renewed.await {
            events::import_work_failed(&error.to_string());
        }
    }

    async fn give_back(&self, held: Vec<i64>) {
        let owner = self.owner.clone();
        let given = self.store.write(CLAIM, move |session| imports::release(session, &owner, &held));
        // A store that is away: the claims lapse.
        let _ = given.await;
    }

    /// Tells how far imports are.
    async fn tell_progress(&self, imports: HashSet<Number>) {
        for number in imports {
            let counted = self.store.read(move |session| imports::totals(session, number)).await;
            let Ok(totals) = counted else { continue };
            let now = now();
            let told = self.store.write(SETTLE, move |session| {
                let data = serde_json::json!({ "results": totals.results, "open_batches": totals.open_batches });
                imports::append(session, number, "progress", &data.to_string(), now)
            });
            if told.await.is_ok() {
                self.tell();
            }
        }
    }
}

/// Parking writes to the same store that refused the record: on an error of its own the reason in the result has to do.
fn park_quietly(
    session: &crate::store::sql::Session<'_>,
    record: &Record,
    manner: Manner,
    message: &str,
    now: i64,
) -> Result<(), SqlError> {
    park(session, record, manner, "store", message, now)
}
