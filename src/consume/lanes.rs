//! One lane for each partition: messages wait in it in order, and one piece of work at a time is done of it. So what is
//! done is always everything up to some offset, and that is what is committed. Pure.
//!
//! A file takes as long as it takes. While one is worked on, its lane holds that message and no other: what was read
//! behind it is dropped, and its partition is read again from there afterwards. So files, however many, keep no room
//! from the messages of other partitions.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::watch;

use super::batch::is_small;
use super::request::Planned;
use crate::broker::Partition;

/// Bytes of the messages of one transaction, about.
const BATCH_BYTES: usize = 4 << 20;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Lane {
    /// Under which assignment the partition is ours.
    epoch: u64,
    waiting: VecDeque<Arc<Planned>>,
    /// Messages in work; 0 = none.
    working: usize,
    /// What is in work is a file.
    file: bool,
    /// The number with which its messages come, or a greater one; none = nothing that comes is to be had until it is
    /// said that the partition is read again.
    reads: Option<u64>,
    /// Offset of the next message that is not done, once one is.
    next: Option<i64>,
    /// Nothing is fetched for it.
    pub(super) paused: bool,
    /// Tells its work to let go.
    letting_go: watch::Sender<bool>,
}

/// Work of a lane.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) partition: Partition,
    pub(super) epoch: u64,
    /// One file, or some small messages.
    pub(super) messages: Vec<Arc<Planned>>,
    /// The partition has to be read again from here.
    pub(super) rewind: Option<i64>,
    pub(super) stop: watch::Receiver<bool>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    each: HashMap<Partition, Lane>,
    /// Messages in all lanes, and their bytes, without the files in work.
    held: (usize, usize),
    /// Files in work.
    files: usize,
}

impl Lanes {
    /// Partitions came.
    pub(super) fn open(&mut self, partitions: Vec<Partition>, epoch: u64) {
        for partition in partitions {
            self.close(&partition);
            let lane = Lane {
                epoch,
                waiting: VecDeque::new(),
                working: 0,
                file: false,
                reads: Some(epoch),
                next: None,
                paused: false,
                letting_go: watch::Sender::new(false),
            };
            self.each.insert(partition, lane);
        }
    }

    /// A message for its lane; `false`: it is of an assignment that is over, or will be read again, and is dropped.
    pub(super) fn take(&mut self, planned: Planned, epoch: u64) -> bool {
        let lane = self.each.get_mut(&planned.message.position.partition);
        let Some(lane) = lane.filter(|lane| lane.reads.is_some_and(|reads| epoch >= reads)) else { return false };
        self.held.0 += 1;
        self.held.1 += planned.message.size();
        lane.waiting.push_back(Arc::new(planned));
        true
    }

    /// Messages that are held, and their bytes, without the files in work.
    pub(super) fn held(&self) -> (usize, usize) {
        self.held
    }

    /// Files in work.
    pub(super) fn files(&self) -> usize {
        self.files
    }

    /// A partition is read again from where it was asked for.
    pub(super) fn rewound(&mut self, partition: &Partition, epoch: u64) {
        if let Some(lane) = self.each.get_mut(partition) {
            lane.reads.get_or_insert(epoch);
        }
    }

    /// The next piece of work of each lane that has none.
    pub(super) fn begin(&mut self, most: usize) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (partition, lane) in &mut self.each {
            if lane.working > 0 || lane.waiting.is_empty() || *lane.letting_go.borrow() {
                continue;
            }
            let (mut count, mut bytes) = (0, 0);
            for planned in &lane.waiting {
                bytes += planned.message.size();
                let full = count == most.max(1) || (count > 0 && bytes > BATCH_BYTES);
                if full || (count > 0 && !is_small(planned)) {
                    break;
                }
                count += 1;
                if !is_small(planned) {
                    break;
                }
            }
            lane.working = count;
            // They stay in the lane until they are done.
            let messages: Vec<_> = lane.waiting.iter().take(count).cloned().collect();
            let file = messages.first().filter(|first| !is_small(first));
            let rewind = file.map(|file| file.message.position.offset + 1);
            if file.is_some() {
                for planned in lane.waiting.drain(..) {
                    self.held.0 -= 1;
                    self.held.1 -= planned.message.size();
                }
                lane.waiting.extend(messages.first().cloned());
                (lane.file, lane.reads) = (true, None);
                self.files += 1;
            }
            let stop = lane.letting_go.subscribe();
            pieces.push(Piece { partition: partition.clone(), epoch: lane.epoch, messages, rewind, stop });
        }
        pieces
    }

    /// So many messages of a piece are done; the offset up to which its partition is, if that has grown.
    pub(super) fn finish(&mut self, partition: &Partition, epoch: u64, done: usize) -> Option<i64> {
        let lane = self.each.get_mut(partition).filter(|lane| lane.epoch == epoch)?;
        lane.working = 0;
        let file = std::mem::take(&mut lane.file);
        if file {
            self.files -= 1;
        }
        let mut next = None;
        for planned in lane.waiting.drain(..done.min(lane.waiting.len())) {
            if !file {
                self.held.0 -= 1;
                self.held.1 -= planned.message.size();
            }
            next = Some(planned.message.position.offset + 1);
        }
        if file && let Some(left) = lane.waiting.front() {
            // It is not done, and nothing was read behind it.
            self.held.0 += 1;
            self.held.1 += left.message.size();
        }
        lane.next = next.or(lane.next);
        next
    }

    /// Does anybody work on one of them?
    pub(super) fn busy(&self, partitions: &[Partition]) -> bool {
        partitions.iter().any(|partition| self.each.get(partition).is_some_and(|lane| lane.working > 0))
    }

    /// Their work is to let go.
    pub(super) fn let_go(&mut self, partitions: &[Partition]) {
        for lane in partitions.iter().filter_map(|partition| self.each.get(partition)) {
            lane.letting_go.send_replace(true);
        }
    }

    /// All partitions.
    pub(super) fn partitions(&self) -> Vec<Partition> {
        self.each.keys().cloned().collect()
    }

    /// Lanes that hold too much, or little enough to go on, with the partition's new state.
    pub(super) fn pausing(&mut self, much: usize) -> Vec<(Partition, bool)> {
        let mut changed = Vec::new();
        for (partition, lane) in &mut self.each {
            let blocked = lane.file || lane.reads.is_none();
            let pause = blocked || lane.waiting.len() >= if lane.paused { much / 2 } else { much };
            if pause != lane.paused {
                lane.paused = pause;
                changed.push((partition.clone(), pause));
            }
        }
        changed
    }

    /// A partition is gone; up to where it was done.
    pub(super) fn close(&mut self, partition: &Partition) -> Option<i64> {
        let lane = self.each.remove(partition)?;
        lane.letting_go.send_replace(true);
        if lane.file {
            self.files -= 1;
        } else {
            self.held.0 -= lane.waiting.len();
            self.held.1 -= lane.waiting.iter().map(|planned| planned.message.size()).sum::<usize>();
        }
        lane.next
    }
}

#[cfg(test)]
mod tests {
    use super::Lanes;
    use crate::broker::Partition;
    use crate::consume::request::tests::message;
    use crate::consume::request::{Speaks, plan};

    const IDS: &str = r#"{"domainId":"d","groupId":"g","referenceIds":["a"]}"#;
    const FILE: &str = r#"{"domainId":"d","filePath":"a.csv","fileName":"a.csv"}"#;

    fn partition() -> Partition {
        Partition { topic: "acme-users".to_owned(), number: 0 }
    }

    fn lanes(values: &[&str]) -> Lanes {
        let mut lanes = Lanes::default();
        lanes.open(vec![partition()], 1);
        for (offset, value) in values.iter().enumerate() {
            assert!(lanes.take(plan(message(None, value, i64::try_from(offset).unwrap()), Speaks::Nodes, 0), 1));
        }
        lanes
    }

    #[test]
    fn a_lane_does_one_thing_at_a_time_in_order() {
        let mut lanes = lanes(&[IDS, IDS, FILE, IDS]);
        let count = |lanes: &mut Lanes| lanes.begin(10).first().map(|piece| piece.messages.len());
        assert_eq!(count(&mut lanes), Some(2));
        assert_eq!(count(&mut lanes), None);
        assert_eq!(lanes.pausing(100), []);
        // Only one of the two was done: the other comes again, and nothing beyond it is committed.
        assert_eq!(lanes.finish(&partition(), 1, 1), Some(1));
        assert_eq!(count(&mut lanes), Some(1));
        assert_eq!(lanes.finish(&partition(), 1, 1), Some(2));
        assert_eq!(count(&mut lanes), Some(1));
        assert_eq!(lanes.pausing(100), [(partition(), true)]);
        assert_eq!(lanes.finish(&partition(), 1, 0), None);
        assert_eq!(count(&mut lanes), Some(1));
        assert_eq!(lanes.finish(&partition(), 1, 1), Some(3));
        assert_eq!(lanes.close(&partition()), Some(3));
        assert_eq!((lanes.held(), lanes.files()), ((0, 0), 0));
    }

    #[test]
    fn a_file_takes_no_room_and_what_is_behind_it_is_read_again() {
        let mut lanes = lanes(&[FILE, IDS, IDS]);
        let more =
            |lanes: &mut Lanes, offset, epoch| lanes.take(plan(message(None, IDS, offset), Speaks::Nodes, 0), epoch);
        let piece = lanes.begin(10).remove(0);
        assert_eq!((piece.messages.len(), piece.rewind), (1, Some(1)));
        assert_eq!((lanes.held(), lanes.files()), ((0, 0), 1));
        // It was on its way, and comes again.
        assert!(!more(&mut lanes, 3, 1));
        assert_eq!(lanes.held(), (0, 0));
        assert_eq!(lanes.pausing(100), [(partition(), true)]);
        assert_eq!(lanes.finish(&partition(), 1, 1), Some(1));
        // Not before it is certain from where on the partition is read.
        assert_eq!(lanes.pausing(100), []);
        lanes.rewound(&partition(), 4);
        assert_eq!(lanes.pausing(100), [(partition(), false)]);
        assert!(!more(&mut lanes, 2, 3));
        assert_eq!(lanes.held(), (0, 0));
        assert!(more(&mut lanes, 1, 4));
        assert_eq!(lanes.held().0, 1);
        let piece = lanes.begin(10).remove(0);
        assert_eq!((piece.messages[0].message.position.offset, piece.rewind), (1, None));
    }

    #[test]
    fn what_belongs_to_an_assignment_that_is_over_is_dropped() {
        let mut lanes = lanes(&[IDS]);
        let piece = lanes.begin(10).remove(0);
        lanes.open(vec![partition()], 2);
        assert!(!lanes.take(plan(message(None, IDS, 7), Speaks::Nodes, 0), 1));
        assert_eq!(lanes.held(), (0, 0));
        assert!(*piece.stop.borrow());
        assert_eq!(lanes.finish(&partition(), 1, 1), None);
        assert_eq!(lanes.close(&partition()), None);
    }
}
