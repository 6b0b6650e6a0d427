//! Publishes what the store's outbox holds, each letter once.
//!
//! Letters come here as soon as their transaction stands. They are written by an idempotent producer and marked when all
//! replicas have them. A letter is given to the producer only if the producer gives up on it before its claim can lapse,
//! if need be once it has been claimed anew. A crash, or a commit whose answer was lost, leaves letters that are not
//! marked and may or may not be in their topics. When their claim has lapsed, whoever takes them over looks into the
//! topic first, for the job's id in the headers, from a place that is certainly before them.
//!
//! What remains: a process that is halted between the look at the clock and the socket, or a broker that is halted with
//! a request in its buffer, for longer than the lease. Kafka itself cannot rule that out without transactions in every
//! reader. (Clocks of different machines must agree to within a small part of the lease.)

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::desk::now;
use super::letters::JOB_ID;
use super::patience;
use crate::broker::{BrokerError, Next, Outgoing, Position, Producer, Reader};
use crate::config::KafkaConnection;
use crate::error::chain;
use crate::observe::kafka as events;
use crate::store::messages::{self, Letter, LetterKind, Open, Owner, Published};
use crate::store::sqlite::CrashPoints;
use crate::store::{Store, StoreError};

const MARK: CrashPoints = CrashPoints { before: "messages.mark.before_commit", after: "messages.mark.after_commit" };

/// Letters on their way at once.
const IN_FLIGHT: usize = 2000;

/// Letters that are marked together.
const TOGETHER: usize = 500;

/// How long a letter that is published waits for others to be marked with.
const LINGER: Duration = Duration::from_millis(20);

/// How often letters are looked for that nobody looks after.
const LOOK: Duration = Duration::from_secs(1);

/// Letters that are taken over at once.
const TAKEN: u32 = 500;

/// How often jobs are forgotten.
const FORGET: Duration = Duration::from_secs(30);

/// Jobs that are forgotten at once.
const FORGOTTEN: u32 = 2000;

/// How often a producer is replaced at most.
const REPLACED: Duration = Duration::from_secs(1);

/// A letter on its way to here.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) letter: Letter,
    /// The claim on it.
    pub(super) owner: Owner,
}

/// Who publishes.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) store: Arc<Store>,
    pub(super) connection: KafkaConnection,
    pub(super) reader: Reader,
    pub(super) lease: Duration,
    /// How long finished jobs are kept.
    pub(super) keep: Duration,
}

type Delivery = Pin<Box<dyn Future<Output = (Posted, Instant, Result<Position, BrokerError>)> + Send>>;

impl Outbox {
    /// How long the producer tries to write a letter.
    pub(super) fn patience(lease: Duration) -> Duration {
        lease / 2
    }

    /// Publishes until `letters` are closed and everything is out, or `hurry` says that there is no more time.
    pub(super) async fn publish(
        self,
        mut producer: Producer,
        mut letters: mpsc::Receiver<Posted>,
        mut hurry: watch::Receiver<bool>,
    ) {
        let mut replaced = Instant::now();
        let mut flying: FuturesUnordered<Delivery> = FuturesUnordered::new();
        let mut done: Vec<Published> = Vec::new();
        let mut marked = Instant::now();
        let mut looked: Option<Instant> = None;
        let mut forgot: Option<Instant> = None;
        let mut open = true;
        loop {
            if done.len() >= TOGETHER || (!done.is_empty() && marked.elapsed() >= LINGER) {
                self.mark(&mut done).await;
                marked = Instant::now();
            }
            if forgot.is_none_or(|at| at.elapsed() >= FORGET) {
                forgot = Some(Instant::now());
                if let Err(error) = self.forget().await {
                    events::outbox_failed(&chain(&error));
                }
            }
            if open && looked.is_none_or(|at| at.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                match self.left_behind().await {
                    Ok(left) => {
                        for posted in left {
                            flying.extend(self.send(&producer, posted).await);
                        }
                    }
                    Err(error) => events::outbox_failed(&error),
                }
            }
            if !open && flying.is_empty() && done.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                Some((posted, since, result)) = flying.next() => {
                    if result.as_ref().is_err_and(BrokerError::spoils_producer) && replaced.elapsed() >= REPLACED {
                        replaced = Instant::now();
                        match Producer::new(&self.connection, Self::patience(self.lease)) {
                            Ok(another) => producer = another,
                            Err(error) => events::outbox_failed(&error.to_string()),
                        }
                    }
                    if let Some(posted) = self.delivered(&producer, posted, since, result, &mut done).await {
                        flying.extend(self.send(&producer, posted).await);
                    }
                }
                letter = letters.recv(), if open && flying.len() < IN_FLIGHT => match letter {
                    Some(posted) => {
                        flying.extend(self.send(&producer, posted).await);
                    }
                    None => open = false,
                },
                () = tokio::time::sleep(LINGER) => {}
                Ok(()) = hurry.changed() => break,
            }
        }
        self.mark(&mut done).await;
    }

    /// Gives a letter to the producer. One that it does not take is given back; one that is not ours any more is let go.
    async fn send(&self, producer: &Producer, posted: Posted) -> Option<Delivery> {
        let patience = i64::try_from(Self::patience(self.lease).as_millis()).unwrap_or(i64::MAX);
        // Nothing is sent that others might take over while it is on its way.
        if now().saturating_add(patience) >= posted.owner.until && !self.keep(&posted).await {
            return None;
        }
        let (since, outgoing) = (Instant::now(), outgoing(&posted.letter));
        let mut sent = producer.send(&outgoing).await;
        if sent.as_ref().is_err_and(BrokerError::is_unknown_topic) {
            sent = match producer.make_topic(&outgoing.topic).await {
                Ok(()) => producer.send(&outgoing).await,
                Err(error) => Err(error),
            };
        }
        match sent {
            Ok(delivery) => Some(Box::pin(async move { (posted, since, delivery.await) })),
            Err(error) => {
                self.failed(&posted, &error).await;
                None
            }
        }
    }

    /// What became of a letter; one that can be sent again at once comes back.
    async fn delivered(
        &self,
        producer: &Producer,
        posted: Posted,
        since: Instant,
        result: Result<Position, BrokerError>,
        done: &mut Vec<Published>,
    ) -> Option<Posted> {
        let error = match result {
            Ok(position) => {
                events::produced(posted.letter.kind.as_str(), since.elapsed());
                done.push(Published {
                    job: posted.letter.job,
                    kind: posted.letter.kind,
                    partition: position.partition.number,
                    offset: position.offset,
                });
                return None;
            }
            // It is certainly not written.
            Err(error) if error.is_unknown_topic() => match producer.make_topic(&posted.letter.topic).await {
                Ok(()) => return Some(posted),
                Err(error) => error,
            },
            Err(error) => error,
        };
        self.failed(&posted, &error).await;
        None
    }

    async fn failed(&self, Posted { letter, owner }: &Posted, error: &BrokerError) {
        let (job, kind, name) = (letter.job.clone(), letter.kind, owner.name.clone());
        let written = if error.refuses_message() {
            let reason = error.to_string();
            events::produce_refused(kind.as_str(), &job, &letter.topic, &reason);
            self.store.write(MARK, move |session| messages::refuse(session, &job, kind, &reason, now())).await
        } else {
            events::produce_failed(kind.as_str(), &letter.topic, &error.to_string());
            // It may still arrive: nobody looks for it before that would be over.
            let owner = Owner { name, until: self.until() };
            self.store.write(MARK, move |session| messages::keep(session, &job, kind, &owner).map(drop)).await
        };
        if let Err(error) = written {
            // Its claim lapses as it is.
            events::outbox_failed(&chain(&error));
        }
    }

    /// Marks what is published, for as long as the store may take for that.
    async fn mark(&self, done: &mut Vec<Published>) {
        let mut published = std::mem::take(done);
        // In one order, so that two processes cannot wait for each other.
        published.sort_by(|a, b| (&a.job, a.kind).cmp(&(&b.job, b.kind)));
        if published.is_empty() {
            return;
        }
        for tries in 1_u32.. {
            let some = published.clone();
            let Err(error) = self.store.write(MARK, move |session| messages::mark(session, &some, now())).await else {
                return;
            };
            events::outbox_failed(&chain(&error));
            tokio::time::sleep(patience::wait(Duration::from_millis(200), tries.min(6))).await;
        }
    }

    /// When a claim of now lapses.
    fn until(&self) -> i64 {
        now().saturating_add(i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX))
    }

    /// Claims a letter anew, unless it was taken over. If the store does not answer, it will be.
    async fn keep(&self, Posted { letter, owner }: &Posted) -> bool {
        let owner = Owner { name: owner.name.clone(), until: self.until() };
        let (job, kind) = (letter.job.clone(), letter.kind);
        let kept = self.store.write(MARK, move |session| messages::keep(session, &job, kind, &owner)).await;
        kept.unwrap_or_else(|error| {
            events::outbox_failed(&chain(&error));
            false
        })
    }

    async fn forget(&self) -> Result<(), StoreError> {
        let before = now().saturating_sub(i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX));
        self.store.write(MARK, move |session| messages::forget(session, before, FORGOTTEN).map(drop)).await
    }

    /// Letters that nobody looks after and that are not in their topics.
    async fn left_behind(&self) -> Result<Vec<Posted>, String> {
        let text = |error: StoreError| chain(&error);
        if !self.store.read(move |session| messages::any_open(session, now())).await.map_err(text)? {
            return Ok(Vec::new());
        }
        // A name of its own: what waits here under an older claim must not take it for that.
        let owner = Owner { name: Uuid::now_v7().to_string(), until: self.until() };
        let claim = owner.clone();
        let (taken, unreadable) = self
            .store
            .write(MARK, move |session| messages::take_over(session, &claim, TAKEN, now()))
            .await
            .map_err(text)?;
        if unreadable > 0 {
            events::outbox_unreadable(unreadable);
        }
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        // If that fails, they stay as they are until this claim lapses, too.
        let found = self.look_up(&taken).await?;
        events::outbox_recovered(taken.len(), found.len());
        let mut published: Vec<Published> = found.values().cloned().collect();
        self.mark(&mut published).await;
        let letters = taken.into_iter().map(|open| Posted { letter: open.letter, owner: owner.clone() });
        Ok(letters.filter(|one| !found.contains_key(&(one.letter.job.clone(), one.letter.kind))).collect())
    }

    /// Which of them are in their topics.
    async fn look_up(&self, taken: &[Open]) -> Result<HashMap<(String, LetterKind), Published>, String> {
        let mut topics: BTreeMap<(String, LetterKind), (i64, HashSet<String>)> = BTreeMap::new();
        for Open { letter, created_at } in taken {
            let key = (letter.topic.clone(), letter.kind);
            let (earliest, jobs) = topics.entry(key).or_insert((*created_at, HashSet::new()));
            *earliest = (*created_at).min(*earliest);
            jobs.insert(letter.job.clone());
        }
        let mut found = HashMap::new();
        for ((topic, kind), (earliest, jobs)) in topics {
            let name = topic.clone();
            let known = self.store.read(move |session| messages::known_positions(session, &name, earliest)).await;
            let from: BTreeMap<i32, i64> = known.map_err(|error| chain(&error))?.into_iter().collect();
            let reader = self.reader.clone();
            let read = tokio::task::spawn_blocking(move || {
                let mut seen = Vec::new();
                let read = reader.read(&topic, &from, |message| {
                    if let Some(job) = message.header(JOB_ID).filter(|job| jobs.contains(*job)) {
                        let (partition, offset) = (message.position.partition.number, message.position.offset);
                        seen.push(Published { job: job.to_owned(), kind, partition, offset });
                    }
                    Next::More
                });
                read.map(|()| seen)
            });
            let seen = read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
            found.extend(seen.into_iter().map(|one| ((one.job.clone(), kind), one)));
        }
        Ok(found)
    }
}

pub(super) fn outgoing(letter: &Letter) -> Outgoing {
    Outgoing {
        topic: letter.topic.clone(),
        key: letter.key.clone(),
        value: letter.value.clone(),
        headers: letter.headers.clone(),
        sent_at: letter.sent_at,
    }
}
