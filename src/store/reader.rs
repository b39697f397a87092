//! What the read-only role of dashboards may see.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};
use tracing::warn;

use super::migrate::{Database, lock};
use super::pool::with_timeouts;

/// Tables and views of the event store for readers. Parents only: a month's partition is read through `events`,
/// and so stays hidden in the lists of dashboards. Not `leases` and `event_id_claims`, which mean nothing to people.
const EVENTS: [&str; 12] = [
    "events",
    "events_late",
    "all_events",
    "months",
    "logs",
    "positions",
    "log_gaps",
    "dead_letters",
    "event_minutes",
    "event_totals",
    "event_properties",
    "event_catalog",
];

/// Relations of the user view database for readers; they come with the user-views role.
const VIEWS: [&str; 0] = [];

/// What became of the reader's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReaderGrant {
    /// The role reads what it shall, and nothing more.
    Granted,
    /// There is no such role, and momsflow may not make one; or it may not set the role's limits.
    Skipped { reason: String },
}

/// Lets the role read the parents, in read-only transactions of at most 30 s. Repeating it changes nothing.
///
/// On a server of the user's own the role may be missing, or momsflow may not change it: that is said in a warning
/// and in the answer, and is no error.
///
/// # Errors
/// When the database cannot be reached or fails otherwise.
pub async fn grant_reader(
    config: &Config,
    database: Database,
    role: &str,
) -> Result<ReaderGrant, tokio_postgres::Error> {
    let (client, connection) = with_timeouts(config.clone()).connect(NoTls).await?;
    let driver = tokio::spawn(connection);
    // Two processes that change one role at once fail with "tuple concurrently updated".
    lock(&client, database).await?;
    let outcome = grant(&client, database, role).await;
    drop(client);
    let _ = driver.await;
    match outcome {
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            Ok(skipped(database, role, &error.to_string()))
        }
        outcome => outcome,
    }
}

async fn grant(
    client: &Client,
    database: Database,
    role: &str,
) -> Result<ReaderGrant, tokio_postgres::Error> {
    let Some(found) = client
        .query_opt(include_str!("sql/find_reader.sql"), &[&role])
        .await?
    else {
        return Ok(skipped(database, role, "the role does not exist"));
    };
    // Where an administrator has set its limits, momsflow need not be allowed to.
    let is_limited: bool = found.get("is_limited");
    let name: String = client.query_one("SELECT current_database()", &[]).await?.get(0);
    let (role, name) = (quote(role), quote(&name));
    let mut statements =
        format!("GRANT CONNECT ON DATABASE {name} TO {role}; GRANT USAGE ON SCHEMA public TO {role};");
    // REFERENCES lets Metabase see primary keys.
    for relation in relations(database) {
        statements.push_str(&format!(" GRANT SELECT, REFERENCES ON {relation} TO {role};"));
    }
    client.batch_execute(&statements).await?;
    if !is_limited {
        client
            .batch_execute(&format!(
                "ALTER ROLE {role} SET default_transaction_read_only = on; \
                 ALTER ROLE {role} SET statement_timeout = '30s'"
            ))
            .await?;
    }
    Ok(ReaderGrant::Granted)
}

fn relations(database: Database) -> &'static [&'static str] {
    match database {
        Database::Events => &EVENTS,
        Database::Views => &VIEWS,
    }
}

fn skipped(database: Database, role: &str, reason: &str) -> ReaderGrant {
    warn!(%database, role, reason, "the role for dashboards was not set up; dashboards need one that an administrator made");
    ReaderGrant::Skipped {
        reason: reason.to_owned(),
    }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        assert_eq!(quote("momsflow_reader"), "\"momsflow_reader\"");
        assert_eq!(quote("a\"; DROP"), "\"a\"\"; DROP\"");
    }
}
