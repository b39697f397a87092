//! Both databases of a momsflow, and the connections to the event store.

use deadpool_postgres::Pool;
use tokio_postgres::config::Host;

use super::pool;
use super::server::Server;
use crate::config::PostgresTlsMode;

/// How the databases are reached as their owner.
#[derive(Clone, Debug)]
pub struct Databases {
    pub events: Server,
    pub views: Server,
    /// Connections to the event store.
    pub pool: Pool,
    is_embedded: bool,
}

impl Databases {
    /// Databases that are reached thus, with at most so many connections to the event store.
    pub fn new(events: Server, views: Server, is_embedded: bool, connections: usize) -> Self {
        Self {
            pool: pool::connect(&events, connections),
            events,
            views,
            is_embedded,
        }
    }

    /// Where events go, for people; without the password.
    pub fn describe(&self) -> String {
        let kind = if self.is_embedded {
            "embedded PostgreSQL"
        } else {
            "PostgreSQL"
        };
        let config = self.events.config();
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(folder)) => folder.display().to_string(),
            None => "localhost".to_owned(),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let tls = match self.events.tls().mode() {
            PostgresTlsMode::Disable => String::new(),
            mode => format!(", sslmode {}", mode.as_str()),
        };
        format!(
            "{kind} {host}:{port}, database {}{tls}",
            config.get_dbname().unwrap_or("-")
        )
    }
}
