//! What the read-only role of dashboards may see.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tracing::warn;

use super::migrate::{Database, lock};
use super::server::Server;
use super::sqlstate::describe;
use super::views::VIEWS;

/// Tables and views of the event store for readers. Parents only: a month's partition is read through `events`,
/// and so stays hidden in the lists of dashboards. Not `leases` and `event_id_claims`, which mean
/// nothing to people, and not `identity_suppressions`, which lists who wants to be forgotten.
const EVENTS: [&str; 17] = [
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
    "identity_edges",
    "identity_claims",
    "identity_revocations",
    "identity_links",
    "identity_visitors",
];

/// The views that stand beside the tables of the user view database. Its schema `state` means nothing to people.
const VIEWS_OF_VIEWS: [&str; 1] = ["daily_active"];

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
    server: impl Into<Server>,
    database: Database,
    role: &str,
) -> Result<ReaderGrant, tokio_postgres::Error> {
    let (client, connection) = server.into().connect().await?;
    let driver = tokio::spawn(connection);
    // Two processes that change one role at once fail with "tuple concurrently updated".
    lock(&client, database).await?;
    let outcome = grant(&client, database, role).await;
    drop(client);
    let _ = driver.await;
    match outcome {
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            Ok(skipped(database, role, &describe(&error)))
        }
        outcome => outcome,
    }
}

async fn grant(
    client: &Client,
    database: Database,
    role: &str,
) -> Result<ReaderGrant, tokio_postgres::Error> {
    let found = client
        .query_opt(include_str!("sql/reader_limits.sql"), &[&role])
        .await?;
    let Some(is_limited) = found.map(|row| row.get::<_, bool>(0)) else {
        return Ok(skipped(database, role, "the role does not exist"));
    };
    let name: String = client.query_one("SELECT current_database()", &[]).await?.get(0);
    let (role, name) = (quote(role), quote(&name));
    let mut statements =
        format!("GRANT CONNECT ON DATABASE {name} TO {role}; GRANT USAGE ON SCHEMA public TO {role};");
    // REFERENCES lets Metabase see primary keys.
    for relation in relations(database) {
        statements.push_str(&format!(" GRANT SELECT, REFERENCES ON {relation} TO {role};"));
    }
    client.batch_execute(&statements).await?;
    // On a server of the user's own only an administrator may set these, and may have done so.
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

fn relations(database: Database) -> Vec<&'static str> {
    match database {
        Database::Events => EVENTS.to_vec(),
        Database::Views => [&VIEWS[..], &VIEWS_OF_VIEWS].concat(),
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
