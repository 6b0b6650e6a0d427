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

    /// Something that neither a broker nor a setting is to blame for.
    pub fn own(text: impl Into<String>) -> Self {
        Self::new(text)
    }

    /// A setting that cannot be used.
    pub fn of_setting(text: impl Into<String>) -> Self {
        Self { setting: true, ..Self::new(text) }
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

    /// The broker will never take this message. (What it takes once somebody has changed a permission or a policy is
    /// tried again.)
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
            )
        )
    }
}

impl From<KafkaError> for BrokerError {
    fn from(error: KafkaError) -> Self {
        let text = match &error {
            KafkaError::Subscription(reason) => format!("the topics cannot be subscribed to: {reason}"),
            // The value may be a secret.
            KafkaError::ClientConfig(_, reason, name, _) => format!("the property `{name}` cannot be used: {reason}"),
            KafkaError::ClientCreation(reason) => reason.clone(),
            error => match error.rdkafka_error_code() {
                Some(code) => code.to_string(),
                None => error.to_string(),
            },
        };
        let setting =
            matches!(error, KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Subscription(_));
        let code = error.rdkafka_error_code().filter(|_| !setting);
        Self { text, code, setting }
    }
}

impl Fault for BrokerError {
    fn severity(&self) -> Severity {
        if self.code.is_none() || self.refuses_message() { Severity::Permanent } else { Severity::Transient }
    }

    fn party(&self) -> Party {
        if self.setting { Party::Usage } else { Party::Backend }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        use RDKafkaErrorCode as Code;
        if self.setting {
            return Some(Cow::Borrowed(
                "see KAFKA_TOPICS, KAFKA_SECURITY_PROTOCOL, the settings that begin with KAFKA_SSL and KAFKA_SASL, and \
                 KAFKA_PROPERTIES",
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
            Code::MessageSizeTooLarge => "raise `max.message.bytes` of the topic or `message.max.bytes` of the broker",
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};

    use super::BrokerError;
    use crate::error::{Fault as _, Party};

    #[test]
    fn only_a_setting_is_the_fault_of_whoever_sets_it() {
        assert_eq!(BrokerError::own("work broke down").party(), Party::Backend);
        assert_eq!(BrokerError::of_setting("no regular expression").party(), Party::Usage);
        assert_eq!(BrokerError::from(KafkaError::Subscription("^(".to_owned())).party(), Party::Usage);
        let away = KafkaError::Global(RDKafkaErrorCode::AllBrokersDown);
        assert_eq!(BrokerError::from(away).party(), Party::Backend);
    }

    #[test]
    fn what_a_person_can_mend_is_no_refusal() {
        let refuses = |code| BrokerError::from(KafkaError::MessageProduction(code)).refuses_message();
        assert!(refuses(RDKafkaErrorCode::MessageSizeTooLarge));
        assert!(!refuses(RDKafkaErrorCode::TopicAuthorizationFailed));
        assert!(!refuses(RDKafkaErrorCode::PolicyViolation));
    }
}
