//! What brokers refuse, and what that means.

use std::borrow::Cow;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error::{Fault, Party, Severity};

/// A broker, or the way to it, failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("Kafka: {text}")]
pub struct BrokerError {
    text: String,
    code: Option<RDKafkaErrorCode>,
    /// A setting cannot be used.
    setting: bool,
}

impl BrokerError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: None, setting: false }
    }

    /// Something that no broker is to blame for.
    pub fn own(text: impl Into<String>) -> Self {
        Self::new(text)
    }

    /// Waiting does not help: a person has to change something.
    pub fn is_hopeless(&self) -> bool {
        use RDKafkaErrorCode as Code;
        matches!(
            self.code,
            Some(
                Code::Authentication
                    | Code::SaslAuthenticationFailed
                    | Code::GroupAuthorizationFailed
                    | Code::Fatal
                    | Code::FencedInstanceId
                    | Code::InconsistentGroupProtocol
            )
        )
    }

    /// The topic does not exist, as far as the broker knows.
    pub fn is_unknown_topic(&self) -> bool {
        matches!(self.code, Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition))
    }

    /// The producer is of no use any more: the broker has lost or replaced its identity. Another one has to be made.
    pub fn spoils_producer(&self) -> bool {
        use RDKafkaErrorCode as Code;
        matches!(
            self.code,
            Some(
                Code::Fatal
                    | Code::Fenced
                    | Code::ProducerFenced
                    | Code::InvalidProducerEpoch
                    | Code::UnknownProducerId
                    | Code::OutOfOrderSequenceNumber
                    | Code::InvalidProducerIdMapping
            )
        )
    }

    /// The broker will never take this message.
    pub fn refuses_message(&self) -> bool {
        use RDKafkaErrorCode as Code;
        matches!(
            self.code,
            Some(
                Code::MessageSizeTooLarge
                    | Code::InvalidMessage
                    | Code::InvalidMessageSize
                    | Code::InvalidTimestamp
                    | Code::InvalidRecord
                    | Code::InvalidTopic
                    | Code::PolicyViolation
                    | Code::TopicAuthorizationFailed
            )
        )
    }
}

impl From<KafkaError> for BrokerError {
    fn from(error: KafkaError) -> Self {
        let text = match &error {
            // The value may be a secret.
            KafkaError::ClientConfig(_, reason, name, _) => format!("the property `{name}` cannot be used: {reason}"),
            KafkaError::ClientCreation(reason) => reason.clone(),
            error => match error.rdkafka_error_code() {
                Some(code) => code.to_string(),
                None => error.to_string(),
            },
        };
        let setting = matches!(error, KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_));
        let code = error.rdkafka_error_code().filter(|_| !setting);
        Self { text, code, setting }
    }
}

impl Fault for BrokerError {
    fn severity(&self) -> Severity {
        if self.code.is_none() || self.refuses_message() { Severity::Permanent } else { Severity::Transient }
    }

    fn party(&self) -> Party {
        if self.code.is_none() { Party::Usage } else { Party::Backend }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        use RDKafkaErrorCode as Code;
        if self.setting {
            return Some(Cow::Borrowed(
                "see KAFKA_SECURITY_PROTOCOL, the settings that begin with KAFKA_SSL and KAFKA_SASL, and KAFKA_PROPERTIES",
            ));
        }
        Some(Cow::Borrowed(match self.code? {
            Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve => {
                "is a broker running at KAFKA_BROKERS, and does it name an address that can be reached from here?"
            }
            Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
                "see KAFKA_SECURITY_PROTOCOL and the settings that begin with KAFKA_SASL"
            }
            Code::SSL => "see the settings that begin with KAFKA_SSL",
            Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed => {
                "the user needs to read the topics, to join the group, and to write to status and dead-letter topics"
            }
            Code::MessageSizeTooLarge => "raise `message.max.bytes` of the topic and in KAFKA_PROPERTIES",
            _ => return None,
        }))
    }
}
