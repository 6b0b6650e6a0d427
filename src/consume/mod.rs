//! Events: messages become jobs, and how they end is told.
//!
//! ```text
//! poll (a thread that never waits for work)
//!   → read what the message asks for (request)
//!   → its partition's lane: in order, one piece of work at a time (lanes)
//!   → the work: many small messages in one transaction (batch), or a file's import (file)
//!       in the same transaction: the job's end, its status message, its dead letter (letters → the outbox)
//!   → commit the offset behind what is done
//!   → publish the outbox (outbox)
//! ```
//!
//! An offset is committed only when everything before it is in the store: done, or as a dead letter in the outbox.

mod batch;
mod desk;
mod file;
mod lanes;
mod leftovers;
mod letters;
mod outbox;
mod patience;
mod request;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::backend::imports::Imports;
use crate::broker::{BrokerError, Consumer, Control, Partition, Polled, Producer, Reach, Reader, Subscription};
use crate::config::KafkaSettings;
use crate::observe::{kafka as events, spans, traces};
use crate::store::Store;
use crate::store::objects::Sources;
use desk::{Desk, now};
use lanes::{Lanes, Piece};
use leftovers::{Leftovers, forget};
use letters::Post;
use outbox::Outbox;
use request::{Planned, Speaks, plan};

pub use letters::{JOB_ID, context};
pub use request::{REPLAY_OF, REPLAYS};

/// How long work may take to let go of partitions that are taken away, and at the end.
const LETTING_GO: Duration = Duration::from_secs(8);

/// Letters that wait to be published, in this process: few, so that the claims on them stay fresh.
const LETTERS: usize = 256;

/// Bytes of messages that are held at most.
const HELD_BYTES: usize = 64 << 20;

/// A consumer that has joined its group.
#[derive(Debug)]
pub struct Consume {
    desk: Arc<Desk>,
    consumer: Consumer,
    controls: mpsc::UnboundedReceiver<Control>,
    polled: mpsc::Receiver<Polled>,
    speaks: regex::Regex,
    publishing: JoinHandle<()>,
    forgetting: JoinHandle<()>,
    hurry: watch::Sender<bool>,
    ready: Ready,
}

/// Do the brokers answer the consumer? Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ready(Reach);

impl Ready {
    /// They do. (Whether there are partitions for it is not its doing.)
    pub fn is_ready(&self) -> bool {
        self.0.is_up()
    }
}

impl Consume {
    /// Joins the group. `imports` is where files go, on the same store; `sources` says which files may be read.
    pub fn join(
        settings: &KafkaSettings,
        store: Arc<Store>,
        imports: Imports,
        sources: Sources,
    ) -> Result<Self, BrokerError> {
        let producer = Producer::new(&settings.connection, Outbox::patience(settings.lease))?;
        let (send, letters) = mpsc::channel(LETTERS);
        let (hurry, hurried) = watch::channel(false);
        let owner = Uuid::now_v7().to_string();
        let reader = Reader::new(&settings.connection);
        let leftovers = Leftovers { store: Arc::clone(&store), reader, lease: settings.lease };
        let outbox = Outbox::new(Arc::clone(&store), settings.connection.clone(), settings.lease, leftovers);
        let forgetting = tokio::spawn(forget(Arc::clone(&store), settings.keep));
        let subscription = Subscription {
            group: settings.group.clone(),
            topics: vec![settings.topics.clone(), settings.catalogue_topics.clone()],
            never: settings.never_consumed(),
            instance: settings.instance.clone(),
            batch: settings.batch,
            letting_go: LETTING_GO + Duration::from_secs(2),
        };
        let pattern = format!("^(?:{})$", settings.catalogue_topics);
        let speaks = regex::Regex::new(&pattern)
            .map_err(|error| BrokerError::of_setting(format!("KAFKA_CATALOGUE_TOPICS cannot be used: {error}")))?;
        let (consumer, controls, polled) = Consumer::join(&settings.connection, &subscription)?;
        let desk = Desk {
            store,
            imports,
            sources,
            settings: settings.clone(),
            producer: producer.clone(),
            post: Post::new(settings),
            owner,
            lease: i64::try_from(settings.lease.as_millis()).unwrap_or(i64::MAX),
            letters: send,
            waiting: AtomicUsize::new(0),
        };
        let publishing = tokio::spawn(Arc::new(outbox).publish(producer, letters, hurried));
        events::consumer_started(&settings.group, &format!("{} {}", settings.topics, settings.catalogue_topics));
        let ready = Ready(consumer.reach());
        Ok(Self { desk: Arc::new(desk), consumer, controls, polled, speaks, publishing, forgetting, hurry, ready })
    }

    /// Tells whether it reaches its brokers.
    pub fn ready(&self) -> Ready {
        self.ready.clone()
    }

    /// Consumes until `stop` becomes true; then finishes what is in work, commits it, and leaves the group.
    pub async fn run(mut self, stop: watch::Receiver<bool>) -> Result<(), BrokerError> {
        let mut lanes = Lanes::default();
        let mut works: FuturesUnordered<JoinHandle<Worked>> = FuturesUnordered::new();
        let settings = self.desk.settings.clone();
        let mut failed = None;
        loop {
            let begun = lanes.begin(settings.batch);
            for (partition, pause) in lanes.pausing((settings.in_flight / 2).max(1)) {
                if pause { self.consumer.pause(partition) } else { self.consumer.resume(partition) }
            }
            for piece in begun {
                if let Some(next) = piece.rewind {
                    self.consumer.rewind(piece.partition.clone(), piece.epoch, next);
                }
                works.push(tokio::spawn(work(Arc::clone(&self.desk), piece)));
            }
            let (held, bytes) = lanes.held();
            events::in_flight(held + lanes.files());
            tokio::select! {
                biased;
                () = desk::stopped(&stop) => break,
                Some(control) = self.controls.recv() => match control {
                    Control::Assigned { epoch, partitions } => lanes.open(partitions, epoch),
                    Control::Revoked { partitions, lost, done } => {
                        if !lost && let Err(error) = self.let_go(&mut lanes, &mut works, &partitions).await {
                            failed = Some(error);
                            break;
                        }
                        let positions = partitions.into_iter().filter_map(|partition| {
                            let next = lanes.close(&partition)?;
                            Some((partition, next))
                        });
                        // A consumer that does not wait any more commits what it was told before.
                        let _ = done.send(positions.collect());
                    }
                    Control::Rewound { epoch, partition } => lanes.rewound(&partition, epoch),
                    Control::Failed(error) if error.is_hopeless() => {
                        failed = Some(error);
                        break;
                    }
                    Control::Failed(_) => {}
                },
                Some(worked) = works.next() => match worked {
                    Ok(worked) => self.commit(&mut lanes, worked),
                    // Its lane would stand still for ever; after a restart its messages come again.
                    Err(error) => {
                        failed = Some(broke_down(&error));
                        break;
                    }
                },
                ended = &mut self.publishing => {
                    // It ends only when nobody writes letters any more.
                    let error = ended.err().map_or_else(|| "it has ended".to_owned(), |error| error.to_string());
                    failed = Some(BrokerError::own(format!("publishing broke down: {error}")));
                    break;
                }
                polled = self.polled.recv(), if held < settings.in_flight && bytes < HELD_BYTES => {
                    let Some(Polled { epoch, messages }) = polled else {
                        failed = Some(BrokerError::own("the thread that reads from the broker has ended".to_owned()));
                        break;
                    };
                    let (now, mut taken) = (now(), 0);
                    for message in messages {
                        let catalogue = self.speaks.is_match(&message.position.partition.topic);
                        let speaks = if catalogue { Speaks::Catalogue } else { Speaks::Nodes };
                        taken += usize::from(lanes.take(plan(message, speaks, now), epoch));
                    }
                    events::consumed(taken);
                }
            }
        }
        events::consumer_stopping();
        let all = lanes.partitions();
        let let_go = self.let_go(&mut lanes, &mut works, &all).await;
        self.leave().await;
        failed.map_or(let_go, Err)
    }

    /// Waits, not for ever, until nobody works on these partitions.
    async fn let_go(
        &self,
        lanes: &mut Lanes,
        works: &mut FuturesUnordered<JoinHandle<Worked>>,
        partitions: &[Partition],
    ) -> Result<(), BrokerError> {
        lanes.let_go(partitions);
        let deadline = Instant::now() + LETTING_GO;
        while lanes.busy(partitions) {
            match timeout_at(deadline, works.next()).await {
                Ok(Some(Ok(worked))) => self.commit(lanes, worked),
                Ok(Some(Err(error))) => return Err(broke_down(&error)),
                // Whatever comes of it then is not committed: it is found done when its messages come again.
                Ok(None) | Err(_) => break,
            }
        }
        Ok(())
    }

    fn commit(&self, lanes: &mut Lanes, Worked { partition, epoch, done }: Worked) {
        if let Some(next) = lanes.finish(&partition, epoch, done) {
            self.consumer.commit(partition, next);
        }
    }

    async fn leave(self) {
        let Self { desk, consumer, controls, polled, publishing, forgetting, hurry, .. } = self;
        forgetting.abort();
        drop((controls, polled));
        let producer = desk.producer.clone();
        // The last of those who write letters: from now on the outbox gets no more.
        drop(desk);
        let left = tokio::task::spawn_blocking(move || consumer.leave());
        let mut publishing = publishing;
        if !publishing.is_finished() && tokio::time::timeout(LETTING_GO, &mut publishing).await.is_err() {
            hurry.send_replace(true);
            // What is not published is in the store, and another process will.
            let _ = tokio::time::timeout(Duration::from_secs(1), publishing).await;
        }
        producer.finish(Duration::from_secs(1)).await;
        // A thread that panicked leaves the group by its silence.
        let _ = left.await;
    }
}

fn broke_down(error: &tokio::task::JoinError) -> BrokerError {
    BrokerError::own(format!("work on a message broke down: {error}"))
}

/// A piece of work as it ended.
#[derive(Debug)]
struct Worked {
    partition: Partition,
    epoch: u64,
    /// Messages from its first on.
    done: usize,
}

async fn work(desk: Arc<Desk>, piece: Piece) -> Worked {
    let Piece { partition, epoch, messages, stop, .. } = piece;
    let span = span(&partition, &messages);
    let working = async {
        match messages.first() {
            Some(first) if !batch::is_small(first) => usize::from(file::work(&desk, first, &stop).await),
            _ => batch::work(&desk, messages, &stop).await,
        }
    };
    let done = working.instrument(span).await;
    Worked { partition, epoch, done }
}

/// The span of a piece of work. One message goes on with the trace of whoever sent it; many have a trace of their own.
fn span(partition: &Partition, messages: &[Arc<Planned>]) -> Span {
    let offset = messages.first().map_or(-1, |first| first.message.position.offset);
    let span = spans::messages(&partition.topic, partition.number, offset, messages.len());
    if let [only] = messages {
        let header = |name| only.message.header(name).map(str::as_bytes);
        traces::continues(&span, header("traceparent"), header("tracestate"));
    }
    span
}
