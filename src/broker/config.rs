//! Our settings as the client library takes them.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use secrecy::ExposeSecret as _;

use crate::config::KafkaConnection;

/// What every client has. What the settings pass through comes last, so that it wins over our defaults; those that
/// must not be changed are refused where settings are read, and set after this by whoever needs them.
pub(super) fn base(connection: &KafkaConnection, ours: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("metadata.broker.list", &connection.brokers).set("client.id", "parser");
    for (name, value) in ours {
        config.set(real(name), *value);
    }
    for (name, value) in &connection.properties {
        config.set(real(name), value);
    }
    for (name, secret) in &connection.secrets {
        config.set(real(name), secret.expose_secret());
    }
    config.set_log_level(RDKafkaLogLevel::Notice);
    config
}

/// Second names of properties, and the first ones. Under two names a property would be set twice, in no certain order.
const ALIASES: &[(&str, &str)] = &[
    ("acks", "request.required.acks"),
    ("bootstrap.servers", "metadata.broker.list"),
    ("compression.type", "compression.codec"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("retries", "message.send.max.retries"),
    ("sasl.mechanism", "sasl.mechanisms"),
    ("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"),
    ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"),
];

/// The name of a property that the client library knows it by.
pub(super) fn real(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, real)| real)
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
    "linger.ms",
    "message.send.max.retries",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "request.timeout.ms",
    "retries",
];

#[cfg(test)]
mod tests {
    use super::base;
    use crate::config::KafkaConnection;

    #[test]
    fn what_people_set_wins_under_whatever_name() {
        let properties = [("queue.buffering.max.ms", "7"), ("sasl.mechanism", "PLAIN"), ("sasl.mechanisms", "SCRAM")];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let connection = KafkaConnection { brokers: "a:1".to_owned(), properties, ..KafkaConnection::default() };
        let config = base(&connection, &[("linger.ms", "5"), ("compression.type", "lz4")]);
        let get = |name: &str| config.get(name);
        assert_eq!((get("queue.buffering.max.ms"), get("linger.ms")), (Some("7"), None));
        assert_eq!((get("compression.codec"), get("compression.type")), (Some("lz4"), None));
        assert_eq!((get("sasl.mechanisms"), get("sasl.mechanism")), (Some("SCRAM"), None));
        assert_eq!(get("metadata.broker.list"), Some("a:1"));
    }
}
