//! Migrations of both databases, under an advisory lock.

use std::fmt;

use refinery::Runner;
use tokio_postgres::Client;
use tracing::info;

use super::server::Server;
use super::sqlstate::{Failure, describe, failure_of};

mod events {
    refinery::embed_migrations!("migrations/events");
}

mod views {
    refinery::embed_migrations!("migrations/views");
}

/// The lock that one momsflow holds on a database while it changes the schema; any number that nobody else uses.
const LOCK: i64 = 0x6d6f_6d73_666c_6f77;
/// Where refinery notes what it has done.
const HISTORY: &str = "refinery_schema_history";

/// A database that momsflow keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// Events, positions, dead letters, rollups.
    Events,
    /// User views.
    Views,
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Events => "event store",
            Self::Views => "user view database",
        })
    }
}

impl Database {
    fn runner(self) -> Runner {
        match self {
            Self::Events => events::migrations::runner(),
            Self::Views => views::migrations::runner(),
        }
    }
}

/// What a migration did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The names of the migrations that were applied now, `V1__event_store`.
    pub applied: Vec<String>,
    /// The version of the schema.
    pub version: i64,
}

/// Why a schema is not as this binary needs it.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(
        "the {database} has schema version {found}, and this momsflow knows versions up to {known}\n\n\
         hint: run the newer momsflow that migrated it"
    )]
    Newer {
        database: Database,
        found: i64,
        known: i64,
    },
    #[error(
        "the {database} has a step {step} of another momsflow than a released one, or of somebody else\n\n\
         hint: run the momsflow that made it, or give this one an empty database"
    )]
    Foreign { database: Database, step: String },
    #[error("the {database} cannot be migrated: {source}")]
    Failed {
        database: Database,
        source: Box<refinery::Error>,
    },
    #[error("the {database} cannot be reached: {}", describe(.source))]
    Connection {
        database: Database,
        source: tokio_postgres::Error,
    },
}

impl MigrateError {
    /// Whether a later attempt may succeed: the server is away, or a table was busy.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Newer { .. } | Self::Foreign { .. } => false,
            Self::Connection { .. } => true,
            Self::Failed { source, .. } => match source.kind() {
                refinery::error::Kind::Connection(_, cause) => cause
                    .downcast_ref::<tokio_postgres::Error>()
                    .is_some_and(|error| failure_of(error) == Failure::Transient),
                _ => false,
            },
        }
    }
}

/// Brings a database to this binary's schema. Any number of processes may try at the same time; a second run
/// changes nothing.
///
/// # Errors
/// [`MigrateError::Newer`] when a later momsflow was here; a failed migration leaves its database as it was before
/// that migration.
pub async fn migrate(server: impl Into<Server>, database: Database) -> Result<Report, MigrateError> {
    let connection_error = |source| MigrateError::Connection { database, source };
    let (mut client, connection) = server.into().connect().await.map_err(connection_error)?;
    let driver = tokio::spawn(connection);
    lock(&client, database).await.map_err(connection_error)?;
    let outcome = run(&mut client, database).await;
    // The end of the session frees the lock as well, also when this process dies.
    let _ = client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await;
    drop(client);
    let _ = driver.await;
    outcome
}

async fn run(client: &mut Client, database: Database) -> Result<Report, MigrateError> {
    let connection_error = |source| MigrateError::Connection { database, source };
    let runner = database.runner();
    let versions = runner.get_migrations().iter().map(|one| i64::from(one.version()));
    let known = versions.max().unwrap_or(0);
    let found = version(client).await.map_err(connection_error)?;
    if found > known {
        return Err(MigrateError::Newer {
            database,
            found,
            known,
        });
    }
    // A migration that waits long for a busy table would stop all that come after it in the queue.
    client
        .batch_execute("SET lock_timeout = '10s'; SET client_min_messages = 'warning'")
        .await
        .map_err(connection_error)?;
    let report = runner
        .run_async(client)
        .await
        .map_err(|source| match source.kind() {
            refinery::error::Kind::DivergentVersion(step, _)
            | refinery::error::Kind::MissingVersion(step) => MigrateError::Foreign {
                database,
                step: step.to_string(),
            },
            _ => MigrateError::Failed {
                database,
                source: Box::new(source),
            },
        })?;
    let applied: Vec<_> = report
        .applied_migrations()
        .iter()
        .map(ToString::to_string)
        .collect();
    for name in &applied {
        info!(%database, migration = name, "migrated");
    }
    Ok(Report {
        applied,
        version: known,
    })
}

/// Takes the lock, and says so when somebody else holds it.
pub(super) async fn lock(client: &Client, database: Database) -> Result<(), tokio_postgres::Error> {
    let is_taken: bool = client
        .query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK])
        .await?
        .get(0);
    if !is_taken {
        info!(%database, "another process migrates, waiting for it");
        client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    }
    Ok(())
}

/// The highest version that was applied; 0 for a new database.
async fn version(client: &Client) -> Result<i64, tokio_postgres::Error> {
    let exists: bool = client
        .query_one("SELECT to_regclass($1) IS NOT NULL", &[&HISTORY])
        .await?
        .get(0);
    if !exists {
        return Ok(0);
    }
    let query = format!("SELECT coalesce(max(version), 0)::bigint FROM {HISTORY}");
    Ok(client.query_one(&query, &[]).await?.get(0))
}
