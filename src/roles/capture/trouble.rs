use metrics::counter;

use crate::broker::LogError;
use crate::store::sqlstate::{Failure, describe, failure_of};
use crate::telemetry::metric;

/// Why a worker stops what it does and begins anew.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Goes away by itself.
    Transient(String),
    /// The event log does not answer, which goes away by itself.
    LogAway(String),
    /// Somebody else owns the partition now.
    Fenced,
    /// Needs a person; nothing is lost meanwhile.
    Paused(String),
}

impl Trouble {
    /// Says nothing against the connection to PostgreSQL, nor against the lease that belongs to it.
    pub(super) fn leaves_the_lease(&self) -> bool {
        matches!(self, Self::LogAway(_) | Self::Paused(_))
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        let class = error.code().map_or("none", |code| &code.code()[..2]).to_owned();
        counter!(metric::CAPTURE_RETRIES_TOTAL, "class" => class).increment(1);
        match failure_of(&error) {
            Failure::Transient | Failure::Duplicate | Failure::MissingMonth => {
                Self::Transient(describe(&error))
            }
            Failure::Poison | Failure::Unknown => Self::Paused(describe(&error)),
        }
    }
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(reason) => Self::LogAway(format!("no answer from the event log: {reason}")),
            other => Self::Paused(other.to_string()),
        }
    }
}
