//! Both databases of a momsflow, and the connections to the event store.

use deadpool_postgres::Pool;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::pool;

/// How the databases are reached as their owner.
#[derive(Clone, Debug)]
pub struct Databases {
    pub events: Config,
    pub views: Config,
    /// Connections to the event store.
    pub pool: Pool,
    is_embedded: bool,
}

impl Databases {
    /// Databases that are reached thus, with at most so many connections to the event store.
    pub fn new(events: Config, views: Config, is_embedded: bool, connections: usize) -> Self {
        Self {
            pool: pool::connect(events.clone(), connections),
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
