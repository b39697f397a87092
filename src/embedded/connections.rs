//! How to connect to the embedded PostgreSQL.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;

use super::error::EmbeddedError;
use super::layout::{Layout, read_password};
use super::pid_file::PidFile;
use crate::config::Secret;

/// Owns both databases and everything in them.
pub const OWNER: &str = "momsflow";
/// Reads for dashboards.
pub const READER: &str = "momsflow_reader";
pub const EVENTS_DATABASE: &str = "momsflow_events";
pub const VIEWS_DATABASE: &str = "momsflow_views";

/// Where the embedded PostgreSQL is and the passwords of its roles.
#[derive(Clone, Debug)]
pub struct Connections {
    pub(super) port: u16,
    pub(super) socket_folder: Option<PathBuf>,
    pub(super) owner_password: Secret,
    pub(super) reader_password: Secret,
}

impl Connections {
    /// The event store, as the owner.
    pub fn events(&self) -> Config {
        self.config(EVENTS_DATABASE, OWNER)
    }

    /// The user view database, as the owner.
    pub fn views(&self) -> Config {
        self.config(VIEWS_DATABASE, OWNER)
    }

    /// The event store, as the read-only role.
    pub fn reader_events(&self) -> Config {
        self.config(EVENTS_DATABASE, READER)
    }

    /// The user view database, as the read-only role.
    pub fn reader_views(&self) -> Config {
        self.config(VIEWS_DATABASE, READER)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the Unix socket; `None` where every path was too long for one.
    pub fn socket_folder(&self) -> Option<&Path> {
        self.socket_folder.as_deref()
    }

    /// The password of [`OWNER`].
    pub fn owner_password(&self) -> &Secret {
        &self.owner_password
    }

    /// The password of [`READER`].
    pub fn reader_password(&self) -> &Secret {
        &self.reader_password
    }

    pub(super) fn config(&self, database: &str, role: &str) -> Config {
        let password = if role == OWNER {
            &self.owner_password
        } else {
            &self.reader_password
        };
        let mut config = Config::new();
        config
            .user(role)
            .password(password.reveal())
            .dbname(database)
            .port(self.port)
            .application_name("momsflow");
        match &self.socket_folder {
            Some(folder) => config.host_path(folder),
            None => config.host(Ipv4Addr::LOCALHOST.to_string()),
        };
        config
    }
}

/// How to connect to the embedded PostgreSQL of a `momsflow serve` that runs on this data dir.
///
/// # Errors
/// When there is no cluster, it does not run, or its passwords cannot be read.
pub fn connection_of(data_dir: &Path) -> Result<Connections, EmbeddedError> {
    if !data_dir.join("postgres").join("cluster").exists() {
        return Err(EmbeddedError::NoCluster(data_dir.to_owned()));
    }
    let layout = Layout::of(data_dir)?;
    let file = PidFile::read(&layout.cluster())
        .filter(|file| file.port != 0)
        .ok_or_else(|| EmbeddedError::NotRunning(data_dir.to_owned()))?;
    if super::strays::find(&layout.cluster())?.is_empty() {
        return Err(EmbeddedError::NotRunning(data_dir.to_owned()));
    }
    let password =
        |path: PathBuf| read_password(&path)?.ok_or_else(|| EmbeddedError::PasswordMissing(path.clone()));
    Ok(Connections {
        port: file.port,
        socket_folder: file.socket_folder,
        owner_password: password(layout.owner_password())?,
        reader_password: password(layout.reader_password())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_preferred_and_secrets_do_not_print() {
        let mut connections = Connections {
            port: 20_001,
            socket_folder: Some("/d/socket".into()),
            owner_password: Secret::new("owner's"),
            reader_password: Secret::new("reader's"),
        };
        let config = connections.reader_events();
        assert_eq!(config.get_password(), Some(b"reader's".as_slice()));
        assert_eq!(config.get_dbname(), Some(EVENTS_DATABASE));
        assert!(
            matches!(config.get_hosts(), [tokio_postgres::config::Host::Unix(path)] if path.ends_with("socket"))
        );
        connections.socket_folder = None;
        assert!(matches!(
            connections.views().get_hosts(),
            [tokio_postgres::config::Host::Tcp(_)]
        ));
        assert!(!format!("{connections:?}").contains("owner's"));
    }
}
