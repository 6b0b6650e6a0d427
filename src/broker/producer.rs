//! Writes messages: idempotent, acknowledged by all replicas that are in step, each with an answer of its own.

use std::future::Future;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as Sent, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};

use super::context::Telling;
use super::message::{Outgoing, Partition, Position};
use super::{BrokerError, config};
use crate::config::KafkaConnection;
use crate::observe::kafka as events;

/// How often a full queue is looked at again.
const FULL: Duration = Duration::from_millis(20);

/// Longest wait for a topic to be made.
const MAKING: Duration = Duration::from_secs(10);

/// A producer. Cheap to clone.
#[derive(Clone)]
pub struct Producer {
    inner: FutureProducer<Telling>,
    connection: KafkaConnection,
    /// Bytes of its queue.
    queue: usize,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("brokers", &self.connection.brokers).finish_non_exhaustive()
    }
}

impl Producer {
    /// A producer that gives a message up after `patience`: once that is over, it is certain that it will not be
    /// written any more.
    pub fn new(connection: &KafkaConnection, patience: Duration) -> Result<Self, BrokerError> {
        let patience = patience.as_millis();
        // A connection that has gone silent must not outlive what was sent by it.
        let silence = patience.clamp(1000, 60_000).to_string();
        // A topic that is not there must be known to be so long before that: only then it is made.
        let unknown = (patience / 4).clamp(200, 5000).to_string();
        let patience = patience.to_string();
        let mut config = config::base(
            &config::without(connection, config::CONSUMERS_ONLY),
            &[
                ("compression.type", "lz4"),
                ("linger.ms", "5"),
                ("socket.timeout.ms", &silence),
                ("topic.metadata.propagation.max.ms", &unknown),
                // The partition of a key is the one that Java's producers choose.
                ("partitioner", "murmur2_random"),
                ("queue.buffering.max.messages", "20000"),
                // More than a consumer takes, so that all that came in can go to the dead letters: what is too large is the
                // broker's to say.
                ("queue.buffering.max.kbytes", "102400"),
                ("message.max.bytes", "1000000000"),
                ("topic.metadata.refresh.interval.ms", "60000"),
            ],
        );
        config.set("enable.idempotence", "true").set(config::real("acks"), "all").set("message.timeout.ms", patience);
        let queue = config.get("queue.buffering.max.kbytes").and_then(|size| size.parse::<usize>().ok());
        let inner: FutureProducer<Telling> = config.create_with_context(Telling)?;
        let queue = queue.map_or(usize::MAX, |size| size.saturating_mul(1024));
        Ok(Self { inner, connection: connection.clone(), queue })
    }

    /// Gives a message to the client, waiting while its queue is full; what it returns is ready when all replicas
    /// have it. Messages are written in the order in which they are given.
    pub async fn send(
        &self,
        message: &Outgoing,
    ) -> Result<impl Future<Output = Result<Position, BrokerError>> + Send + use<>, BrokerError> {
        if message.value.as_ref().is_some_and(|value| value.len() > self.queue) {
            // Its queue would be "full" for ever.
            return Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge).into());
        }
        let mut headers = OwnedHeaders::new_with_capacity(message.headers.len());
        for (name, value) in &message.headers {
            headers = headers.insert(Sent { key: name, value: value.as_deref() });
        }
        let record = |headers: OwnedHeaders| {
            let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&message.topic).headers(headers);
            record.key = message.key.as_deref();
            record.payload = message.value.as_deref();
            record.timestamp = message.sent_at;
            record
        };
        let mut next = record(headers);
        let delivery = loop {
            match self.inner.send_result(next) {
                Ok(delivery) => break delivery,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => next = back,
                Err((error, _)) => return Err(error.into()),
            }
            tokio::time::sleep(FULL).await;
        };
        let topic = message.topic.clone();
        Ok(async move {
            match delivery.await {
                Ok(Ok(at)) => Ok(Position { partition: Partition { topic, number: at.partition }, offset: at.offset }),
                Ok(Err((error, _))) => Err(error.into()),
                Err(_) => Err(BrokerError::new("the producer has been closed")),
            }
        })
    }

    /// Makes a topic, with the broker's defaults, where brokers do not make topics by themselves, and waits until this
    /// producer knows it.
    pub async fn make_topic(&self, topic: &str) -> Result<(), BrokerError> {
        let connection =
            config::without(&config::without(&self.connection, config::CONSUMERS_ONLY), config::PRODUCERS_ONLY);
        let client: AdminClient<Telling> = config::base(&connection, &[]).create_with_context(Telling)?;
        let options = AdminOptions::new().operation_timeout(Some(MAKING)).request_timeout(Some(MAKING));
        let topics = [NewTopic::new(topic, -1, TopicReplication::Fixed(-1))];
        for made in client.create_topics(&topics, &options).await? {
            match made {
                Ok(_) => events::topic_made(topic),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(KafkaError::AdminOp(code).into()),
            }
        }
        let (inner, topic) = (self.inner.clone(), topic.to_owned());
        // It asks by itself only once a minute. If it does not learn of the topic now, what is sent fails once more.
        let _ = tokio::task::spawn_blocking(move || {
            let end = Instant::now() + MAKING;
            while Instant::now() < end {
                let told = inner.client().fetch_metadata(Some(&topic), MAKING);
                if told.is_ok_and(|told| told.topics().iter().any(|known| known.error().is_none())) {
                    return;
                }
                std::thread::sleep(FULL);
            }
        })
        .await;
        Ok(())
    }

    /// Waits until nothing is on its way, at most so long.
    pub async fn finish(&self, patience: Duration) {
        let inner = self.inner.clone();
        // What is still on its way then is given up by the client; its answers say so.
        let _ = tokio::task::spawn_blocking(move || inner.flush(patience)).await;
    }
}
