//! The private PostgreSQL cluster in the data dir.
//!
//! [`EmbeddedPostgres::start`] finds the installed programs ([`find`]), ends what an earlier run left behind
//! (`strays`), makes the cluster where there is none (`cluster`), and starts the server (`server`);
//! [`EmbeddedPostgres::supervise`] keeps it running. Subcommands beside a running serve use [`connection_of`].

mod account;
mod cluster;
mod connections;
mod error;
mod find;
mod layout;
mod log_file;
mod pid_file;
mod port;
mod server;
mod settings;
mod strays;
mod supervise;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_postgres::Config;
use tracing::{info, warn};

pub use account::check_access;
pub use connections::{Connections, EVENTS_DATABASE, OWNER, READER, VIEWS_DATABASE, connection_of};
pub use error::EmbeddedError;
pub use find::{Installation, OLDEST_MAJOR, find};

use crate::config::{self, Secret};
use crate::lifecycle::Health;
use account::Account;
use layout::{Layout, read_or_make_password, read_password};
use server::{Launch, Server};

/// The name under which the server's health is told.
pub const HEALTH_PART: &str = "postgres";

/// For a server of an earlier run, which nobody uses any more.
const STRAY_PATIENCE: strays::Patience = strays::Patience {
    fast: Duration::from_secs(5),
    immediate: Duration::from_secs(5),
};
/// How often another port is drawn when somebody takes the chosen one in the moment before the server does.
const PORT_DRAWS: u32 = 5;

/// What the embedded PostgreSQL is to be.
#[derive(Clone, Debug)]
pub struct Options {
    pub data_dir: PathBuf,
    pub bin_dir: Option<PathBuf>,
    /// 0 chooses a free port once and keeps it.
    pub port: u16,
    /// Where supervision tells that the server is down.
    pub health: Health,
}

impl Options {
    /// What the configuration says.
    pub fn new(postgres: &config::Postgres, data_dir: &Path, health: Health) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            bin_dir: postgres.bin_dir.clone(),
            port: postgres.port,
            health,
        }
    }
}

/// A PostgreSQL server that belongs to this process.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    launch: Launch,
    connections: Connections,
    health: Health,
    server: Mutex<Option<Server>>,
}

impl EmbeddedPostgres {
    /// Starts the server of the data dir, and makes its cluster, roles and databases where they are missing.
    ///
    /// The caller holds the lock of the data dir: a server that runs there already is taken for a leftover of an
    /// earlier run, and is stopped.
    ///
    /// # Errors
    /// Each with what to do about it, for people.
    pub async fn start(options: Options) -> Result<Self, EmbeddedError> {
        let (mut launch, passwords) = prepare(&options).await?;
        let server = start_on_a_free_port(&mut launch, options.port).await?;
        let connections = Connections {
            port: launch.port,
            socket_folder: launch.socket_folder.clone(),
            owner_password: passwords.owner,
            reader_password: passwords.reader,
        };
        cluster::ensure_databases(&connections).await?;
        info!(
            version = launch.installation.version,
            port = launch.port,
            "PostgreSQL serves"
        );
        Ok(Self {
            launch,
            connections,
            health: options.health,
            server: Mutex::new(Some(server)),
        })
    }

    /// Whether the data dir holds no cluster yet.
    ///
    /// # Errors
    /// When a server cannot run here at all: nothing is installed that fits, or the folder is out of reach.
    pub async fn is_new(options: &Options) -> Result<bool, EmbeddedError> {
        Ok(examine(options).await?.made_by.is_none())
    }

    /// Ends whatever runs on the data dir's cluster.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn end_strays(data_dir: &Path) -> Result<(), EmbeddedError> {
        strays::end(&Layout::of(data_dir)?.cluster(), STRAY_PATIENCE)
            .await
            .map(drop)
    }

    /// Where it is, with the passwords of its roles.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The event store, as the owner.
    pub fn events_config(&self) -> Config {
        self.connections.events()
    }

    /// The user view database, as the owner.
    pub fn views_config(&self) -> Config {
        self.connections.views()
    }

    /// The programs that it runs, for psql and its kin.
    pub fn installation(&self) -> &Installation {
        &self.launch.installation
    }

    /// The process id of the server's postmaster; `None` while it is down.
    pub fn pid(&self) -> Option<i32> {
        pid_file::PidFile::read(&self.launch.layout.cluster()).map(|file| file.pid)
    }

    /// Stops the server without supervision having been started.
    pub async fn stop(&self) -> Result<(), EmbeddedError> {
        let server = self.server.lock().await.take();
        self.finish(server).await
    }

    /// Stops the server, and removes a socket's folder that stands outside the data dir.
    async fn finish(&self, server: Option<Server>) -> Result<(), EmbeddedError> {
        match server {
            Some(server) => server.stop().await?,
            None => {
                strays::end(&self.launch.layout.cluster(), STRAY_PATIENCE).await?;
            }
        }
        if let Some(folder) = &self.launch.socket_folder {
            let is_inside = folder.starts_with(self.launch.layout.folder());
            if !is_inside && let Err(reason) = std::fs::remove_dir(folder) {
                warn!(folder = %folder.display(), %reason, "the folder of the socket stays behind");
            }
        }
        Ok(())
    }
}

struct Passwords {
    owner: Secret,
    reader: Secret,
}

impl Passwords {
    /// The owner's is set once, by initdb; the reader's at every start.
    fn of(layout: &Layout, is_new: bool) -> Result<Self, EmbeddedError> {
        let owner = layout.owner_password();
        Ok(Self {
            owner: if is_new {
                read_or_make_password(&owner)?
            } else {
                read_password(&owner)?.ok_or(EmbeddedError::PasswordMissing(owner))?
            },
            reader: read_or_make_password(&layout.reader_password())?,
        })
    }
}

/// What is known of a data dir and this machine before anything is done.
struct Examined {
    account: Option<Account>,
    layout: Layout,
    /// The major version that made the cluster; `None` where there is none.
    made_by: Option<u32>,
    installation: Installation,
}

async fn examine(options: &Options) -> Result<Examined, EmbeddedError> {
    let account = Account::choose(&options.data_dir)?;
    let layout = Layout::create(&options.data_dir, account.as_ref())?;
    let made_by = layout.made_by()?;
    let installation = find(options.bin_dir.as_deref(), &layout.cluster(), made_by)?;
    if let Some(account) = &account {
        account.check_path(layout.folder()).await?;
    }
    Ok(Examined {
        account,
        layout,
        made_by,
        installation,
    })
}

/// Does everything that comes before the server's start: afterwards there is a cluster, and nothing runs on it.
async fn prepare(options: &Options) -> Result<(Launch, Passwords), EmbeddedError> {
    let Examined {
        account,
        layout,
        made_by,
        installation,
    } = examine(options).await?;
    for folder in [layout.unfinished_cluster(), layout.cluster()] {
        strays::end(&folder, STRAY_PATIENCE).await?;
    }
    let passwords = Passwords::of(&layout, made_by.is_none())?;
    if made_by.is_none() {
        cluster::create(&layout, &installation, account.as_ref(), &passwords.owner).await?;
    }
    let launch = Launch {
        port: port::choose(options.port, &layout.port())?,
        socket_folder: layout.create_socket_folder(account.as_ref()),
        layout,
        installation,
        account,
    };
    Ok((launch, passwords))
}

async fn start_on_a_free_port(launch: &mut Launch, configured: u16) -> Result<Server, EmbeddedError> {
    launch.configure().await?;
    let mut draws = 0;
    loop {
        match launch.start().await {
            Err(EmbeddedError::PortTaken { port }) if configured == 0 && draws < PORT_DRAWS => {
                warn!(port, "the chosen port was taken meanwhile, choosing another");
                draws += 1;
                launch.port = port::choose(configured, &launch.layout.port())?;
            }
            outcome => return outcome,
        }
    }
}
