//! What the client library tells in passing: logs, errors, statistics.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;

use crate::observe::kafka as events;

/// For clients that need nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Telling;

pub(super) fn log(level: RDKafkaLogLevel, facility: &str, text: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            events::client_said("error", facility, text);
        }
        RDKafkaLogLevel::Warning => events::client_said("warn", facility, text),
        _ => events::client_said("debug", facility, text),
    }
}

pub(super) fn error(error: &KafkaError, reason: &str) {
    use rdkafka::error::RDKafkaErrorCode as Code;
    // The end of a partition is no error, and topics that are not there yet are waited for.
    if matches!(
        error.rdkafka_error_code(),
        Some(Code::PartitionEOF | Code::UnknownTopic | Code::UnknownTopicOrPartition)
    ) {
        return;
    }
    events::broker_failed(&super::BrokerError::from(error.clone()).to_string(), reason);
}

impl ClientContext for Telling {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log(level, facility, text);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, kafka: KafkaError, reason: &str) {
        error(&kafka, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for Telling {}
