//! How far behind its partitions a member is.
//!
//! The client's statistics tell it, by what fetches say, which is right on every broker. But they also go on about
//! partitions that were given away, as they were when they went: only those that are ours count. And of a partition that
//! is paused nothing is fetched, so where it ends is asked by another client, on a thread of its own: that may wait for
//! an answer, the member may not.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::statistics::{self, Statistics};

use super::context::Telling;
use super::member::{Shared, lock};
use super::message::Partition;
use super::{BrokerError, config};
use crate::config::KafkaConnection;
use crate::observe::kafka as events;

/// Longest wait for where a partition ends.
const ANSWER: Duration = Duration::from_secs(2);

/// Tells it of each partition that is ours.
pub(super) fn tell(statistics: &Statistics, shared: &Shared) {
    for partition in shared.assigned.keys() {
        let topic = statistics.topics.get(&partition.topic);
        let Some(known) = topic.and_then(|topic| topic.partitions.get(&partition.number)) else { continue };
        let asked = shared.ends.get(partition).filter(|_| shared.rests(partition));
        if let Some(lag) = behind(known, shared.first.get(partition), asked) {
            events::lag(&partition.topic, partition.number, lag);
        }
    }
}

/// `first`: the first offset that was read; `asked`: the end as the broker answered, which some brokers answer too low.
fn behind(known: &statistics::Partition, first: Option<&i64>, asked: Option<&i64>) -> Option<i64> {
    let end = known.ls_offset.max(asked.copied().unwrap_or(-1));
    // As long as nothing of it has been committed, all that was read and what follows waits.
    let done = Some(known.committed_offset).filter(|offset| *offset >= 0).or(first.copied())?;
    Some(end.checked_sub(done)?).filter(|lag| end >= 0 && *lag >= 0)
}

/// Asks where paused partitions end, again and again, until the other end of `go_on` is gone.
pub(super) fn watch(connection: &KafkaConnection, often: Duration, shared: &Arc<Mutex<Shared>>, go_on: &Receiver<()>) {
    let mut asker = None;
    while go_on.recv_timeout(often) == Err(RecvTimeoutError::Timeout) {
        let resting: Vec<Partition> = {
            let mut shared = lock(shared);
            let resting: Vec<_> = shared.assigned.keys().filter(|one| shared.rests(one)).cloned().collect();
            shared.ends.retain(|partition, _| resting.contains(partition));
            resting
        };
        if resting.is_empty() {
            continue;
        }
        if let Err(error) = ask(&mut asker, connection, &resting, shared) {
            // What is known stays known.
            events::ends_unknown(&error.to_string());
        }
    }
}

fn ask(
    asker: &mut Option<BaseConsumer<Telling>>,
    connection: &KafkaConnection,
    resting: &[Partition],
    shared: &Arc<Mutex<Shared>>,
) -> Result<(), BrokerError> {
    let asker = if let Some(asker) = asker {
        asker
    } else {
        let connection = config::without(connection, config::PRODUCERS_ONLY);
        let mut config = config::base(&connection, &[("allow.auto.create.topics", "false")]);
        config.set("group.id", "parser-reader").set("enable.auto.commit", "false");
        asker.insert(config.create_with_context(Telling)?)
    };
    // It has no messages, but what it says of itself would pile up.
    while asker.poll(Duration::ZERO).is_some() {}
    for partition in resting {
        // The first that gets no answer ends the round: the others would wait as long.
        let (_, end) = asker.fetch_watermarks(&partition.topic, partition.number, ANSWER)?;
        lock(shared).ends.insert(partition.clone(), end);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::Partition;

    use super::behind;

    fn known(ls_offset: i64, committed_offset: i64) -> Partition {
        Partition { ls_offset, committed_offset, ..Partition::default() }
    }

    #[test]
    fn lag_is_what_is_not_committed() {
        assert_eq!(behind(&known(100, 40), None, None), Some(60));
        // Paused, it is what was asked; an answer that is too low changes nothing.
        assert_eq!(behind(&known(100, 40), None, Some(&500)), Some(460));
        assert_eq!(behind(&known(100, 40), None, Some(&3)), Some(60));
        // Nothing has been committed yet.
        assert_eq!(behind(&known(100, -1001), Some(&7), None), Some(93));
        assert_eq!(behind(&known(100, -1001), None, None), None);
        // Nothing is known yet, or the topic was made anew.
        assert_eq!(behind(&known(-1001, 40), None, None), None);
        assert_eq!(behind(&known(10, 40), None, None), None);
    }
}
