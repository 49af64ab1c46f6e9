//! What a failure is called by scripts: the exit code, and one line for people.

use andon::config::tenant::SpecError;
use andon::config::{ConfigError, EXIT_BAD_CONFIG};
use andon::kafka::producer::ProduceError;
use andon::kafka::registry::RegistryError;
use andon::kafka::topics::AdminError;
use andon::store::StoreError;
use andon::watch::log::LogError;
use rdkafka::types::RDKafkaErrorCode;

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;
const UNREACHABLE: u8 = 69;

/// Arguments that fit their types and make no sense together, or with what is there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub String);

/// The exit code for an error, told by the types in its chain.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(FAILED)
}

fn code_of(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if cause.is::<ConfigError>() || cause.is::<SpecError>() {
        return Some(EXIT_BAD_CONFIG);
    }
    if cause.is::<WrongUsage>() {
        return Some(WRONG_USAGE);
    }
    if let Some(LogError::Filter { .. }) = cause.downcast_ref() {
        return Some(EXIT_BAD_CONFIG);
    }
    match cause.downcast_ref() {
        Some(StoreError::Transient(_)) => return Some(UNREACHABLE),
        Some(StoreError::Address { .. } | StoreError::Spec(_)) => return Some(EXIT_BAD_CONFIG),
        _ => {}
    }
    let kafka = match cause.downcast_ref() {
        Some(AdminError::Kafka { cause, .. }) => cause.rdkafka_error_code(),
        Some(AdminError::Topic { cause, .. }) => Some(*cause),
        _ => None,
    };
    let is_unreachable = kafka.is_some_and(is_unreachable)
        || matches!(cause.downcast_ref(), Some(ProduceError::Timeout(..)))
        || matches!(cause.downcast_ref(), Some(RegistryError::Unreachable(_)));
    is_unreachable.then_some(UNREACHABLE)
}

fn is_unreachable(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::MessageTimedOut
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::NetworkException
            | RDKafkaErrorCode::BrokerNotAvailable
    )
}

/// The chain in one line. Causes that the message before has told already are left out.
pub fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if message.contains(&cause) {
            continue;
        }
        // Some rooms' messages follow "failed to " themselves.
        let joint = if message.ends_with("failed to") { " " } else { ": " };
        if !message.is_empty() {
            message.push_str(joint);
        }
        message.push_str(&cause);
    }
    message
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn codes_go_by_the_type_wherever_it_is_in_the_chain() {
        let code = |error: anyhow::Error| exit_code(&error.context("failed to do something"));
        assert_eq!(code(anyhow!("anything")), 1);
        assert_eq!(code(WrongUsage("--lines 9".into()).into()), 2);
        assert_eq!(code(StoreError::Transient("connection refused".into()).into()), 69);
        assert_eq!(code(StoreError::Refused("access denied".into()).into()), 1);
        assert_eq!(code(SpecError::UnknownLine("l9".into()).into()), 64);
        let cause = rdkafka::error::KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure);
        assert_eq!(code(AdminError::Kafka { doing: "read topics".into(), cause }.into()), 69);
    }

    #[test]
    fn nothing_is_said_twice() {
        let error = anyhow::Error::from(StoreError::Spec(SpecError::UnknownLine("l9".into())));
        let told = message(&Err::<(), _>(error).context("failed to apply").unwrap_err());
        assert_eq!(told.matches("l9").count(), 1, "{told}");
        assert!(told.starts_with("failed to apply: "), "{told}");
    }
}
