//! A topic from some positions to its end, outside of any group: nothing is committed, nobody is disturbed.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataPartition;
use rdkafka::{Offset, TopicPartitionList};

use super::context::Telling;
use super::message::Message;
use super::{BrokerError, config};
use crate::config::KafkaConnection;

/// Longest wait for the next message, and for an answer about the topic.
const PATIENCE: Duration = Duration::from_secs(20);

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
}

impl Reader {
    /// A reader.
    pub fn new(connection: &KafkaConnection) -> Self {
        Self { connection: config::without(connection, config::PRODUCERS_ONLY) }
    }

    /// Gives every message of a topic that is there now, from these offsets on (others: from their beginning); of each
    /// partition in order. A topic that does not exist is empty. Blocks.
    pub fn read(
        &self,
        topic: &str,
        from: &BTreeMap<i32, i64>,
        mut each: impl FnMut(Message) -> Next,
    ) -> Result<(), BrokerError> {
        let mut config = config::base(
            &self.connection,
            &[("auto.offset.reset", "earliest"), ("allow.auto.create.topics", "false"), ("fetch.wait.max.ms", "50")],
        );
        config.set("group.id", "parser-reader").set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false").set("enable.partition.eof", "true");
        let consumer: BaseConsumer<Telling> = config.create_with_context(Telling)?;
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
        let known = metadata.topics().iter().find(|known| known.name() == topic && known.error().is_none());
        let numbers: Vec<i32> = known.iter().flat_map(|topic| topic.partitions()).map(MetadataPartition::id).collect();
        let mut list = TopicPartitionList::with_capacity(numbers.len());
        for number in &numbers {
            let start = from.get(number).map_or(Offset::Beginning, |offset| Offset::Offset(*offset));
            list.add_partition_offset(topic, *number, start)?;
        }
        if numbers.is_empty() {
            return Ok(());
        }
        consumer.assign(&list)?;
        let mut open: HashSet<i32> = numbers.into_iter().collect();
        let mut last = Instant::now();
        while !open.is_empty() {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    last = Instant::now();
                    let message = Message::of(&message);
                    // A partition is read to where it ended at some moment, or a busy topic would never end.
                    if open.contains(&message.position.partition.number) && each(message) == Next::Enough {
                        return Ok(());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(number))) => {
                    last = Instant::now();
                    open.remove(&number);
                }
                Some(Err(error)) => {
                    let error = BrokerError::from(error);
                    if error.is_unknown_topic() {
                        return Ok(());
                    }
                    return Err(error);
                }
                None if last.elapsed() > PATIENCE => {
                    return Err(KafkaError::Global(rdkafka::error::RDKafkaErrorCode::OperationTimedOut).into());
                }
                None => {}
            }
        }
        Ok(())
    }
}
