//! A member as the client library calls it, inside of a poll: partitions come and go, offsets were not committed.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tokio::sync::mpsc;

use super::consumer::Control;
use super::lists::{list_of, partitions};
use super::message::Partition;
use super::reach::Reach;
use super::{BrokerError, context, lag};
use crate::observe::kafka as events;

/// What the thread and the library's calls into it share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Of the last assignment, or the last going back.
    pub(super) epoch: u64,
    /// Ours at the moment, and since which assignment.
    pub(super) assigned: HashMap<Partition, u64>,
    /// Paused by order.
    pub(super) paused: HashSet<Partition>,
    /// All are paused, because nobody takes what was read.
    pub(super) stuck: bool,
    /// To be committed, or committed again.
    pub(super) waiting: HashMap<Partition, i64>,
    /// The first offset that was read of each.
    pub(super) first: HashMap<Partition, i64>,
    /// Where paused ones end, as far as somebody has asked.
    pub(super) ends: HashMap<Partition, i64>,
}

impl Shared {
    /// Ours, and not paused by order.
    pub(super) fn others(&self) -> Vec<&Partition> {
        self.assigned.keys().filter(|partition| !self.paused.contains(*partition)).collect()
    }

    /// Nothing of it is fetched at the moment.
    pub(super) fn rests(&self, partition: &Partition) -> bool {
        self.stuck || self.paused.contains(partition)
    }
}

pub(super) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The member as the client library calls it.
pub(super) struct Member {
    pub(super) control: mpsc::UnboundedSender<Control>,
    pub(super) letting_go: Duration,
    pub(super) shared: Arc<Mutex<Shared>>,
    pub(super) reach: Reach,
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        context::log(level, facility, text);
    }

    fn stats(&self, statistics: Statistics) {
        self.reach.look(&statistics);
        lag::tell(&statistics, &lock(&self.shared));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::error(&error, reason);
    }
}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let partitions = partitions(list);
        let lost = consumer.assignment_lost();
        events::partitions_revoked(partitions.len(), lost);
        let (done, answer) = sync_channel(1);
        let told = self.control.send(Control::Revoked { partitions: partitions.clone(), lost, done });
        // When nobody works any more, what was ordered to be committed is all that is done.
        let done = if told.is_ok() { answer.recv_timeout(self.letting_go).unwrap_or_default() } else { Vec::new() };
        let mut shared = lock(&self.shared);
        let mut positions = HashMap::new();
        for partition in &partitions {
            shared.assigned.remove(partition);
            shared.paused.remove(partition);
            shared.first.remove(partition);
            if let Some(next) = shared.waiting.remove(partition) {
                positions.insert(partition.clone(), next);
            }
            // From now on another member tells it.
            events::lag(&partition.topic, partition.number, 0);
        }
        drop(shared);
        for (partition, next) in done {
            let known = positions.entry(partition).or_insert(next);
            *known = next.max(*known);
        }
        if !lost
            && !positions.is_empty()
            && let Err(error) = consumer.commit(&list_of(&positions), CommitMode::Sync)
        {
            events::commit_failed(&BrokerError::from(error).to_string());
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = partitions(list);
                events::partitions_assigned(partitions.len());
                self.reach.answered();
                // What was paused under an earlier assignment would stay so.
                if let Err(error) = consumer.resume(list) {
                    events::broker_failed(&error.to_string(), "resuming");
                }
                let mut shared = lock(&self.shared);
                shared.epoch += 1;
                let epoch = shared.epoch;
                shared.assigned.extend(partitions.iter().map(|partition| (partition.clone(), epoch)));
                drop(shared);
                // Nobody there: the member is about to leave.
                let _ = self.control.send(Control::Assigned { epoch, partitions });
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => events::broker_failed(&error.to_string(), "the group could not be balanced"),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let Err(error) = result else { return };
        events::commit_failed(&BrokerError::from(error).to_string());
        let mut shared = lock(&self.shared);
        for element in offsets.elements() {
            let partition = Partition { topic: element.topic().to_owned(), number: element.partition() };
            if let (Offset::Offset(next), true) = (element.offset(), shared.assigned.contains_key(&partition)) {
                let known = shared.waiting.entry(partition).or_insert(next);
                *known = next.max(*known);
            }
        }
    }
}
