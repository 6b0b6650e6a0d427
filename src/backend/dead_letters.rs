//! Dead letters: looked at, replayed, discarded.
//!
//! They are a topic, so that other tools see them, too. A topic cannot lose a single message: what somebody has dealt
//! with is remembered in the store, by the letter's id (the job's, or its place in the topic if somebody else wrote it).
//! A replay goes to the original topic with two headers more: which letter it is and how often it has been replayed. By
//! these it is told from every other message, so a replay that is sent twice, because a crash came between sending and
//! remembering, is done once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{BrokerError, Header, Message, Next, Outgoing, Producer, Reader};
use crate::config::KafkaSettings;
use crate::error::{Fault, Party, Severity};
use crate::store::messages::{self, Settled};
use crate::store::sqlite::CrashPoints;
use crate::store::{Store, StoreError};

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
    fn new(message: Message, settled: &HashMap<String, Settled>) -> Self {
        let position = &message.position;
        let place = || format!("{}/{}", position.partition, position.offset);
        let id = message.header(JOB_ID).map_or_else(place, str::to_owned);
        Self { settled: settled.get(&id).copied(), id, message }
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
        let time = self.message.header(TIME).and_then(|time| time.parse::<jiff::Timestamp>().ok());
        time.map(jiff::Timestamp::as_millisecond).or(self.message.sent_at)
    }

    /// The message as it goes to its topic again.
    fn again(&self) -> Option<Outgoing> {
        let ours =
            |name: &str| name.starts_with(CONTEXT) || [JOB_ID, ATTEMPTS, TIME, REPLAY_OF, REPLAYS].contains(&name);
        let mut headers: Vec<Header> = self.message.headers.iter().filter(|(name, _)| !ours(name)).cloned().collect();
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

/// Which dead letters.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only those whose reason matches.
    pub reason: Option<regex::Regex>,
    /// Only those that were given up since, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Only these; empty = all.
    pub ids: Vec<String>,
    /// None of these.
    pub but: HashSet<String>,
    /// Only those that were given up until then.
    pub until: Option<i64>,
    /// Also those that are dealt with.
    pub all: bool,
}

/// A time, a date or a span before now (`90m`, `24h`, `7d`), in milliseconds since 1970; or what is wrong with it.
pub fn moment(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is neither a time, nor a date, nor a span like `90m`");
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.as_millisecond());
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        let at = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
        return Ok(at.timestamp().as_millisecond());
    }
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: i64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let span = count.checked_mul(seconds * 1000).filter(|span| *span >= 0).ok_or_else(wrong)?;
    Ok(jiff::Timestamp::now().as_millisecond().saturating_sub(span))
}

/// In which order, and so which of too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The newest.
    NewestFirst,
    /// The oldest.
    OldestFirst,
}

impl Selection {
    fn takes(&self, letter: &DeadLetter) -> bool {
        (self.all || letter.settled.is_none())
            && (self.ids.is_empty() || self.ids.contains(&letter.id))
            && !self.but.contains(&letter.id)
            && self.since.is_none_or(|since| letter.at().is_none_or(|at| at >= since))
            && self.until.is_none_or(|until| letter.at().is_none_or(|at| at <= until))
            && self.reason.as_ref().is_none_or(|pattern| pattern.is_match(&letter.reason()))
    }
}

/// What became of a selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Ids of those that are dealt with now.
    pub done: Vec<String>,
    /// Those that could not be, with the reason.
    pub failed: Vec<(String, String)>,
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

    /// Some of a selection, at most so many; and how many there are in all.
    pub async fn list(
        &self,
        selection: &Selection,
        most: usize,
        order: Order,
    ) -> Result<(Vec<DeadLetter>, usize), DeadLettersError> {
        let settled = self.store.read(messages::settled).await?;
        let reader = Reader::new(&self.settings.connection);
        let (topic, selection) = (self.settings.dead_letters.clone(), selection.clone());
        let read = tokio::task::spawn_blocking(move || {
            // What is kept stays sorted and bounded, however long the topic is.
            let mut kept: BTreeMap<(i64, String), DeadLetter> = BTreeMap::new();
            let (mut count, mut seen) = (0, HashSet::new());
            let read = reader.read(&topic, &BTreeMap::new(), |message| {
                let letter = DeadLetter::new(message, &settled);
                if selection.takes(&letter) && seen.insert(blake3::hash(letter.id.as_bytes())) {
                    count += 1;
                    kept.insert((letter.at().unwrap_or_default(), letter.id.clone()), letter);
                    if kept.len() > most {
                        match order {
                            Order::NewestFirst => drop(kept.pop_first()),
                            Order::OldestFirst => drop(kept.pop_last()),
                        }
                    }
                }
                Next::More
            });
            read.map(|()| match order {
                Order::NewestFirst => (kept.into_values().rev().collect(), count),
                Order::OldestFirst => (kept.into_values().collect(), count),
            })
        });
        Ok(read.await.map_err(|error| BrokerError::own(error.to_string()))??)
    }

    /// One of them.
    pub async fn one(&self, id: &str) -> Result<Option<DeadLetter>, DeadLettersError> {
        let selection = Selection { ids: vec![id.to_owned()], all: true, ..Selection::default() };
        Ok(self.list(&selection, 1, Order::NewestFirst).await?.0.into_iter().next())
    }

    /// Sends letters to the topics they came from, in the order in which they were given up.
    pub async fn replay(&self, letters: &[DeadLetter]) -> Result<Outcome, DeadLettersError> {
        let producer = Producer::new(&self.settings.connection, PATIENCE)?;
        let mut ordered: Vec<_> = letters.iter().collect();
        ordered.sort_by_key(|letter| (letter.at(), letter.message.position.clone()));
        let mut outcome = Outcome::default();
        for some in ordered.chunks(500) {
            let mut sent = Vec::new();
            for letter in some {
                let Some(again) = letter.again() else {
                    let why = "it does not say which topic it came from".to_owned();
                    outcome.failed.push((letter.id.clone(), why));
                    continue;
                };
                match producer.send(&again).await {
                    Ok(delivery) => sent.push((&letter.id, delivery)),
                    Err(error) => outcome.failed.push((letter.id.clone(), error.to_string())),
                }
            }
            let mut done = Vec::new();
            for (id, delivery) in sent {
                match delivery.await {
                    Ok(_) => done.push(id.clone()),
                    Err(error) => outcome.failed.push((id.clone(), error.to_string())),
                }
            }
            if let Err(error) = self.settle(&done, Settled::Replayed).await {
                // Whoever did the rest would know no better what of it is done. Sent once more, they are the same.
                let why = format!("sent again, but that cannot be remembered: {error}");
                outcome.failed.extend(done.into_iter().map(|id| (id, why.clone())));
                break;
            }
            outcome.done.append(&mut done);
        }
        Ok(outcome)
    }

    /// Gives letters up. They stay in the topic until that forgets them.
    pub async fn discard(&self, letters: &[DeadLetter]) -> Result<Outcome, DeadLettersError> {
        let ids: Vec<String> = letters.iter().map(|letter| letter.id.clone()).collect();
        self.settle(&ids, Settled::Discarded).await?;
        Ok(Outcome { done: ids, failed: Vec::new() })
    }

    async fn settle(&self, ids: &[String], action: Settled) -> Result<(), StoreError> {
        let ids = ids.to_vec();
        let now = jiff::Timestamp::now().as_millisecond();
        self.store.write(SETTLE, move |session| messages::settle(session, &ids, action, now)).await
    }
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn times_dates_and_spans_are_understood() {
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(1000));
        assert_eq!(moment("1970-01-02"), Ok(86_400_000));
        let now = jiff::Timestamp::now().as_millisecond();
        let span = moment("2h").unwrap();
        assert!((now - 7_200_000 - span).abs() < 60_000);
        for wrong in ["", "h", "-1h", "yesterday", "9999999999999999999d"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
