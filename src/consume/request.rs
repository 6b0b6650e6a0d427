//! What a message asks for, and how it is told from others. Pure.
//!
//! **When are two messages the same one?** A message without a key is itself alone: its place and its time. One with a
//! key is the same as an earlier one of its topic with the same key *and the same bytes*, if it was sent within the
//! window of the settings (an hour by default): so a sender may send again whatever it is not sure of. Another request
//! under the same key is another request; and the same request a day later is meant. A message that is replayed from
//! the dead letters is the same only as another delivery of that replay.

use crate::backend::importer::Record;
use crate::backend::imports::depth;
use crate::broker::Message;
use crate::model::LONGEST_NODE_KEY;
use crate::model::messages::{LONGEST_NAME, NodeExchange, NodeRequest};
use crate::model::schemas::read_node_exchange;
use crate::store::messages::JobKind;

pub use crate::backend::dead_letters::{REPLAY_OF, REPLAYS};

/// Deeper JSON is nobody's request.
const DEEPEST: usize = 64;

/// What the messages of a topic are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// Node requests.
    Nodes,
    /// Catalogue records.
    Catalogue,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Task {
    /// Make nodes.
    References {
        /// Whose.
        domain: String,
        /// Their group.
        group: String,
        /// Their reference ids, as they came.
        ids: Vec<String>,
    },
    /// Import a file of nodes.
    File {
        /// Whose.
        domain: String,
        /// The group of all rows.
        group: Option<String>,
        /// The address.
        path: String,
    },
    /// Bring a record into the catalogue.
    Record(Box<Record>),
    /// Nothing: it cannot be understood.
    Nothing(Refusal),
}

/// Why something will never be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Where it was noticed, in Kafka Connect's words.
    pub(super) stage: Stage,
    /// For programs.
    pub(super) code: String,
    /// For people.
    pub(super) message: String,
    /// What a request that is refused was about, as far as it says.
    pub(super) domain: Option<String>,
    /// Likewise.
    pub(super) group: Option<String>,
}

/// Where a message failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It cannot be read.
    Read,
    /// It cannot be done.
    Work,
}

impl Stage {
    /// Kafka Connect's name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "VALUE_CONVERTER",
            Self::Work => "TASK_PUT",
        }
    }
}

/// The last millisecond of the year 9999: what is later is no time that anybody meant.
const LATEST: i64 = 253_402_300_799_999;

/// A message and what is to be done about it.
#[derive(Debug)]
pub(super) struct Planned {
    /// The message, whole: it may become a dead letter.
    pub(super) message: Message,
    /// Tells it from others, or those of its key from those of other keys.
    pub(super) mark: String,
    /// What it says, of one with a key.
    pub(super) content: Option<String>,
    /// When it was sent.
    pub(super) sent_at: i64,
    /// What is to be done.
    pub(super) task: Task,
}

impl Planned {
    /// The kind of its job.
    pub(super) fn kind(&self) -> JobKind {
        match &self.task {
            Task::References { .. } => JobKind::References,
            Task::File { .. } => JobKind::File,
            Task::Record(_) => JobKind::Catalogue,
            Task::Nothing(_) => JobKind::Unreadable,
        }
    }

    /// Whose it is and which group it is about, as far as it says.
    pub(super) fn names(&self) -> (Option<&str>, Option<&str>) {
        match &self.task {
            Task::References { domain, group, .. } => (Some(domain), Some(group)),
            Task::File { domain, group, .. } => (Some(domain), group.as_deref()),
            Task::Record(_) => (None, None),
            Task::Nothing(refusal) => (refusal.domain.as_deref(), refusal.group.as_deref()),
        }
    }
}

/// Reads a message. `now`: for one without a time, or with one that is none.
pub(super) fn plan(message: Message, speaks: Speaks, now: i64) -> Planned {
    let sent_at = message.sent_at.filter(|at| (0..=LATEST).contains(at)).unwrap_or(now);
    let task = match (message.value.as_deref(), speaks) {
        (None, _) => refused("empty", "it has no value"),
        (Some(value), _) if depth(value) > DEEPEST => refused("too_deep", "it is nested too deeply"),
        (Some(value), Speaks::Catalogue) => match Record::parse(value) {
            Ok(record) => Task::Record(Box::new(record)),
            Err(error) => refused(error.code, &error.to_string()),
        },
        (Some(value), Speaks::Nodes) => nodes(value),
    };
    let (mark, content) = mark(&message);
    Planned { message, mark, content, sent_at, task }
}

fn nodes(value: &[u8]) -> Task {
    let exchange = match read_node_exchange(value) {
        Ok(exchange) => exchange,
        Err(error) => {
            // Whose it was is told as far as it can be read all the same.
            let said: NodeExchange = serde_json::from_slice(value).unwrap_or_default();
            let whose = |name: Option<String>| name.as_deref().map(harmless);
            return Task::Nothing(Refusal {
                domain: whose(said.domain_id),
                group: whose(said.group_id),
                ..refusal(if error.field == "message" { "malformed" } else { "schema" }, &error.to_string())
            });
        }
    };
    match exchange.request() {
        Ok(NodeRequest::File { domain, group, path }) => Task::File { domain, group, path },
        Ok(NodeRequest::References { domain, group, ids }) => Task::References { domain, group, ids },
        // The check lets nothing through that is no request.
        Err(problem) => refused("schema", &problem),
    }
}

/// Can it be the reference id of a node?
pub(super) fn is_reference(id: &str) -> bool {
    let id = id.trim();
    !id.is_empty() && id.len() <= LONGEST_NODE_KEY && !id.contains('\0')
}

/// As it can be stored and shown: without NUL, and short.
pub(super) fn harmless(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(LONGEST_NAME).collect()
}

fn refused(code: &str, message: &str) -> Task {
    Task::Nothing(refusal(code, message))
}

fn refusal(code: &str, message: &str) -> Refusal {
    Refusal {
        stage: Stage::Read,
        code: code.to_owned(),
        message: message.chars().filter(|c| *c != '\0').take(2000).collect(),
        domain: None,
        group: None,
    }
}

/// Tells a message from others; of one with a key, what it says is told apart.
fn mark(message: &Message) -> (String, Option<String>) {
    let (topic, position) = (message.position.partition.topic.as_bytes(), &message.position);
    if let Some(replay) = message.header(REPLAY_OF) {
        let times = message.header(REPLAYS).map(str::as_bytes);
        (format!("replay:{}", digest(&[Some(topic), Some(replay.as_bytes()), times])), None)
    } else if let Some(key) = message.key.as_deref() {
        (format!("key:{}", digest(&[Some(topic), Some(key)])), Some(digest(&[message.value.as_deref()])))
    } else {
        let number = position.partition.number.to_le_bytes();
        // A topic that was made anew counts from 0 again.
        let (offset, sent_at) = (position.offset.to_le_bytes(), message.sent_at.unwrap_or_default().to_le_bytes());
        (format!("place:{}", digest(&[Some(topic), Some(&number), Some(&offset), Some(&sent_at)])), None)
    }
}

fn digest(parts: &[Option<&[u8]>]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        // The length first, so that no two lists of parts look alike.
        let length = part.map_or(u64::MAX, |bytes| bytes.len() as u64);
        hasher.update(&length.to_le_bytes()).update(part.unwrap_or_default());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::{REPLAY_OF, REPLAYS, Speaks, Task, plan};
    use crate::broker::{Message, Partition, Position};

    pub(in crate::consume) fn message(key: Option<&str>, value: &str, offset: i64) -> Message {
        let partition = Partition { topic: "acme-users".to_owned(), number: 0 };
        Message {
            position: Position { partition, offset },
            key: key.map(|key| key.as_bytes().to_vec()),
            value: Some(value.as_bytes().to_vec()),
            headers: Vec::new(),
            sent_at: Some(1000),
        }
    }

    #[test]
    fn the_same_request_under_the_same_key_is_the_same_message() {
        let mark = |message: Message| {
            let planned = plan(message, Speaks::Nodes, 0);
            (planned.mark, planned.content)
        };
        assert_eq!(mark(message(Some("k"), "a", 1)), mark(message(Some("k"), "a", 2)));
        assert_ne!(mark(message(Some("k"), "a", 1)), mark(message(Some("k"), "b", 1)));
        assert_ne!(mark(message(Some("k"), "a", 1)), mark(message(Some("l"), "a", 1)));
        assert_eq!(mark(message(None, "a", 1)), mark(message(None, "a", 1)));
        assert_ne!(mark(message(None, "a", 1)), mark(message(None, "a", 2)));
        let replay = |times: &str, offset| {
            let headers = [(REPLAY_OF, "x"), (REPLAYS, times)];
            let headers = headers.map(|(name, value)| (name.to_owned(), Some(value.as_bytes().to_vec())));
            Message { headers: headers.to_vec(), ..message(Some("k"), "a", offset) }
        };
        assert_ne!(mark(replay("1", 1)), mark(message(Some("k"), "a", 1)));
        assert_eq!(mark(replay("1", 1)), mark(replay("1", 9)));
        assert_ne!(mark(replay("1", 1)), mark(replay("2", 1)));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let code = |value: &str| match plan(message(None, value, 0), Speaks::Nodes, 0).task {
            Task::Nothing(refusal) => format!("{}: {}", refusal.code, refusal.message),
            other => format!("{other:?}"),
        };
        assert_eq!(code("{"), "malformed: `message` is not JSON (line 1, column 1)");
        assert_eq!(
            code(r#"{"domainId":"d","groupId":"g","referenceIds":["a"]} x"#),
            "malformed: `message` is followed by more"
        );
        assert_eq!(code(r#"["d","g",null,null,null,["a"]]"#), "malformed: `message` is not an object");
        assert_eq!(code(r#"{"referenceIds":[1]}"#), "schema: `referenceIds[0]` is not a string");
        let nothing = "schema: `referenceIds` are missing or empty, and there is no `filePath`";
        assert_eq!(code(r#"{"domainId":"d"}"#), nothing);
        assert_eq!(code(&"[".repeat(100)), "too_deep: it is nested too deeply");
    }
}
