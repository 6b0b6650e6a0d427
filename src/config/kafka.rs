//! Settings of events: which brokers, which topics, how patient, and what is told.

use std::time::Duration;

use secrecy::SecretString;

use super::reader::Reader;

/// Everything about Kafka. Without brokers there are no events.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// How to reach the brokers.
    pub connection: KafkaConnection,
    /// The consumer group.
    pub group: String,
    /// Topics of node requests, as a regular expression for the whole name.
    pub topics: String,
    /// Topics of catalogue records, likewise.
    pub catalogue_topics: String,
    /// This member's lasting name in the group.
    pub instance: Option<String>,
    /// Where dead letters go.
    pub dead_letters: String,
    /// What follows a topic's name in the name of its status topic.
    pub status_suffix: String,
    /// Messages that are held at once.
    pub in_flight: usize,
    /// Messages of one transaction.
    pub batch: usize,
    /// Tries of a message that may succeed another time.
    pub tries: u32,
    /// Upper bound of the first random wait between two; doubles each time.
    pub backoff: Duration,
    /// A message with the key and the content of another is the same one, if it was sent within this time of it; `None` =
    /// one with its key is.
    pub duplicate_window: Option<Duration>,
    /// How long a message to be published is its process' own without a sign of life.
    pub lease: Duration,
    /// How long finished jobs and published messages are kept.
    pub keep: Duration,
    /// Groups that nobody has made are made by their first message.
    pub make_groups: bool,
    /// Entries of a list in a status message.
    pub list_cap: usize,
    /// How often progress of a file is told; `None` = never.
    pub progress: Option<Duration>,
    /// Where `parser consume` answers probes.
    pub listen: Option<std::net::SocketAddr>,
    /// What status messages put before their links.
    pub link: Option<String>,
}

/// How to reach the brokers.
#[derive(Debug, Clone, Default)]
pub struct KafkaConnection {
    /// `host:port,…`; empty = none.
    pub brokers: String,
    /// librdkafka's names and values, those of our own settings first.
    pub properties: Vec<(String, String)>,
    /// The same, for values that nobody may see.
    pub secrets: Vec<(String, SecretString)>,
}

impl KafkaSettings {
    /// Secret texts, for the redaction of logs.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.connection.secrets.iter().map(|(_, secret)| secret)
    }

    /// Topics that are never consumed, whatever the patterns match: regular expressions for the whole name. What we tell
    /// would become a request, and what is told of that another one.
    pub fn never_consumed(&self) -> Vec<String> {
        let plain = |name: &str| name.replace('.', "[.]");
        vec![plain(&self.dead_letters), format!(".*{}", plain(&self.status_suffix))]
    }
}

/// Properties that are ours: another value would lose messages or do work twice.
const OURS: &[&str] = &[
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "group.id",
    "bootstrap.servers",
    "metadata.broker.list",
    "enable.partition.eof",
    // How long a message may be on its way decides when another process may look for it.
    "message.timeout.ms",
    "delivery.timeout.ms",
    "transactional.id",
];

pub(super) fn read(reader: &mut Reader<'_>) -> KafkaSettings {
    let group = reader.text("KAFKA_GROUP").unwrap_or_default();
    let dead_letters = reader.text("KAFKA_DEAD_LETTER_TOPIC").unwrap_or_else(|| format!("{group}-dlq"));
    let topics = pattern(reader, "KAFKA_TOPICS");
    let catalogue_topics = pattern(reader, "KAFKA_CATALOGUE_TOPICS");
    for (name, pattern) in [("KAFKA_TOPICS", &topics), ("KAFKA_CATALOGUE_TOPICS", &catalogue_topics)] {
        if matches(pattern, &dead_letters) {
            reader.fault(
                name,
                format!(
                    "`{pattern}` matches the dead-letter topic `{dead_letters}`: each dead letter would make another"
                ),
                Some("name the topics of requests more closely, for example `.*-users`"),
            );
        }
    }
    let status_suffix = reader.text("KAFKA_STATUS_SUFFIX").unwrap_or_default();
    for (name, text) in
        [("KAFKA_GROUP", &group), ("KAFKA_DEAD_LETTER_TOPIC", &dead_letters), ("KAFKA_STATUS_SUFFIX", &status_suffix)]
    {
        if !is_name(text) {
            reader.fault(
                name,
                format!("`{text}` is not a name"),
                Some("letters, digits, `.`, `_` and `-`, at most 249"),
            );
        }
    }
    let progress = reader.text("KAFKA_PROGRESS_SECONDS").is_some().then(|| reader.seconds("KAFKA_PROGRESS_SECONDS"));
    let listen = reader.text("CONSUME_LISTEN").is_some().then(|| reader.listen("CONSUME_LISTEN")).flatten();
    // Checked whether it counts or not.
    let window = Duration::from_secs(reader.number("KAFKA_DUPLICATE_WINDOW_SECONDS", 0..=31_536_000).into());
    let compared = reader.choice("KAFKA_SAME_KEY", &[("compare", true), ("duplicate", false)]).unwrap_or(true);
    let duplicate_window = compared.then_some(window);
    KafkaSettings {
        connection: connection(reader),
        topics,
        catalogue_topics,
        instance: reader.text("KAFKA_INSTANCE_ID"),
        dead_letters,
        status_suffix,
        in_flight: count(reader.number("KAFKA_MAX_IN_FLIGHT", 1..=100_000)),
        batch: count(reader.number("KAFKA_BATCH", 1..=10_000)),
        tries: reader.number("KAFKA_TRIES", 1..=20),
        backoff: reader.seconds("KAFKA_BACKOFF_SECONDS"),
        duplicate_window,
        lease: reader.seconds("KAFKA_LEASE_SECONDS"),
        keep: Duration::from_secs(u64::from(reader.number("KAFKA_KEEP_DAYS", 1..=3650)) * 86_400),
        make_groups: reader.choice("KAFKA_UNKNOWN_GROUPS", &[("refuse", false), ("create", true)]).unwrap_or(false),
        list_cap: count(reader.number("KAFKA_STATUS_LIST", 0..=100_000)),
        progress,
        listen,
        link: reader.url("PUBLIC_URL").map(|url| url.as_str().trim_end_matches('/').to_owned()),
        group,
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A topic's name, and what else becomes a part of one.
fn is_name(text: &str) -> bool {
    (1..=249).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Does a pattern match the whole name of a topic? One that only the client understands is the client's to judge, and
/// keeps away from that topic all the same.
#[cfg(feature = "kafka")]
fn matches(pattern: &str, topic: &str) -> bool {
    regex::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|pattern| pattern.is_match(topic))
}

/// Without events nothing is consumed.
#[cfg(not(feature = "kafka"))]
fn matches(_: &str, _: &str) -> bool {
    false
}

/// Brackets that match and no line ends; the client says no to the rest.
fn pattern(reader: &mut Reader<'_>, name: &'static str) -> String {
    let text = reader.text(name).unwrap_or_default();
    if text.contains(char::is_whitespace) || text.matches('(').count() != text.matches(')').count() {
        reader.fault(name, format!("`{text}` is not a regular expression"), Some("for example `.*-users`"));
    }
    text
}

/// The parts between commas; a comma behind a backslash is a part of its value.
fn pairs(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut pieces = text.split(',').peekable();
    while let Some(piece) = pieces.next() {
        let Some(last) = parts.last_mut() else { continue };
        last.push_str(piece);
        if last.ends_with('\\') && pieces.peek().is_some() {
            last.pop();
            last.push(',');
        } else {
            parts.push(String::new());
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn connection(reader: &mut Reader<'_>) -> KafkaConnection {
    let mut properties = Vec::new();
    for (name, property) in [
        ("KAFKA_SECURITY_PROTOCOL", "security.protocol"),
        ("KAFKA_SASL_MECHANISM", "sasl.mechanism"),
        ("KAFKA_SASL_USERNAME", "sasl.username"),
        ("KAFKA_SSL_CA_LOCATION", "ssl.ca.location"),
        ("KAFKA_SSL_CERTIFICATE_LOCATION", "ssl.certificate.location"),
        ("KAFKA_SSL_KEY_LOCATION", "ssl.key.location"),
    ] {
        properties.extend(reader.text(name).map(|value| (property.to_owned(), value)));
    }
    let mut secrets = Vec::new();
    for (name, property) in [("KAFKA_SASL_PASSWORD", "sasl.password"), ("KAFKA_SSL_KEY_PASSWORD", "ssl.key.password")] {
        secrets.extend(reader.secret(name).map(|secret| (property.to_owned(), secret)));
    }
    let text = reader.text("KAFKA_PROPERTIES").unwrap_or_default();
    for pair in pairs(&text) {
        let Some((name, value)) = pair.split_once('=').map(|(name, value)| (name.trim(), value.trim())) else {
            // The text may hold a secret.
            reader.fault("KAFKA_PROPERTIES", "an entry is not `name=value`", Some("`session.timeout.ms=6000,…`"));
            continue;
        };
        if OURS.contains(&name) {
            let why = "it is the program's own: another value would lose messages or do work twice";
            reader.fault("KAFKA_PROPERTIES", format!("`{name}` cannot be set"), Some(why));
        } else if ["password", "secret", "pem", "oauthbearer.config"].iter().any(|word| name.contains(word)) {
            secrets.push((name.to_owned(), value.to_owned().into()));
        } else {
            properties.push((name.to_owned(), value.to_owned()));
        }
    }
    KafkaConnection { brokers: reader.text("KAFKA_BROKERS").unwrap_or_default(), properties, secrets }
}

#[cfg(test)]
mod tests {
    use super::super::reader::Reader;
    use crate::config::Layers;

    fn read(pairs: &[(&str, &str)]) -> (super::KafkaSettings, Vec<String>) {
        let layers = Layers::from_environment(pairs.iter().copied());
        let mut reader = Reader::new(&layers);
        let settings = super::read(&mut reader);
        (settings, reader.faults.iter().map(|fault| format!("{} {}", fault.name, fault.problem)).collect())
    }

    #[test]
    fn properties_pass_through_and_secrets_stay_secret() {
        let (settings, faults) = read(&[
            ("KAFKA_BROKERS", "a:1,b:2"),
            ("KAFKA_SASL_PASSWORD", "S3CRET"),
            ("KAFKA_PROPERTIES", "session.timeout.ms=6000, sasl.oauthbearer.client.secret=HIDDEN"),
        ]);
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(settings.connection.properties, [("session.timeout.ms".to_owned(), "6000".to_owned())]);
        assert_eq!(settings.dead_letters, "parser-dlq");
        let shown = format!("{settings:?}");
        assert!(!shown.contains("S3CRET") && !shown.contains("HIDDEN"), "{shown}");
    }

    #[test]
    fn a_comma_behind_a_backslash_belongs_to_the_value() {
        let (settings, faults) = read(&[("KAFKA_PROPERTIES", "debug=cgrp\\,topic , client.rack=a\\\\b,,x=1")]);
        assert_eq!(faults, Vec::<String>::new());
        let expected = [("debug", "cgrp,topic"), ("client.rack", "a\\\\b"), ("x", "1")];
        assert_eq!(settings.connection.properties, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_decides_how_long_a_message_is_on_its_way_is_ours() {
        let given = "message.timeout.ms=1,delivery.timeout.ms=1,transactional.id=x,linger.ms=9";
        let (settings, faults) = read(&[("KAFKA_PROPERTIES", given)]);
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert_eq!(settings.connection.properties, [("linger.ms".to_owned(), "9".to_owned())]);
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn what_is_told_is_never_consumed() {
        let (_, faults) = read(&[("KAFKA_TOPICS", ".*"), ("KAFKA_CATALOGUE_TOPICS", "x|parser-d.q")]);
        let matching: Vec<_> = faults.iter().filter(|fault| fault.contains("matches the dead-letter topic")).collect();
        assert_eq!(matching.len(), 2, "{faults:?}");
        let (settings, faults) = read(&[("KAFKA_TOPICS", "parser.*"), ("KAFKA_DEAD_LETTER_TOPIC", "dead.letters")]);
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(settings.never_consumed(), ["dead[.]letters", ".*-transfer-job-status-retrieval"]);
    }

    #[test]
    fn what_would_lose_messages_is_refused() {
        let (_, faults) = read(&[("KAFKA_PROPERTIES", "enable.auto.commit=true,x"), ("KAFKA_GROUP", "a b")]);
        assert_eq!(
            faults,
            [
                "KAFKA_GROUP `a b` is not a name",
                "KAFKA_DEAD_LETTER_TOPIC `a b-dlq` is not a name",
                "KAFKA_PROPERTIES `enable.auto.commit` cannot be set",
                "KAFKA_PROPERTIES an entry is not `name=value`"
            ]
        );
    }
}
