//! Event stores to measure: one embedded PostgreSQL, a fresh database a run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use momsflow::embedded::{EmbeddedPostgres, Options};
use momsflow::lifecycle::Health;
use momsflow::store::migrate::{Database, migrate};
use momsflow::store::month::Month;
use momsflow::store::months::ensure_month;
use momsflow::store::pool;
use tokio_postgres::{Client, Config, NoTls};

use crate::filled_log::START;

/// The embedded PostgreSQL as serve starts it.
pub struct Cluster {
    postgres: EmbeddedPostgres,
    admin: Client,
    databases: u32,
}

/// A fresh event store with this month's partition and all of its indexes.
pub struct EventStore {
    pub config: Config,
    name: String,
}

/// Where a Java program finds the month's partition.
pub struct JdbcUrl {
    pub url: String,
    pub user: &'static str,
    pub password: String,
    pub table: String,
}

/// How `\copy` writes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    Text,
    Binary,
}

impl Cluster {
    pub async fn start(data_dir: &Path) -> Self {
        let options = Options {
            data_dir: data_dir.to_owned(),
            bin_dir: None,
            port: 0,
            health: Health::default(),
        };
        let postgres = EmbeddedPostgres::start(options).await.unwrap();
        let installation = postgres.installation();
        eprintln!(
            "PostgreSQL {} in {}",
            installation.version,
            installation.bin_dir.display()
        );
        let admin = connect(&postgres.events_config()).await;
        Self {
            postgres,
            admin,
            databases: 0,
        }
    }

    /// Makes an event store, and starts each from the same state: nothing left to write to the disk.
    pub async fn event_store(&mut self) -> EventStore {
        self.databases += 1;
        let name = format!("bench_{}", self.databases);
        self.admin
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        let mut config = self.postgres.events_config();
        config.dbname(&name);
        migrate(&config, Database::Events).await.unwrap();
        let mut client = pool::connect(config.clone(), 1).get().await.unwrap();
        ensure_month(&mut client, Month::of(START), START).await.unwrap();
        self.settle().await;
        EventStore { config, name }
    }

    pub async fn drop(&self, store: EventStore) {
        let statement = format!("DROP DATABASE {} WITH (FORCE)", store.name);
        self.admin.batch_execute(&statement).await.unwrap();
    }

    /// Writes everything out, so that a run does not pay for the one before it.
    pub async fn settle(&self) {
        self.admin.batch_execute("CHECKPOINT").await.unwrap();
    }

    /// Runs `\copy` of the month's partition from or to a file; returns how long it took.
    pub fn copy(&self, store: &EventStore, direction: &str, file: &Path, format: CopyFormat) -> Duration {
        let format = match format {
            CopyFormat::Text => "text",
            CopyFormat::Binary => "binary",
        };
        let table = table();
        let statement = format!(
            "\\copy {table} {direction} '{}' (format {format})",
            file.display()
        );
        let connections = self.postgres.connections();
        let host = connections
            .socket_folder()
            .map_or(PathBuf::from("127.0.0.1"), Path::to_owned);
        let began = Instant::now();
        let output = Command::new("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "momsflow", "-h"])
            .arg(host)
            .args([
                "-p",
                &connections.port().to_string(),
                "-d",
                &store.name,
                "-c",
                &statement,
            ])
            .env("PGPASSWORD", connections.owner_password().reveal())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let took = began.elapsed();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        took
    }

    pub fn jdbc_url(&self, store: &EventStore) -> JdbcUrl {
        let connections = self.postgres.connections();
        JdbcUrl {
            url: format!(
                "jdbc:postgresql://127.0.0.1:{}/{}",
                connections.port(),
                store.name
            ),
            user: "momsflow",
            password: connections.owner_password().reveal().to_owned(),
            table: table(),
        }
    }

    pub async fn stop(self) {
        drop(self.admin);
        self.postgres.stop().await.unwrap();
    }
}

impl EventStore {
    /// The rows that are stored.
    pub async fn rows(&self) -> i64 {
        let client = connect(&self.config).await;
        client
            .query_one("SELECT count(*) FROM events", &[])
            .await
            .unwrap()
            .get(0)
    }
}

/// The month's partition.
fn table() -> String {
    format!("events_{}", Month::of(START))
}

/// Connects, and drives the connection in the background.
pub async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
