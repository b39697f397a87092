//! A data dir that leaves nothing behind.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use momsflow::control::client::Client as Control;
use momsflow::embedded::{EmbeddedPostgres, Options};
use momsflow::lifecycle::Health;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls};

/// A data dir in a temporary folder; dropping it kills every process that works in it.
pub struct DataDir {
    folder: TempDir,
    path: PathBuf,
}

impl DataDir {
    pub fn new() -> Self {
        Self::named("data")
    }

    pub fn named(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join(name);
        Self { folder, path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that the data dir is in.
    pub fn parent(&self) -> &Path {
        self.folder.path()
    }

    pub fn postgres(&self, file: &str) -> PathBuf {
        self.path.join("postgres").join(file)
    }

    pub fn options(&self) -> Options {
        Options {
            data_dir: self.path.clone(),
            bin_dir: None,
            port: 0,
            health: Health::default(),
        }
    }

    pub async fn start(&self) -> EmbeddedPostgres {
        match EmbeddedPostgres::start(self.options()).await {
            Ok(postgres) => postgres,
            Err(error) => panic!("{error}"),
        }
    }

    /// Keeps the folder when this is dropped.
    pub fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    /// Every process whose working folder is in here.
    pub fn processes(&self) -> Vec<i32> {
        // A watchdog may have removed it already.
        let Ok(root) = self.folder.path().canonicalize() else {
            return Vec::new();
        };
        fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder.starts_with(&root))
            })
            .collect()
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // A second round for children that were forked meanwhile.
        for _ in 0..2 {
            for pid in self.processes() {
                kill(pid);
            }
        }
    }
}

/// What the serve of a data dir says of itself, which `momsflow status` only shows after a second, with rates.
pub async fn status(data_dir: &Path) -> Result<Value, String> {
    let control = Control::new(data_dir);
    control.get("/status").await.map_err(|error| error.to_string())
}

pub fn kill(pid: i32) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

/// Connects, and drives the connection in the background.
pub async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The one value of a query's one row.
pub async fn value(client: &Client, query: &str) -> String {
    let messages = client.simple_query(query).await.unwrap();
    let row = messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    });
    row.unwrap()
}
