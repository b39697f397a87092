//! What a PostgreSQL error means for the one who got it.

use tokio_postgres::error::SqlState;

use super::tls;

/// The kinds of failure that capture tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Goes away by itself: an outage, a deadlock, a full disk. Retried for ever.
    Transient,
    /// A row with this id is there already (23505).
    Duplicate,
    /// The row's month has no partition (23514), or the partition is not there (42P01).
    MissingMonth,
    /// The data itself is at fault: classes 22, 23 and 54. The one guilty event is to be found.
    Poison,
    /// Nothing that is known: needs a person, and must not cost an event.
    Unknown,
}

/// Sorts an error; this is the only place that looks at SQLSTATE codes.
pub fn failure_of(error: &tokio_postgres::Error) -> Failure {
    match error.code() {
        Some(code) => failure_of_code(code),
        // The certificates of either side are mended outside, while this goes on trying.
        None if tls::explain(error).is_some() => Failure::Transient,
        None if is_connection_lost(error) => Failure::Transient,
        // The client's own complaint, such as a parameter of the wrong type.
        None => Failure::Unknown,
    }
}

/// Whether somebody else held a lock for too long, so that the same statement may work in a moment.
pub fn is_lock_contention(error: &tokio_postgres::Error) -> bool {
    let codes = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|code| codes.contains(code))
}

/// Whether there was no answer from the server: the connection broke, or could not be made.
fn is_connection_lost(error: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(error);
    error.is_closed() || source.is_some_and(|source| source.is::<std::io::Error>())
}

fn failure_of_code(code: &SqlState) -> Failure {
    match code.code() {
        "23505" => Failure::Duplicate,
        "23514" | "42P01" => Failure::MissingMonth,
        // 40: serialisation and deadlock. 53: out of disk, memory, connections. 57: shutting down, cancelled.
        // 58: an I/O error below PostgreSQL. 08: the connection. 55P03: lock_timeout. 25P0x: session timeouts.
        // 25006: read-only, as after a failover.
        code if ["40", "53", "57", "58", "08"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            Failure::Transient
        }
        "55P03" | "25P03" | "25P04" | "25006" => Failure::Transient,
        code if ["22", "23", "54"].iter().any(|class| code.starts_with(class)) => Failure::Poison,
        _ => Failure::Unknown,
    }
}

/// The message that people need: the server's own words with the code, or the client's.
pub fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(explained) = tls::explain(error) {
        return explained;
    }
    match error.as_db_error() {
        Some(db) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_are_transient_and_only_bad_data_is_poison() {
        for (code, failure) in [
            (SqlState::UNIQUE_VIOLATION, Failure::Duplicate),
            (SqlState::CHECK_VIOLATION, Failure::MissingMonth),
            (SqlState::UNDEFINED_TABLE, Failure::MissingMonth),
            (SqlState::T_R_DEADLOCK_DETECTED, Failure::Transient),
            (SqlState::T_R_SERIALIZATION_FAILURE, Failure::Transient),
            (SqlState::DISK_FULL, Failure::Transient),
            (SqlState::ADMIN_SHUTDOWN, Failure::Transient),
            (SqlState::CANNOT_CONNECT_NOW, Failure::Transient),
            (SqlState::QUERY_CANCELED, Failure::Transient),
            (SqlState::LOCK_NOT_AVAILABLE, Failure::Transient),
            (SqlState::UNTRANSLATABLE_CHARACTER, Failure::Poison),
            (SqlState::NUMERIC_VALUE_OUT_OF_RANGE, Failure::Poison),
            (SqlState::NOT_NULL_VIOLATION, Failure::Poison),
            (SqlState::PROGRAM_LIMIT_EXCEEDED, Failure::Poison),
            (SqlState::STATEMENT_TOO_COMPLEX, Failure::Poison),
            (SqlState::INSUFFICIENT_PRIVILEGE, Failure::Unknown),
            (SqlState::UNDEFINED_COLUMN, Failure::Unknown),
        ] {
            assert_eq!(failure_of_code(&code), failure, "{}", code.code());
        }
    }
}
