//! PostgreSQL: the embedded cluster, or the servers that the config names.
//!
//! Nobody waits for it but those who need it: ingest takes events while a cluster recovers from a crash.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::stages::Stages;
use crate::config::Config;
use crate::embedded::{EmbeddedError, EmbeddedPostgres, HEALTH_PART, Options, READER};
use crate::lifecycle::Health;
use crate::retry::Backoff;
use crate::store::databases::Databases;
use crate::store::migrate::{Database, MigrateError, migrate};
use crate::store::reader::grant_reader;
use crate::store::server::Server;

/// The part that `/ready` names while the schema is not there.
const PART: &str = "event store";
/// Between attempts to start or reach a server.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The databases, once it is known how to reach them.
pub(super) type Known = watch::Receiver<Option<Databases>>;

/// Parses the configured URLs, or has the embedded PostgreSQL started and supervised. `connections` is the most
/// to the event store.
///
/// # Errors
/// When a URL or a certificate of the config cannot be read, or the embedded one cannot run here, or its new cluster does not start. One that ran before is tried again
/// and again instead.
pub(super) async fn open(
    config: &Config,
    data_dir: &Path,
    health: &Health,
    stages: &mut Stages,
    connections: usize,
    env: &HashMap<String, String>,
) -> anyhow::Result<Known> {
    let (tell, known) = watch::channel(None);
    if let Some(servers) = config.postgres.servers(env)? {
        let (events, views) = (Server::load(&servers.events)?, Server::load(&servers.views)?);
        tell.send_replace(Some(Databases::new(events, views, false, connections)));
        return Ok(known);
    }
    if config.kafka.is_used() && !config.needs_postgres() {
        // No role here needs one: it stays unknown.
        return Ok(known);
    }
    let options = Options::new(&config.postgres, data_dir, health.clone());
    let tell_of = move |postgres: &EmbeddedPostgres| {
        let (events, views) = (postgres.events_config().into(), postgres.views_config().into());
        tell.send_replace(Some(Databases::new(events, views, true, connections)));
    };
    let token = stages.base.token();
    if EmbeddedPostgres::is_new(&options).await? {
        let postgres = EmbeddedPostgres::start(options).await?;
        tell_of(&postgres);
        stages
            .base
            .spawn("postgres", async move { postgres.supervise(token).await });
    } else {
        stages.base.spawn("postgres", async move {
            match start_again(options, &token).await {
                Some(postgres) => {
                    tell_of(&postgres);
                    postgres.supervise(token).await
                }
                None => Ok(()),
            }
        });
    }
    Ok(known)
}

/// Starts a cluster that ran before, however long it takes; `None` when it shall not any more.
async fn start_again(options: Options, token: &CancellationToken) -> Option<EmbeddedPostgres> {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    options.health.fail(HEALTH_PART, "it is starting");
    loop {
        let started = tokio::select! {
            started = EmbeddedPostgres::start(options.clone()) => started,
            () = token.cancelled() => {
                // The start that was cut short may have left a server behind.
                let _ = EmbeddedPostgres::end_strays(&options.data_dir).await;
                return None;
            }
        };
        match started {
            Ok(postgres) => {
                options.health.recover(HEALTH_PART);
                return Some(postgres);
            }
            Err(error) => tell_failure(&options.health, &error),
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_wait()) => {}
            () = token.cancelled() => return None,
        }
    }
}

fn tell_failure(health: &Health, error: &EmbeddedError) {
    let message = error.to_string();
    // The hint after the blank line is for a person at a terminal.
    let reason = message.split("\n\n").next().unwrap_or_default();
    error!(
        reason,
        "PostgreSQL does not start, trying again; events wait in the log"
    );
    health.fail(HEALTH_PART, reason);
}

/// Keeps `/ready` from saying yes before [`migrated`] is through.
pub(super) fn expect_schema(health: &Health) {
    health.fail(PART, "its schema is not checked yet");
}

/// The databases with both schemas up to date; waits for a server that is not there yet.
///
/// # Errors
/// What waiting does not mend: a newer schema, a migration that fails.
pub(super) async fn migrated(mut known: Known, health: &Health) -> anyhow::Result<Databases> {
    let databases = known
        .wait_for(Option::is_some)
        .await
        .context("PostgreSQL was given up")?
        .clone()
        .context("PostgreSQL was given up")?;
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        match migrate_both(&databases).await {
            Ok(()) => {
                health.recover(PART);
                return Ok(databases);
            }
            Err(error) if error.is_transient() => {
                warn!(%error, "waiting for PostgreSQL");
                health.fail(PART, error.to_string());
                tokio::time::sleep(backoff.next_wait()).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn migrate_both(databases: &Databases) -> Result<(), MigrateError> {
    for (database, server) in [
        (Database::Events, &databases.events),
        (Database::Views, &databases.views),
    ] {
        let report = migrate(server, database).await?;
        if !report.applied.is_empty() {
            info!(%database, applied = report.applied.join(", "), "schema migrated");
        }
        grant_reader(server, database, READER)
            .await
            .map_err(|source| MigrateError::Connection { database, source })?;
    }
    Ok(())
}
