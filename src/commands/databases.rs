//! Where the databases are for a subcommand that runs beside serve.

use std::collections::HashMap;

use anyhow::anyhow;
use tokio_postgres::Client;

use crate::config::Config;
use crate::embedded::connection_of;
use crate::store::server::Server;
use crate::store::sqlstate::describe;

/// How to reach both databases.
#[derive(Clone, Debug)]
pub(super) struct Databases {
    pub(super) events: Server,
    pub(super) views: Server,
}

/// The configured servers, or the embedded PostgreSQL of the serve that runs on the data dir.
///
/// # Errors
/// When a URL cannot be read, or the embedded one is meant and does not run.
pub(super) fn databases(config: &Config) -> anyhow::Result<Databases> {
    let env: HashMap<String, String> = std::env::vars().collect();
    if let Some(servers) = config.postgres.servers(&env)? {
        return Ok(Databases {
            events: Server::load(&servers.events)?,
            views: Server::load(&servers.views)?,
        });
    }
    let connections = connection_of(&config.data_dir)?;
    Ok(Databases {
        events: connections.events().into(),
        views: connections.views().into(),
    })
}

/// As [`databases`], for somebody who only looks: of the embedded PostgreSQL the role that cannot do more.
pub(super) fn for_reading(config: &Config) -> anyhow::Result<Databases> {
    if config.postgres.is_external() {
        return databases(config);
    }
    let connections = connection_of(&config.data_dir)?;
    Ok(Databases {
        events: connections.reader_events().into(),
        views: connections.reader_views().into(),
    })
}

/// Opens a connection for as long as the command runs.
pub(super) async fn open(server: &Server) -> anyhow::Result<Client> {
    let connected = server.connect().await;
    let (client, connection) =
        connected.map_err(|error| anyhow!("cannot connect to PostgreSQL: {}", describe(&error)))?;
    tokio::spawn(connection);
    Ok(client)
}

/// Opens the event store.
pub(super) async fn open_events(config: &Config) -> anyhow::Result<Client> {
    open(&databases(config)?.events).await
}
