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
    /// The topic does not take a record of the batch, which is too long or not valid to it, or the batch as a whole.
    BadRecord(String),
}

impl From<Error> for Failure {
    /// The one place that says which of the client library's errors are worth another try. What it does not know is.
    fn from(error: Error) -> Self {
        let reason = error.to_string();
        match error {
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
    pub(super) fn of_code(code: ProtocolError) -> Self {
        use ProtocolError as Code;
        let reason = format!("Kafka answers {code:?}");
        match code {
            Code::OffsetOutOfRange => Self::OutOfRange,
            Code::MessageTooLarge | Code::RecordListTooLarge | Code::InvalidRecord => Self::BadRecord(reason),
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSaslMechanism
            | Code::IllegalSaslState
            | Code::SecurityDisabled
            | Code::InvalidTopicException
            | Code::InvalidRequiredAcks
            | Code::InvalidTimestamp
            | Code::InvalidRequest
            | Code::PolicyViolation
            | Code::UnsupportedVersion
            | Code::UnsupportedForMessageFormat => Self::Refuse(reason),
            // NotEnoughReplicas, NotEnoughReplicasAfterAppend, RequestTimedOut, KafkaStorageError, moved leaders, a
            // topic that is not there yet: the client library takes many of these for final.
            _ => Self::Retry(reason),
        }
    }

    /// The failure of an append. What needs a person is mended outside as well, and the events wait meanwhile.
    pub(super) fn into_append_error(self) -> LogError {
        match self {
            Self::Refuse(reason) => LogError::Unavailable(reason),
            other => other.into_log_error(),
        }
    }

    /// The failure of a call for which no offset is at stake.
    pub(super) fn into_log_error(self) -> LogError {
        match self {
            Self::Retry(reason) => LogError::Unavailable(reason),
            Self::BadRecord(reason) => LogError::BadRecord(reason),
            Self::Refuse(reason) => LogError::Fatal(reason),
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
            let failure = Failure::of_code(code);
            assert!(matches!(failure.clone().into_log_error(), LogError::Fatal(_)));
            assert!(matches!(failure.into_append_error(), LogError::Unavailable(_)));
        }
        for code in [ProtocolError::MessageTooLarge, ProtocolError::InvalidRecord] {
            assert!(matches!(
                Failure::of_code(code).into_log_error(),
                LogError::BadRecord(_)
            ));
        }
        assert_eq!(
            Failure::of_code(ProtocolError::OffsetOutOfRange),
            Failure::OutOfRange
        );
    }
}
