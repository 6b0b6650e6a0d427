//! Messages as they come and as they go.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::Message as _;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as _, Timestamp};

/// A header; its value may be missing.
pub type Header = (String, Option<Vec<u8>>);

/// One partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic.
    pub topic: String,
    /// Its number.
    pub number: i32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// A place in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The partition.
    pub partition: Partition,
    /// The place.
    pub offset: i64,
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it is.
    pub position: Position,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// What it says.
    pub value: Option<Vec<u8>>,
    /// In their order; names may repeat.
    pub headers: Vec<Header>,
    /// When it was sent, in milliseconds since 1970.
    pub sent_at: Option<i64>,
}

impl Message {
    /// The last header of a name, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(known, _)| known == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }

    /// About how much memory it takes.
    pub fn size(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + length(value)).sum();
        length(&self.key) + length(&self.value) + headers
    }

    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        let partition = Partition { topic: message.topic().to_owned(), number: message.partition() };
        Self {
            position: Position { partition, offset: message.offset() },
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: message.headers().map(read).unwrap_or_default(),
            sent_at: match message.timestamp() {
                Timestamp::NotAvailable => None,
                Timestamp::CreateTime(at) | Timestamp::LogAppendTime(at) => Some(at),
            },
        }
    }
}

/// Headers whose names are text. The client library panics at any other name, and a message that comes again and again
/// must not end its reader again and again: such a header is left out.
fn read(headers: &BorrowedHeaders) -> Vec<Header> {
    let one = |index| {
        let header = catch_unwind(AssertUnwindSafe(|| headers.get(index))).ok()?;
        Some((header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
    };
    (0..headers.count()).filter_map(one).collect()
}

/// A message to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub topic: String,
    /// Its key; the partition follows from it.
    pub key: Option<Vec<u8>>,
    /// What it says.
    pub value: Option<Vec<u8>>,
    /// In their order.
    pub headers: Vec<Header>,
    /// When it was sent; none = now.
    pub sent_at: Option<i64>,
}
