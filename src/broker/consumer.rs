//! A member of a consumer group, on a thread of its own.
//!
//! The thread asks the broker on and on, whatever becomes of the messages: if nobody takes them, it stops fetching and
//! still asks, so a long job never costs the membership. Nothing is committed but what it is told to commit. When
//! partitions are taken away, it asks whoever works on them how far they are, commits that, and only then lets go.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use tokio::sync::mpsc;

use super::lists::{list_of, list_of_partitions};
use super::member::{Member, Shared, lock};
use super::message::{Message, Partition, Position};
use super::reach::Reach;
use super::{BrokerError, config, lag};
use crate::config::KafkaConnection;
use crate::observe::kafka as events;

/// Longest wait for a message before orders are looked at.
const POLL: Duration = Duration::from_millis(50);

/// Messages that wait for somebody to take them stop the fetching after this time.
const STUCK: Duration = Duration::from_millis(500);

/// Somebody may take them soon.
const SOON: Duration = Duration::from_millis(5);

/// How often it is committed what is done, or what could not be committed the last time.
const OFTEN: Duration = Duration::from_millis(100);

/// How long the client may take to go to another place of a partition: it asks nobody for that.
const SEEK: Duration = Duration::from_secs(2);

/// Groups of messages that nobody has taken yet.
const QUEUE: usize = 2;

/// How often the client tells its statistics, unless the settings say otherwise.
const STATISTICS: &str = "5000";

/// What a member wants.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The group.
    pub group: String,
    /// Regular expressions, each for a topic's whole name.
    pub topics: Vec<String>,
    /// The same, for topics that are never read, whatever those match.
    pub never: Vec<String>,
    /// A lasting name in the group.
    pub instance: Option<String>,
    /// Messages that are handed over together at most.
    pub batch: usize,
    /// How long whoever works on partitions that are taken away may take to say how far they are.
    pub letting_go: Duration,
}

/// Messages, in the order of their partitions.
#[derive(Debug)]
pub struct Polled {
    /// Which assignment they were read under; those of an older one than their partition's are stale.
    pub epoch: u64,
    /// The messages.
    pub messages: Vec<Message>,
}

/// What happens to a member.
#[derive(Debug)]
pub enum Control {
    /// It has these partitions now.
    Assigned {
        /// Its messages come with this number or a greater one.
        epoch: u64,
        /// Which.
        partitions: Vec<Partition>,
    },
    /// It has these no more once it has said up to where they are done.
    Revoked {
        /// Which.
        partitions: Vec<Partition>,
        /// Others have them already: nothing can be committed.
        lost: bool,
        /// The next offset of each partition of which something was done.
        done: SyncSender<Vec<(Partition, i64)>>,
    },
    /// What is read of this partition from now on begins where it was ordered to, and comes with this number or a
    /// greater one.
    Rewound {
        /// See there.
        epoch: u64,
        /// Which.
        partition: Partition,
    },
    /// The group cannot be joined, or what was read cannot be understood.
    Failed(BrokerError),
}

#[derive(Debug)]
enum Order {
    Commit(Partition, i64),
    Pause(Partition),
    Resume(Partition),
    Rewind(Rewind),
}

/// A partition that is to be read from an offset on, if it is still ours under the same assignment.
#[derive(Debug)]
struct Rewind {
    partition: Partition,
    epoch: u64,
    next: i64,
}

/// The member. Dropped, it leaves the group.
#[derive(Debug)]
pub struct Consumer {
    orders: Option<std::sync::mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    reach: Reach,
    /// Dropped, it ends the thread that asks where paused partitions end.
    asking: Option<std::sync::mpsc::Sender<()>>,
}

impl Consumer {
    /// Joins the group; what happens and what is read come by the two receivers.
    pub fn join(
        connection: &KafkaConnection,
        subscription: &Subscription,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Control>, mpsc::Receiver<Polled>), BrokerError> {
        let mut config = config::base(
            &config::without(connection, config::PRODUCERS_ONLY),
            &[
                ("auto.offset.reset", "earliest"),
                ("allow.auto.create.topics", "false"),
                // Topics that appear later are found by this.
                ("topic.metadata.refresh.interval.ms", "10000"),
                ("statistics.interval.ms", STATISTICS),
                ("queued.max.messages.kbytes", "16384"),
                ("queued.min.messages", "10000"),
                ("session.timeout.ms", "45000"),
            ],
        );
        config.set("group.id", &subscription.group);
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        if let Some(instance) = &subscription.instance {
            config.set("group.instance.id", instance);
        }
        let mut never: Vec<String> = subscription.never.iter().map(|topic| format!("^({topic})$")).collect();
        never.extend(config.get("topic.blacklist").map(str::to_owned));
        config.set("topic.blacklist", never.join(","));
        let often = config.get("statistics.interval.ms").and_then(|often| often.parse().ok());
        let often = often.filter(|often| *often > 0).map(Duration::from_millis);
        let reach = Reach::new(often);
        let (control, controls) = mpsc::unbounded_channel();
        let member = Member {
            control: control.clone(),
            letting_go: subscription.letting_go,
            shared: Arc::new(Mutex::new(Shared::default())),
            reach: reach.clone(),
        };
        let shared = Arc::clone(&member.shared);
        let consumer: BaseConsumer<Member> = config.create_with_context(member)?;
        let patterns: Vec<String> = subscription.topics.iter().map(|topic| format!("^({topic})$")).collect();
        consumer.subscribe(&patterns.iter().map(String::as_str).collect::<Vec<_>>())?;
        let asking = often.map(|often| ask(connection, often, &shared)).transpose()?;
        let (send, messages) = mpsc::channel(QUEUE);
        let (orders, taken) = channel();
        let batch = subscription.batch;
        let thread = std::thread::Builder::new().name("kafka-consumer".to_owned());
        let thread = thread
            .spawn(move || {
                let (rewinds, late) = (Vec::new(), VecDeque::new());
                let thread = Thread { consumer, shared, control, send, batch, rewinds, late };
                thread.run(&taken);
            })
            .map_err(|error| no_thread(&error))?;
        Ok((Self { orders: Some(orders), thread: Some(thread), reach, asking }, controls, messages))
    }

    /// Tells whether its brokers answer.
    pub fn reach(&self) -> Reach {
        self.reach.clone()
    }

    /// Everything before this offset is done.
    pub fn commit(&self, partition: Partition, next: i64) {
        self.order(Order::Commit(partition, next));
    }

    /// Fetches nothing of this partition for a while.
    pub fn pause(&self, partition: Partition) {
        self.order(Order::Pause(partition));
    }

    /// Goes on with it.
    pub fn resume(&self, partition: Partition) {
        self.order(Order::Resume(partition));
    }

    /// Reads this partition, ours since `epoch`, again from an offset on; [`Control::Rewound`] says when that is so.
    pub fn rewind(&self, partition: Partition, epoch: u64, next: i64) {
        self.order(Order::Rewind(Rewind { partition, epoch, next }));
    }

    fn order(&self, order: Order) {
        // A thread that has ended has said why.
        let _ = self.orders.as_ref().map(|orders| orders.send(order));
    }

    /// Commits what was ordered to be, and leaves the group. Blocks for as long as that takes.
    pub fn leave(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.asking.take());
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, the group notices by itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.end();
    }
}

fn no_thread(error: &std::io::Error) -> BrokerError {
    BrokerError::new(format!("cannot start a thread: {error}"))
}

/// Starts to ask where paused partitions end, until what it returns is dropped. Nobody waits for that thread: it
/// changes nothing.
fn ask(
    connection: &KafkaConnection,
    often: Duration,
    shared: &Arc<Mutex<Shared>>,
) -> Result<std::sync::mpsc::Sender<()>, BrokerError> {
    let (end, go_on) = channel();
    let (connection, shared) = (connection.clone(), Arc::clone(shared));
    let thread = std::thread::Builder::new().name("kafka-ends".to_owned());
    thread.spawn(move || lag::watch(&connection, often, &shared, &go_on)).map_err(|error| no_thread(&error))?;
    Ok(end)
}

struct Thread {
    consumer: BaseConsumer<Member>,
    shared: Arc<Mutex<Shared>>,
    control: mpsc::UnboundedSender<Control>,
    send: mpsc::Sender<Polled>,
    batch: usize,
    /// Not carried out yet.
    rewinds: Vec<Rewind>,
    /// Read while stuck.
    late: VecDeque<Polled>,
}

impl Thread {
    fn run(mut self, orders: &Receiver<Order>) {
        let mut read: Option<(Polled, Instant)> = None;
        let mut committed = Instant::now();
        loop {
            if self.obey(orders) {
                break;
            }
            if committed.elapsed() >= OFTEN {
                self.commit(CommitMode::Async);
                committed = Instant::now();
            }
            self.rewind();
            match read.take() {
                None => read = self.read().map(|polled| (polled, Instant::now())),
                Some((polled, since)) => match self.send.try_send(polled) {
                    Ok(()) => self.unstick(),
                    Err(mpsc::error::TrySendError::Closed(_)) => break,
                    Err(mpsc::error::TrySendError::Full(polled)) => {
                        if lock(&self.shared).stuck || since.elapsed() >= STUCK {
                            self.stick();
                            // Paused, it gives no messages, but the group sees that we are alive. What comes all the
                            // same (the client could not pause) is past for it: thrown away, it would be lost.
                            let late = self.poll(POLL);
                            let epoch = lock(&self.shared).epoch;
                            self.late.extend(late.map(|message| Polled { epoch, messages: vec![message] }));
                        } else if let Ok(order) = orders.recv_timeout(SOON) {
                            self.apply(order);
                        }
                        read = Some((polled, since));
                    }
                },
            }
        }
        self.commit(CommitMode::Sync);
    }

    /// Carries out what was ordered; is it the end?
    fn obey(&mut self, orders: &Receiver<Order>) -> bool {
        loop {
            match orders.try_recv() {
                Ok(order) => self.apply(order),
                Err(std::sync::mpsc::TryRecvError::Empty) => return false,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return true,
            }
        }
    }

    fn apply(&mut self, order: Order) {
        let mut shared = lock(&self.shared);
        let (partition, outcome) = match order {
            Order::Commit(partition, next) => {
                if shared.assigned.contains_key(&partition) {
                    shared.waiting.insert(partition, next);
                }
                return;
            }
            Order::Pause(partition) => {
                if !shared.assigned.contains_key(&partition) || !shared.paused.insert(partition.clone()) {
                    return;
                }
                let outcome = self.consumer.pause(&list_of_partitions([&partition]));
                (partition, outcome)
            }
            Order::Resume(partition) => {
                if !shared.paused.remove(&partition) || shared.stuck {
                    return;
                }
                let outcome = self.consumer.resume(&list_of_partitions([&partition]));
                (partition, outcome)
            }
            Order::Rewind(rewind) => {
                self.rewinds.push(rewind);
                return;
            }
        };
        drop(shared);
        if let Err(error) = outcome {
            events::broker_failed(&error.to_string(), &partition.to_string());
        }
    }

    /// Carries out what can be: a partition whose fetching is just beginning has to be asked again.
    fn rewind(&mut self) {
        for rewind in std::mem::take(&mut self.rewinds) {
            let Rewind { partition, epoch, next } = &rewind;
            // Of another assignment, it begins where its last owner has left it.
            if lock(&self.shared).assigned.get(partition) != Some(epoch) {
                continue;
            }
            if let Err(error) = self.consumer.seek(&partition.topic, partition.number, Offset::Offset(*next), SEEK) {
                events::broker_failed(&error.to_string(), &format!("going back in {partition}"));
                self.rewinds.push(rewind);
                continue;
            }
            let mut shared = lock(&self.shared);
            shared.epoch += 1;
            let epoch = shared.epoch;
            drop(shared);
            // Nobody there: the member is about to leave.
            let _ = self.control.send(Control::Rewound { epoch, partition: rewind.partition });
        }
    }

    fn commit(&self, mode: CommitMode) {
        let positions = std::mem::take(&mut lock(&self.shared).waiting);
        if positions.is_empty() {
            return;
        }
        if let Err(error) = self.consumer.commit(&list_of(&positions), mode) {
            events::commit_failed(&BrokerError::from(error).to_string());
            let mut shared = lock(&self.shared);
            for (partition, next) in positions {
                if shared.assigned.contains_key(&partition) {
                    shared.waiting.entry(partition).or_insert(next);
                }
            }
        }
    }

    /// What there is, without waiting for more than the first.
    fn read(&mut self) -> Option<Polled> {
        if let Some(late) = self.late.pop_front() {
            return Some(late);
        }
        let mut messages = vec![self.poll(POLL)?];
        while messages.len() < self.batch {
            match self.poll(Duration::ZERO) {
                Some(message) => messages.push(message),
                None => break,
            }
        }
        // Assignments change only inside of a poll. Those of partitions that were taken away meanwhile are stale.
        let mut shared = lock(&self.shared);
        messages.retain(|message| shared.assigned.contains_key(&message.position.partition));
        for Position { partition, offset } in messages.iter().map(|message| &message.position) {
            if !shared.first.contains_key(partition) {
                shared.first.insert(partition.clone(), *offset);
            }
        }
        (!messages.is_empty()).then_some(Polled { epoch: shared.epoch, messages })
    }

    fn poll(&self, patience: Duration) -> Option<Message> {
        match self.consumer.poll(patience)? {
            Ok(message) => Some(Message::of(&message)),
            Err(error) => {
                let error = BrokerError::from(error);
                if !error.is_unknown_topic() {
                    events::broker_failed(&error.to_string(), "while reading");
                }
                // Whether it is worth going on is not ours to say.
                let _ = self.control.send(Control::Failed(error));
                None
            }
        }
    }

    fn stick(&self) {
        let mut shared = lock(&self.shared);
        // Also those that came meanwhile.
        let others = shared.others();
        if let Err(error) = self.consumer.pause(&list_of_partitions(others)) {
            events::broker_failed(&error.to_string(), "pausing");
        }
        shared.stuck = true;
    }

    fn unstick(&self) {
        let mut shared = lock(&self.shared);
        if std::mem::take(&mut shared.stuck) {
            let others = shared.others();
            if let Err(error) = self.consumer.resume(&list_of_partitions(others)) {
                events::broker_failed(&error.to_string(), "resuming");
            }
        }
    }
}
