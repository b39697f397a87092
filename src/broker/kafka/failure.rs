use rskafka::client::error::{Error, ProtocolError, RequestError};

use super::finding::Trouble;
use crate::broker::LogError;

/// What a failed call to Kafka means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Goes away: a broker that restarts, a leader that moves, copies that are missing.
    Retry(String),
    /// Needs a person.
    Refuse(String),
    /// The offset is not in the log.
    OutOfRange,
    /// The batch is longer than the topic allows.
    TooLarge(String),
    /// What was fetched cannot be read by the client library.
    Unreadable(String),
}

impl From<Error> for Failure {
    /// The one place that says which of the client library's errors are worth another try. What it does not know is.
    fn from(error: Error) -> Self {
        let reason = error.to_string();
        match error {
            Error::Request(
                RequestError::ReadError(_)
                | RequestError::ReadVersionedError(_)
                | RequestError::TooMuchData { .. },
            )
            | Error::InvalidResponse(_) => Self::Unreadable(reason),
            Error::Request(RequestError::NoVersionMatch { .. }) => Self::Refuse(reason),
            Error::ServerError { protocol_error, .. } => Self::of_code(protocol_error),
            _ => Self::Retry(reason),
        }
    }
}

/// Even what is wrong with the set-up is tried again by who was let in before: a password that was changed and a
/// certificate that ran out are mended on the broker, and till then the log's health names them.
impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Retry(trouble.to_string())
    }
}

impl Failure {
    fn of_code(code: ProtocolError) -> Self {
        use ProtocolError as Code;
        let reason = format!("Kafka answers {code:?}");
        match code {
            Code::OffsetOutOfRange => Self::OutOfRange,
            Code::MessageTooLarge | Code::RecordListTooLarge => Self::TooLarge(reason),
            Code::UnsupportedCompressionType => Self::Unreadable(reason),
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSaslMechanism
            | Code::IllegalSaslState
            | Code::SecurityDisabled
            | Code::InvalidTopicException
            | Code::InvalidRequiredAcks
            | Code::InvalidTimestamp
            | Code::InvalidRecord
            | Code::InvalidRequest
            | Code::PolicyViolation
            | Code::UnsupportedVersion
            | Code::UnsupportedForMessageFormat => Self::Refuse(reason),
            // NotEnoughReplicas, NotEnoughReplicasAfterAppend, RequestTimedOut, KafkaStorageError, moved leaders, a
            // topic that is not there yet: the client library takes many of these for final.
            _ => Self::Retry(reason),
        }
    }

    /// The failure of a call for which no offset and no size are at stake.
    pub(super) fn into_log_error(self) -> LogError {
        match self {
            Self::Retry(reason) | Self::Unreadable(reason) => LogError::Unavailable(reason),
            Self::Refuse(reason) | Self::TooLarge(reason) => LogError::Fatal(reason),
            Self::OutOfRange => LogError::Unavailable("Kafka answers OffsetOutOfRange".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_transient_is_tried_again() {
        for code in [
            ProtocolError::NotEnoughReplicas,
            ProtocolError::NotEnoughReplicasAfterAppend,
            ProtocolError::RequestTimedOut,
            ProtocolError::KafkaStorageError,
            ProtocolError::NotLeaderOrFollower,
            ProtocolError::UnknownTopicOrPartition,
            ProtocolError::UnknownServerError,
        ] {
            let failure = Failure::of_code(code);
            assert!(matches!(failure, Failure::Retry(_)), "{code:?}: {failure:?}");
            assert!(matches!(failure.into_log_error(), LogError::Unavailable(_)));
        }
    }

    #[test]
    fn what_needs_a_person_is_refused() {
        for code in [
            ProtocolError::TopicAuthorizationFailed,
            ProtocolError::PolicyViolation,
        ] {
            assert!(matches!(
                Failure::of_code(code).into_log_error(),
                LogError::Fatal(_)
            ));
        }
        assert_eq!(
            Failure::of_code(ProtocolError::OffsetOutOfRange),
            Failure::OutOfRange
        );
        assert!(matches!(
            Failure::of_code(ProtocolError::UnsupportedCompressionType),
            Failure::Unreadable(_)
        ));
    }
}
