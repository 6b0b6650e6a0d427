//! A topic from some positions to its end, outside of any group: nothing is committed, nobody is disturbed.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataPartition;
use rdkafka::{Offset, TopicPartitionList};

use super::context::Telling;
use super::message::Message;
use super::{BrokerError, config};
use crate::config::KafkaConnection;
use crate::observe::kafka as events;

/// Longest wait for the next message, and for an answer about the topic.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker that has just started may not know its topics yet: how long is waited before it is asked again.
const AGAIN: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(1500)];

/// Go on?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Give the next one.
    More,
    /// That was enough.
    Enough,
}

/// Reads topics.
#[derive(Debug, Clone)]
pub struct Reader {
    connection: KafkaConnection,
    /// A topic that does not exist is an error.
    strict: bool,
}

impl Reader {
    /// A reader.
    pub fn new(connection: &KafkaConnection) -> Self {
        Self { connection: config::without(connection, config::PRODUCERS_ONLY), strict: false }
    }

    /// A reader of topics that exist: one that the broker does not know is an error, and not an empty topic.
    #[must_use]
    pub fn strict(&self) -> Self {
        Self { strict: true, ..self.clone() }
    }

    fn consumer(&self) -> Result<BaseConsumer<Telling>, BrokerError> {
        let mut config = config::base(
            &self.connection,
            &[
                ("auto.offset.reset", "earliest"),
                ("allow.auto.create.topics", "false"),
                ("fetch.wait.max.ms", "50"),
                // Whoever takes the messages may be slower than the broker.
                ("queued.max.messages.kbytes", "8192"),
            ],
        );
        config.set("group.id", "parser-reader").set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false").set("enable.partition.eof", "true");
        Ok(config.create_with_context(Telling)?)
    }

    /// Offsets behind which each partition of a topic has so many messages at most; and whether there are any before
    /// them. Blocks.
    pub fn starts(&self, topic: &str, last: i64) -> Result<(BTreeMap<i32, i64>, bool), BrokerError> {
        let consumer = self.consumer()?;
        let numbers = match partitions(&consumer, topic) {
            Err(error) if error.is_unknown_topic() && !self.strict => Vec::new(),
            found => found?,
        };
        let (mut starts, mut cut) = (BTreeMap::new(), false);
        for number in numbers {
            let (low, high) = consumer.fetch_watermarks(topic, number, PATIENCE)?;
            let start = low.max(high.saturating_sub(last));
            cut |= start > low;
            starts.insert(number, start);
        }
        Ok((starts, cut))
    }

    /// Gives every message of a topic that is there now, from these offsets on (others: from their beginning); of each
    /// partition in order. A topic that the broker does not know, however often it is asked, is empty. Blocks.
    pub fn read(
        &self,
        topic: &str,
        from: &BTreeMap<i32, i64>,
        mut each: impl FnMut(Message) -> Next,
    ) -> Result<(), BrokerError> {
        let consumer = self.consumer()?;
        let numbers = match partitions(&consumer, topic) {
            Err(error) if error.is_unknown_topic() && !self.strict => return Ok(()),
            found => found?,
        };
        let mut list = TopicPartitionList::with_capacity(numbers.len());
        for number in &numbers {
            let start = from.get(number).map_or(Offset::Beginning, |offset| Offset::Offset(*offset));
            list.add_partition_offset(topic, *number, start)?;
        }
        consumer.assign(&list)?;
        let mut open: HashSet<i32> = numbers.into_iter().collect();
        let mut last = Instant::now();
        while !open.is_empty() {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let message = Message::of(&message);
                    // A partition is read to where it ended at some moment, or a busy topic would never end.
                    if open.contains(&message.position.partition.number) && each(message) == Next::Enough {
                        return Ok(());
                    }
                    // Whoever took it may have taken its time.
                    last = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(number))) => {
                    last = Instant::now();
                    open.remove(&number);
                }
                // It was there a moment ago: what is left of it is not known to be nothing.
                Some(Err(error)) => return Err(error.into()),
                None if last.elapsed() > PATIENCE => {
                    return Err(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut).into());
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// The numbers of a topic's partitions.
fn partitions(consumer: &BaseConsumer<Telling>, topic: &str) -> Result<Vec<i32>, BrokerError> {
    let mut waits = AGAIN.iter();
    loop {
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
        let code = match metadata.topics().iter().find(|known| known.name() == topic) {
            Some(known) => match known.error() {
                None => return Ok(known.partitions().iter().map(MetadataPartition::id).collect()),
                Some(code) => RDKafkaErrorCode::from(code),
            },
            None => RDKafkaErrorCode::UnknownTopicOrPartition,
        };
        let error = BrokerError::from(KafkaError::MetadataFetch(code));
        // That no leader has been found yet passes, too.
        let passes = error.is_unknown_topic() || code == RDKafkaErrorCode::LeaderNotAvailable;
        let Some(wait) = waits.next().filter(|_| passes) else { return Err(error) };
        events::topic_asked_again(topic, &error.to_string());
        std::thread::sleep(*wait);
    }
}
