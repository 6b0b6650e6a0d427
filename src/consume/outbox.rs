//! Publishes what the store's outbox holds, each letter once.
//!
//! Letters come here as soon as their transaction stands. They are written by an idempotent producer and marked when all
//! replicas have them. A letter is given to the producer only if the producer gives up on it before its claim can lapse,
//! if need be once it has been claimed anew. What a crash leaves is taken over when its claim has lapsed
//! ([`super::leftovers`]). What the broker refuses is kept, and tried again every hour: somebody may raise its limits.
//!
//! What remains: a process that is halted between the look at the clock and the socket, or a broker that is halted with
//! a request in its buffer, for longer than the lease. Kafka itself cannot rule that out without transactions in every
//! reader. (Clocks of different machines must agree to within a small part of the lease.)

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use super::desk::now;
use super::leftovers::{Leftovers, until};
use super::patience;
use crate::broker::{BrokerError, Outgoing, Position, Producer};
use crate::config::KafkaConnection;
use crate::error::chain;
use crate::observe::kafka as events;
use crate::store::Store;
use crate::store::messages::{self, Letter, Owner, Published};
use crate::store::sqlite::CrashPoints;

pub(super) const MARK: CrashPoints =
    CrashPoints { before: "messages.mark.before_commit", after: "messages.mark.after_commit" };

/// Letters on their way at once.
const IN_FLIGHT: usize = 2000;

/// Letters that are marked together.
const TOGETHER: usize = 500;

/// How long a letter that is published waits for others to be marked with.
const LINGER: Duration = Duration::from_millis(20);

/// How often letters are looked for that nobody looks after.
const LOOK: Duration = Duration::from_secs(1);

/// How often a producer is replaced at most.
const REPLACED: Duration = Duration::from_secs(1);

/// How long nothing more is tried about a topic that was made, or could not be made.
const TOPIC: Duration = Duration::from_secs(30);

/// How long a letter rests that the broker has refused.
const REFUSED: Duration = Duration::from_secs(3600);

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
    pub(super) lease: Duration,
    pub(super) leftovers: Arc<Leftovers>,
    /// Topics that were to be made: when, and whether they were.
    topics: Mutex<HashMap<String, (Instant, bool)>>,
}

/// A letter on its way, and what became of it.
type Delivery = Pin<Box<dyn Future<Output = (Posted, Instant, Result<Position, BrokerError>)> + Send>>;

impl Outbox {
    pub(super) fn new(store: Arc<Store>, connection: KafkaConnection, lease: Duration, leftovers: Leftovers) -> Self {
        Self { store, connection, lease, leftovers: Arc::new(leftovers), topics: Mutex::default() }
    }

    /// How long the producer tries to write a letter.
    pub(super) fn patience(lease: Duration) -> Duration {
        lease / 2
    }

    /// Publishes until `letters` are closed and everything is out, or `hurry` says that there is no more time.
    pub(super) async fn publish(
        self: Arc<Self>,
        mut producer: Producer,
        mut letters: mpsc::Receiver<Posted>,
        mut hurry: watch::Receiver<bool>,
    ) {
        let mut replaced = Instant::now();
        let mut flying: FuturesUnordered<Delivery> = FuturesUnordered::new();
        let mut done: Vec<Published> = Vec::new();
        let mut marked = Instant::now();
        let mut looking: Option<JoinHandle<Result<Vec<Posted>, String>>> = None;
        let mut looked: Option<Instant> = None;
        let mut open = true;
        loop {
            if done.len() >= TOGETHER || (!done.is_empty() && marked.elapsed() >= LINGER) {
                mark(&self.store, std::mem::take(&mut done)).await;
                marked = Instant::now();
            }
            if open && looking.is_none() && looked.is_none_or(|at| at.elapsed() >= LOOK) {
                let leftovers = Arc::clone(&self.leftovers);
                looking = Some(tokio::spawn(async move { leftovers.take().await }));
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
                    done.extend(self.delivered(posted, since, result).await);
                }
                left = ended(&mut looking) => {
                    looked = Some(Instant::now());
                    match left {
                        Ok(left) => for posted in left {
                            flying.extend(self.send(&producer, posted).await);
                        },
                        Err(error) => events::outbox_failed(&error),
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
        if let Some(looking) = looking {
            looking.abort();
        }
        mark(&self.store, done).await;
    }

    /// Gives a letter to the producer, in the order in which they come. One that it does not take is given back; one that
    /// is not ours any more is let go.
    async fn send(self: &Arc<Self>, producer: &Producer, posted: Posted) -> Option<Delivery> {
        let patience = i64::try_from(Self::patience(self.lease).as_millis()).unwrap_or(i64::MAX);
        // Nothing is sent that others might take over while it is on its way.
        if now().saturating_add(patience) >= posted.owner.until && !self.keep(&posted).await {
            return None;
        }
        let (since, outgoing) = (Instant::now(), outgoing(&posted.letter));
        let sent = producer.send(&outgoing).await;
        let (outbox, producer) = (Arc::clone(self), producer.clone());
        match sent {
            Err(error) if !error.is_unknown_topic() => {
                self.failed(&posted, &error).await;
                None
            }
            sent => Some(Box::pin(async move {
                let result = match sent {
                    Ok(delivery) => delivery.await,
                    Err(error) => Err(error),
                };
                let result = match result {
                    // It is certainly not written.
                    Err(error) if error.is_unknown_topic() => {
                        outbox.make_topic(&producer, &posted, outgoing, error).await
                    }
                    result => result,
                };
                (posted, since, result)
            })),
        }
    }

    /// Makes the topic of a letter and sends it once more. Whatever that takes, letters for other topics go on.
    async fn make_topic(
        &self,
        producer: &Producer,
        posted: &Posted,
        outgoing: Outgoing,
        error: BrokerError,
    ) -> Result<Position, BrokerError> {
        let topic = &outgoing.topic;
        {
            let mut topics = self.topics.lock().await;
            let lately = topics.get(topic).filter(|(at, _)| at.elapsed() < TOPIC);
            match lately.map(|(_, made)| *made) {
                Some(true) => {}
                Some(false) => return Err(error),
                None => {
                    let made = producer.make_topic(topic).await;
                    topics.retain(|_, (at, _)| at.elapsed() < TOPIC);
                    topics.insert(topic.clone(), (Instant::now(), made.is_ok()));
                    made?;
                }
            }
        }
        if !self.keep(posted).await {
            return Err(error);
        }
        producer.send(&outgoing).await?.await
    }

    /// What became of a letter.
    async fn delivered(
        &self,
        posted: Posted,
        since: Instant,
        result: Result<Position, BrokerError>,
    ) -> Option<Published> {
        match result {
            Ok(position) => {
                events::produced(posted.letter.kind.as_str(), since.elapsed());
                Some(Published {
                    job: posted.letter.job,
                    kind: posted.letter.kind,
                    partition: position.partition.number,
                    offset: position.offset,
                })
            }
            Err(error) => {
                self.failed(&posted, &error).await;
                None
            }
        }
    }

    async fn failed(&self, Posted { letter, owner }: &Posted, error: &BrokerError) {
        let (job, kind, name) = (letter.job.clone(), letter.kind, owner.name.clone());
        let written = if error.refuses_message() {
            let reason = error.to_string();
            events::produce_refused(kind.as_str(), &job, &letter.topic, &reason);
            let owner = Owner { name, until: until(REFUSED) };
            self.store.write(MARK, move |session| messages::postpone(session, &job, kind, &owner, &reason)).await
        } else {
            events::produce_failed(kind.as_str(), &letter.topic, &error.to_string());
            // It may still arrive: nobody looks for it before that would be over.
            let owner = Owner { name, until: until(self.lease) };
            self.store.write(MARK, move |session| messages::keep(session, &job, kind, &owner).map(drop)).await
        };
        if let Err(error) = written {
            // Its claim lapses as it is.
            events::outbox_failed(&chain(&error));
        }
    }

    /// Claims a letter anew, unless it was taken over. If the store does not answer, it will be.
    async fn keep(&self, Posted { letter, owner }: &Posted) -> bool {
        let owner = Owner { name: owner.name.clone(), until: until(self.lease) };
        let (job, kind) = (letter.job.clone(), letter.kind);
        let kept = self.store.write(MARK, move |session| messages::keep(session, &job, kind, &owner)).await;
        kept.unwrap_or_else(|error| {
            events::outbox_failed(&chain(&error));
            false
        })
    }
}

/// What a task gives once it has ended; without one, nothing ever.
async fn ended(task: &mut Option<JoinHandle<Result<Vec<Posted>, String>>>) -> Result<Vec<Posted>, String> {
    let Some(running) = task else { return std::future::pending().await };
    let given = running.await;
    *task = None;
    given.unwrap_or_else(|error| Err(error.to_string()))
}

/// Marks what is published, for as long as the store may take for that.
pub(super) async fn mark(store: &Store, mut published: Vec<Published>) {
    if published.is_empty() {
        return;
    }
    // In one order, so that two processes cannot wait for each other.
    published.sort_by(|a, b| (&a.job, a.kind).cmp(&(&b.job, b.kind)));
    for tries in 1_u32.. {
        let some = published.clone();
        let Err(error) = store.write(MARK, move |session| messages::mark(session, &some, now())).await else { return };
        events::outbox_failed(&chain(&error));
        tokio::time::sleep(patience::wait(Duration::from_millis(200), tries.min(6))).await;
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
