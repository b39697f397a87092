//! Where the databases are for a subcommand that runs beside serve.

use anyhow::Context as _;
use tokio_postgres::{Client, Config as PostgresConfig, NoTls};

use crate::config::{Config, Secret};
use crate::embedded::connection_of;

/// How to reach both databases.
#[derive(Clone, Debug)]
pub(super) struct Databases {
    pub(super) events: PostgresConfig,
    pub(super) views: PostgresConfig,
}

/// The configured servers, or the embedded PostgreSQL of the serve that runs on the data dir.
///
/// # Errors
/// When the embedded one is meant and does not run.
pub(super) fn databases(config: &Config) -> anyhow::Result<Databases> {
    if let (Some(events), Some(views)) = (&config.postgres.events_url, &config.postgres.views_url) {
        return Ok(Databases {
            events: parse(events)?,
            views: parse(views)?,
        });
    }
    let connections = connection_of(&config.data_dir)?;
    Ok(Databases {
        events: connections.events(),
        views: connections.views(),
    })
}

/// As [`databases`], for somebody who only looks: of the embedded PostgreSQL the role that cannot do more.
pub(super) fn for_reading(config: &Config) -> anyhow::Result<Databases> {
    if config.postgres.events_url.is_some() {
        return databases(config);
    }
    let connections = connection_of(&config.data_dir)?;
    Ok(Databases {
        events: connections.reader_events(),
        views: connections.reader_views(),
    })
}

fn parse(url: &Secret) -> anyhow::Result<PostgresConfig> {
    // The parser's error quotes nothing of the URL.
    Ok(url.reveal().parse()?)
}

/// Opens a connection for as long as the command runs.
pub(super) async fn open(config: &PostgresConfig) -> anyhow::Result<Client> {
    let (client, connection) = config
        .connect(NoTls)
        .await
        .context("cannot connect to PostgreSQL")?;
    tokio::spawn(connection);
    Ok(client)
}

/// Opens the event store.
pub(super) async fn open_events(config: &Config) -> anyhow::Result<Client> {
    open(&databases(config)?.events).await
}
