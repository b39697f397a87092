//! PostgreSQL: the embedded cluster, or the servers that the config names.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config as PostgresConfig;
use tokio_postgres::config::Host;
use tracing::{info, warn};

use super::stages::Stages;
use crate::config::{Config, Role};
use crate::embedded::{EmbeddedPostgres, Options, READER};
use crate::lifecycle::Health;
use crate::retry::Backoff;
use crate::store::migrate::{Database, MigrateError, migrate};
use crate::store::reader::grant_reader;

/// The part that `/ready` names while the schema is not there.
const PART: &str = "event store";

/// How to reach both databases as their owner.
#[derive(Clone, Debug)]
pub(super) struct Databases {
    pub(super) events: PostgresConfig,
    pub(super) views: PostgresConfig,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Configured,
    Embedded,
    /// No role here needs one, and none is configured.
    Absent,
}

impl Databases {
    /// Parses the configured URLs, or starts the embedded PostgreSQL and has it supervised.
    ///
    /// # Errors
    /// When the embedded one does not start.
    pub(super) async fn open(
        config: &Config,
        data_dir: &Path,
        health: &Health,
        stages: &mut Stages,
    ) -> anyhow::Result<Self> {
        if let (Some(events), Some(views)) = (&config.postgres.events_url, &config.postgres.views_url) {
            return Ok(Self {
                events: events.reveal().parse()?,
                views: views.reveal().parse()?,
                kind: Kind::Configured,
            });
        }
        if config.kafka.is_used() && !config.roles.contains(&Role::Capture) {
            return Ok(Self {
                events: PostgresConfig::new(),
                views: PostgresConfig::new(),
                kind: Kind::Absent,
            });
        }
        let options = Options::new(&config.postgres, data_dir, health.clone());
        let postgres = Arc::new(EmbeddedPostgres::start(options).await?);
        let databases = Self {
            events: postgres.events_config(),
            views: postgres.views_config(),
            kind: Kind::Embedded,
        };
        let token = stages.base.token();
        stages
            .base
            .spawn("postgres", async move { postgres.supervise(token).await });
        Ok(databases)
    }

    /// Keeps `/ready` from saying yes before [`migrate`](Self::migrate) is through.
    pub(super) fn expect_schema(health: &Health) {
        health.fail(PART, "its schema is not checked yet");
    }

    /// Brings both schemas up to date; waits for a server that is not there yet.
    ///
    /// # Errors
    /// What waiting does not mend: a newer schema, a migration that fails.
    pub(super) async fn migrate(&self, health: &Health) -> Result<(), MigrateError> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            match self.migrate_now().await {
                Ok(()) => {
                    health.recover(PART);
                    return Ok(());
                }
                Err(error @ MigrateError::Connection { .. }) => {
                    warn!(%error, "waiting for PostgreSQL");
                    health.fail(PART, error.to_string());
                    tokio::time::sleep(backoff.next_wait()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn migrate_now(&self) -> Result<(), MigrateError> {
        for (database, config) in [(Database::Events, &self.events), (Database::Views, &self.views)] {
            let report = migrate(config, database).await?;
            if !report.applied.is_empty() {
                info!(%database, applied = report.applied.join(", "), "schema migrated");
            }
            grant_reader(config, database, READER)
                .await
                .map_err(|source| MigrateError::Connection { database, source })?;
        }
        Ok(())
    }

    /// Where events go, without the password.
    pub(super) fn describe(&self) -> String {
        let kind = match self.kind {
            Kind::Embedded => "embedded PostgreSQL",
            Kind::Configured => "PostgreSQL",
            Kind::Absent => return "none on this host".to_owned(),
        };
        let host = match self.events.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(folder)) => folder.display().to_string(),
            None => "localhost".to_owned(),
        };
        let port = self.events.get_ports().first().copied().unwrap_or(5432);
        format!(
            "{kind} {host}:{port}, database {}",
            self.events.get_dbname().unwrap_or("-")
        )
    }
}
