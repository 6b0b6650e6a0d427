//! Our settings as the client library takes them.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use secrecy::ExposeSecret as _;

use crate::config::KafkaConnection;

/// What every client has. What the settings pass through comes last, so that it wins over our defaults; those that
/// must not be changed are refused where settings are read, and set after this by whoever needs them.
pub(super) fn base(connection: &KafkaConnection, ours: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &connection.brokers).set("client.id", "parser");
    for (name, value) in ours {
        config.set(*name, *value);
    }
    for (name, value) in &connection.properties {
        config.set(name, value);
    }
    for (name, secret) in &connection.secrets {
        config.set(name, secret.expose_secret());
    }
    config.set_log_level(RDKafkaLogLevel::Notice);
    config
}

/// Properties that only one sort of client knows; the other would warn about them.
pub(super) fn without(connection: &KafkaConnection, unknown: &[&str]) -> KafkaConnection {
    let mut connection = connection.clone();
    connection.properties.retain(|(name, _)| !unknown.contains(&name.as_str()));
    connection
}

/// What only consumers understand, as far as people set it.
pub(super) const CONSUMERS_ONLY: &[&str] = &[
    "auto.offset.reset",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "heartbeat.interval.ms",
    "isolation.level",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "partition.assignment.strategy",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "session.timeout.ms",
];

/// What only producers understand.
pub(super) const PRODUCERS_ONLY: &[&str] = &[
    "batch.num.messages",
    "batch.size",
    "compression.codec",
    "compression.level",
    "compression.type",
    "delivery.timeout.ms",
    "linger.ms",
    "message.send.max.retries",
    "message.timeout.ms",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "request.timeout.ms",
    "retries",
];
