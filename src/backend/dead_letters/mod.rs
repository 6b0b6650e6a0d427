//! Dead letters: looked at, replayed, discarded.
//!
//! They are a topic, so that other tools see them, too. A topic cannot lose a single message: what somebody has dealt
//! with is remembered in the store, by the letter's id (the job's, or its place in the topic if somebody else wrote it).
//! A replay goes to the original topic with two headers more: which letter it is and how often it has been replayed. By
//! these it is told from every other message, so a replay that is sent twice, because a crash came between sending and
//! remembering, is done once.
//!
//! The topic is read in groups of letters (`pass`), and letters are dealt with group by group (`dealing`).

mod dealing;
mod pass;
mod selection;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{BrokerError, Header, Message, Outgoing, Reader};
use crate::config::KafkaSettings;
use crate::error::{Fault, Party, Severity};
use crate::store::messages::Settled;
use crate::store::sqlite::CrashPoints;
use crate::store::{Store, StoreError};
use pass::{Pass, Reading};

pub use dealing::{Dealing, Known, Outcome};
pub use selection::{Selection, moment};

const SETTLE: CrashPoints =
    CrashPoints { before: "dead_letters.settle.before_commit", after: "dead_letters.settle.after_commit" };

/// How long a replay may take to be acknowledged.
const PATIENCE: Duration = Duration::from_secs(30);

/// Headers that tell why a message is a dead letter; a replay is without them.
const CONTEXT: &str = "__connect.errors.";

/// Header of everything that is published about a job.
pub const JOB_ID: &str = "parser-job-id";

/// How often it was tried.
pub const ATTEMPTS: &str = "parser-attempts";

/// When it was given up.
pub const TIME: &str = "parser-time";

/// Which dead letter a replayed message was.
pub const REPLAY_OF: &str = "parser-replay-of";

/// How often it has been replayed.
pub const REPLAYS: &str = "parser-replays";

/// Is it a header of dead letters, and none of the message?
fn is_ours(name: &str) -> bool {
    name.starts_with(CONTEXT) || [JOB_ID, ATTEMPTS, TIME, REPLAY_OF, REPLAYS].contains(&name)
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// The message as it lies in the dead-letter topic.
    pub message: Message,
    /// What was done about it.
    pub settled: Option<Settled>,
}

impl DeadLetter {
    fn new(message: Message) -> Self {
        let position = &message.position;
        let place = || format!("{}/{}", position.partition, position.offset);
        let id = message.header(JOB_ID).map_or_else(place, str::to_owned);
        Self { settled: None, id, message }
    }

    /// Only what a list shows of it.
    fn head(self) -> Self {
        let Self { id, mut message, settled } = self;
        (message.key, message.value) = (None, None);
        message.headers.retain(|(name, _)| is_ours(name));
        Self { id, message, settled }
    }

    /// A context header under Kafka Connect's name, `topic` for `__connect.errors.topic`.
    pub fn context(&self, name: &str) -> Option<&str> {
        self.message.header(&format!("{CONTEXT}{name}"))
    }

    /// Where the message came from.
    pub fn origin(&self) -> Option<&str> {
        self.context("topic")
    }

    /// Why it is here: the error's name and what it says.
    pub fn reason(&self) -> String {
        let part = |name| self.context(name).unwrap_or("unknown");
        format!("{}: {}", part("exception.class.name"), part("exception.message"))
    }

    /// How often it has been replayed before.
    pub fn replays(&self) -> u32 {
        self.message.header(REPLAYS).and_then(|times| times.parse().ok()).unwrap_or(0)
    }

    /// When it was given up, in milliseconds since 1970.
    pub fn at(&self) -> Option<i64> {
        self.given_up().or(self.message.sent_at)
    }

    /// The same, if it was one of ours that gave it up.
    fn given_up(&self) -> Option<i64> {
        let time = self.message.header(TIME)?.parse::<jiff::Timestamp>().ok()?;
        Some(time.as_millisecond())
    }

    /// The message as it goes to its topic again.
    fn again(&self) -> Option<Outgoing> {
        let mut headers: Vec<Header> =
            self.message.headers.iter().filter(|(name, _)| !is_ours(name)).cloned().collect();
        headers.push((REPLAY_OF.to_owned(), Some(self.id.clone().into_bytes())));
        headers.push((REPLAYS.to_owned(), Some((self.replays() + 1).to_string().into_bytes())));
        Some(Outgoing {
            topic: self.origin()?.to_owned(),
            key: self.message.key.clone(),
            value: self.message.value.clone(),
            headers,
            // Now: by its old time its topic might delete it at once.
            sent_at: None,
        })
    }
}

/// In which order, and so which of too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The newest.
    NewestFirst,
    /// The oldest.
    OldestFirst,
}

/// How letters are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// So many at most.
    pub most: usize,
    /// In which order.
    pub order: Order,
    /// With their keys, values and all headers.
    pub whole: bool,
    /// Only so many messages at the end of each partition; none = all that there are.
    pub last: Option<i64>,
}

/// Letters that were looked at.
#[derive(Debug)]
pub struct Listed {
    /// Some of them.
    pub letters: Vec<DeadLetter>,
    /// How many there are in all.
    pub count: usize,
    /// There are messages that were not looked at.
    pub cut: bool,
}

/// It cannot be looked at, or not be dealt with.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeadLettersError {
    /// No broker is configured.
    #[error("KAFKA_BROKERS is not set")]
    NoBrokers,
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for DeadLettersError {
    fn severity(&self) -> Severity {
        match self {
            Self::NoBrokers => Severity::Permanent,
            Self::Broker(error) => error.severity(),
            Self::Store(error) => error.severity(),
        }
    }

    fn party(&self) -> Party {
        match self {
            Self::NoBrokers => Party::Usage,
            Self::Broker(error) => error.party(),
            Self::Store(error) => error.party(),
        }
    }

    fn hint(&self) -> Option<std::borrow::Cow<'static, str>> {
        match self {
            Self::NoBrokers => Some("set it to `host:port,…`, or use `--brokers`".into()),
            Self::Broker(error) => error.hint(),
            Self::Store(error) => error.hint(),
        }
    }
}

/// The dead letters of a group. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    store: Arc<Store>,
    settings: Arc<KafkaSettings>,
}

impl DeadLetters {
    /// Those of these settings.
    pub fn new(store: Arc<Store>, settings: KafkaSettings) -> Result<Self, DeadLettersError> {
        if settings.connection.brokers.is_empty() {
            return Err(DeadLettersError::NoBrokers);
        }
        Ok(Self { store, settings: Arc::new(settings) })
    }

    /// The topic they are in.
    pub fn topic(&self) -> &str {
        &self.settings.dead_letters
    }

    /// Some of a selection, at most so many.
    pub async fn list(&self, selection: &Selection, look: Look) -> Result<Listed, DeadLettersError> {
        let (from, cut) = match look.last {
            None => (BTreeMap::new(), false),
            Some(last) => {
                let (reader, topic) = (self.reader(), self.topic().to_owned());
                let starts = tokio::task::spawn_blocking(move || reader.starts(&topic, last)).await;
                starts.map_err(|error| BrokerError::own(error.to_string()))??
            }
        };
        let mut pass = self.pass(Reading { selection: selection.clone(), from, whole: look.whole });
        // What is kept stays sorted and bounded, however long the topic is.
        let mut kept: BTreeMap<(i64, String), DeadLetter> = BTreeMap::new();
        let mut seen = HashSet::new();
        while let Some(group) = pass.next().await? {
            for letter in group {
                // Eight bytes of each are enough to count those once that are there twice.
                let hash = blake3::hash(letter.id.as_bytes());
                if !seen.insert(hash.as_bytes().first_chunk::<8>().copied()) {
                    continue;
                }
                kept.insert((letter.at().unwrap_or_default(), letter.id.clone()), letter);
                if kept.len() > look.most {
                    match look.order {
                        Order::NewestFirst => drop(kept.pop_first()),
                        Order::OldestFirst => drop(kept.pop_last()),
                    }
                }
            }
        }
        let letters = match look.order {
            Order::NewestFirst => kept.into_values().rev().collect(),
            Order::OldestFirst => kept.into_values().collect(),
        };
        Ok(Listed { letters, count: seen.len(), cut })
    }

    /// One of them.
    pub async fn one(&self, id: &str) -> Result<Option<DeadLetter>, DeadLettersError> {
        let selection = Selection { ids: HashSet::from([id.to_owned()]), all: true, ..Selection::default() };
        let mut pass = self.pass(Reading { selection, whole: true, ..Reading::default() });
        Ok(pass.next().await?.and_then(|found| found.into_iter().next()))
    }

    fn reader(&self) -> Reader {
        Reader::new(&self.settings.connection)
    }

    fn pass(&self, reading: Reading) -> Pass {
        Pass::begin(Arc::clone(&self.store), self.reader(), self.topic().to_owned(), reading)
    }
}
