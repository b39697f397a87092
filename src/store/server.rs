//! A PostgreSQL server and how it is spoken to.

use std::fmt;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::pool::with_timeouts;
use super::tls;
use crate::config::{PostgresServer, PostgresTls, PostgresTlsMode};
use crate::tls::FileFault;

/// What a connection is driven by.
pub type Driver = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// A database, and the certificates that a connection to it takes; the files were read.
#[derive(Clone)]
pub struct Server {
    config: Config,
    tls: MakeRustlsConnect,
    files: PostgresTls,
}

/// Leaves the keys out; tokio-postgres leaves out the password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// One that is spoken to without TLS, such as the embedded one.
impl From<Config> for Server {
    fn from(mut config: Config) -> Self {
        config.ssl_mode(SslMode::Disable);
        Self {
            config,
            tls: MakeRustlsConnect::new(tls::distrustful()),
            files: PostgresTls {
                mode: Some(PostgresTlsMode::Disable),
                ..PostgresTls::default()
            },
        }
    }
}

impl From<&Config> for Server {
    fn from(config: &Config) -> Self {
        config.clone().into()
    }
}

impl From<&Self> for Server {
    fn from(server: &Self) -> Self {
        server.clone()
    }
}

impl Server {
    /// Reads the certificates that the config names.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn load(named: &PostgresServer) -> Result<Self, FileFault> {
        let mut config = named.config.clone();
        // On a socket of this machine nobody speaks TLS, as libpq has it.
        let is_local = config
            .get_hosts()
            .iter()
            .all(|host| matches!(host, Host::Unix(_)));
        let mode = match named.tls.mode() {
            _ if is_local && !config.get_hosts().is_empty() => PostgresTlsMode::Disable,
            mode => mode,
        };
        if mode == PostgresTlsMode::Disable {
            return Ok(config.into());
        }
        config.ssl_mode(match mode {
            PostgresTlsMode::Prefer => SslMode::Prefer,
            _ => SslMode::Require,
        });
        Ok(Self {
            config,
            tls: MakeRustlsConnect::new(tls::load(&named.tls)?),
            files: PostgresTls {
                mode: Some(mode),
                ..named.tls.clone()
            },
        })
    }

    /// Where it is, and as whom.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How it is spoken to, as other clients need to know.
    pub fn tls(&self) -> &PostgresTls {
        &self.files
    }

    pub(super) fn connector(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// Opens a connection, which the caller drives.
    ///
    /// # Errors
    /// As tokio-postgres has it; [`super::sqlstate::describe`] puts it into words.
    pub async fn connect(&self) -> Result<(Client, Driver), Error> {
        with_timeouts(self.config.clone()).connect(self.tls.clone()).await
    }
}
