//! The rows of the settings' table about Kafka.

use super::registry::Section::Kafka;
use super::registry::{Setting, secret, setting};

/// In the order in which they are shown.
pub(super) const ROWS: &[Setting] = &[
    setting(Kafka, "KAFKA_BROKERS", "", "`host:port,…`. Empty = no events."),
    setting(Kafka, "KAFKA_GROUP", "parser", "The consumer group: its members share the work."),
    setting(
        Kafka,
        "KAFKA_TOPICS",
        ".*-users",
        "Topics of node requests: a regular expression for the whole name. Status and dead-letter topics are never consumed.",
    ),
    setting(Kafka, "KAFKA_CATALOGUE_TOPICS", ".*-catalogue", "Topics of catalogue records, likewise."),
    setting(
        Kafka,
        "KAFKA_INSTANCE_ID",
        "",
        "A lasting name of this process in the group (static membership): a restart within the session's time-out moves \
         no partition.",
    ),
    setting(Kafka, "KAFKA_SECURITY_PROTOCOL", "", "`plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`."),
    setting(Kafka, "KAFKA_SASL_MECHANISM", "", "`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`."),
    setting(Kafka, "KAFKA_SASL_USERNAME", "", "User."),
    secret(Kafka, "KAFKA_SASL_PASSWORD", "Its password."),
    setting(Kafka, "KAFKA_SSL_CA_LOCATION", "", "File or folder of the authorities to trust. Empty = the system's."),
    setting(Kafka, "KAFKA_SSL_CERTIFICATE_LOCATION", "", "This client's certificate, PEM."),
    setting(Kafka, "KAFKA_SSL_KEY_LOCATION", "", "Its key, PEM."),
    secret(Kafka, "KAFKA_SSL_KEY_PASSWORD", "The key's password."),
    secret(
        Kafka,
        "KAFKA_PROPERTIES",
        "`name=value,…` under librdkafka's names, for whatever has no setting of its own. `\\,` is a comma in a value.",
    ),
    setting(Kafka, "KAFKA_DEAD_LETTER_TOPIC", "", "Where dead letters go. Empty = the group's name and `-dlq`."),
    setting(
        Kafka,
        "KAFKA_STATUS_SUFFIX",
        "-transfer-job-status-retrieval",
        "What follows the name of a topic in the name of its status topic.",
    ),
    setting(Kafka, "KAFKA_MAX_IN_FLIGHT", "2000", "Messages that a process holds at once."),
    setting(Kafka, "KAFKA_BATCH", "500", "Messages of one partition that go into one transaction at most."),
    setting(Kafka, "KAFKA_TRIES", "3", "Tries of a message that may succeed another time, before it is a dead letter."),
    setting(
        Kafka,
        "KAFKA_BACKOFF_SECONDS",
        "1",
        "Upper bound of the first random wait between two tries; doubles each time.",
    ),
    setting(
        Kafka,
        "KAFKA_SAME_KEY",
        "compare",
        "A message with the key of the last one of its topic is a duplicate: `compare` = if both say the same, within \
         `KAFKA_DUPLICATE_WINDOW_SECONDS`; `duplicate` = whatever it says, for as long as jobs are remembered.",
    ),
    setting(
        Kafka,
        "KAFKA_DUPLICATE_WINDOW_SECONDS",
        "3600",
        "A message that says the same as the last one of its topic and key is a duplicate if it was sent within this time of \
         it. 0 = only the same message delivered again.",
    ),
    setting(
        Kafka,
        "KAFKA_LEASE_SECONDS",
        "30",
        "After so long without a sign of life of its process, others publish what it had to tell.",
    ),
    setting(Kafka, "KAFKA_KEEP_DAYS", "7", "How long finished jobs of messages are remembered."),
    setting(
        Kafka,
        "KAFKA_UNKNOWN_GROUPS",
        "refuse",
        "`refuse` messages for groups that are not there (they become dead letters; `parser groups add` makes a group), or \
         `create` a group with its first message.",
    ),
    setting(Kafka, "KAFKA_STATUS_LIST", "100", "Ids in each list of a status message at most."),
    setting(Kafka, "KAFKA_PROGRESS_SECONDS", "", "How often the progress of a file is told. Empty = only its end."),
    setting(
        Kafka,
        "CONSUME_LISTEN",
        "",
        "Where `parser consume` answers `/metrics`, `/healthz` and `/readyz`. Empty = nowhere.",
    ),
];
