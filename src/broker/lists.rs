//! Partitions as the client library lists them.

use std::collections::HashMap;

use rdkafka::{Offset, TopicPartitionList};

use super::message::Partition;

pub(super) fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    let elements = list.elements();
    elements.iter().map(|one| Partition { topic: one.topic().to_owned(), number: one.partition() }).collect()
}

pub(super) fn list_of(positions: &HashMap<Partition, i64>) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for (partition, next) in positions {
        // An offset is never negative here, which is all that is refused.
        let _ = list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(*next));
    }
    list
}

pub(super) fn list_of_partitions<'p>(partitions: impl IntoIterator<Item = &'p Partition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    list
}
