//! The server process: starting it, waiting until it serves, stopping it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tracing::{info, warn};

use super::account::Account;
use super::cluster::{prepare, write_for};
use super::error::{During, EmbeddedError};
use super::find::Installation;
use super::layout::Layout;
use super::log_file;
use super::pid_file::PidFile;
use super::settings::{Compression, Machine, render};
use super::{port, strays};

const POLL: Duration = Duration::from_millis(10);
/// Recovery after a crash reads up to `max_wal_size`, which on a slow disk takes minutes.
const START_LIMIT: Duration = Duration::from_secs(15 * 60);
const STILL_STARTING: Duration = Duration::from_secs(10);
/// Kept below the default of `shutdown_deadline`.
const STOP: strays::Patience = strays::Patience {
    fast: Duration::from_secs(15),
    immediate: Duration::from_secs(5),
};

/// What it takes to start the server of one cluster, again and again.
#[derive(Clone, Debug)]
pub struct Launch {
    pub layout: Layout,
    pub installation: Installation,
    pub account: Option<Account>,
    pub port: u16,
    pub socket_folder: Option<PathBuf>,
}

/// A server that serves. Dropping it asks the server to stop, without waiting.
#[derive(Debug)]
pub struct Server {
    child: Child,
    layout: Layout,
}

impl Launch {
    /// Writes the settings for this machine as it is now.
    pub async fn configure(&self) -> Result<(), EmbeddedError> {
        let path = self.layout.cluster().join("postgresql.conf");
        let machine = Machine::measure(self.layout.folder());
        let best = Compression::best_of(self.installation.major);
        let compression = if self.accepts(best).await? {
            best
        } else {
            Compression::Pglz
        };
        write_for(self.account.as_ref(), &path, &render(&machine, compression))
    }

    /// Asks the program itself, which knows how it was built.
    async fn accepts(&self, compression: Compression) -> Result<bool, EmbeddedError> {
        let mut command = self.program();
        for (name, value) in compression.settings() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
            .args(["-C", "wal_compression"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let status = command.status().await.during(|| self.running())?;
        Ok(status.success())
    }

    /// Starts the server and waits until it serves.
    pub async fn start(&self) -> Result<Server, EmbeddedError> {
        strays::remove_empty_lock_files(&self.layout.cluster(), self.socket_folder.as_deref())?;
        let log = self.layout.log();
        let begin = log_file::length(&log);
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&log)
            .during(|| format!("opening {}", log.display()))?;
        let socket_folder = self.socket_folder.as_deref().unwrap_or(Path::new(""));
        let mut command = self.program();
        command
            .arg("-p")
            .arg(self.port.to_string())
            .arg("-k")
            .arg(socket_folder)
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "unix_socket_permissions=0700",
            ])
            .args(["-c", "fsync=on", "-c", "full_page_writes=on"])
            .stdout(
                output
                    .try_clone()
                    .during(|| format!("opening {}", log.display()))?,
            )
            .stderr(output);
        let child = command.spawn().during(|| self.running())?;
        let mut server = Server {
            child,
            layout: self.layout.clone(),
        };
        self.await_ready(&mut server, begin).await?;
        Ok(server)
    }

    async fn await_ready(&self, server: &mut Server, log_begin: u64) -> Result<(), EmbeddedError> {
        let began = Instant::now();
        let mut notice = began + STILL_STARTING;
        loop {
            if let Some(status) = server.child.try_wait().during(|| self.running())? {
                return Err(self.start_error(&ended(status), log_begin));
            }
            let pid = server.child.id().and_then(|pid| i32::try_from(pid).ok());
            if PidFile::read(&self.layout.cluster())
                .is_some_and(|file| file.is_ready && Some(file.pid) == pid)
            {
                return Ok(());
            }
            if began.elapsed() > START_LIMIT {
                return Err(self.start_error("it is not ready after 15 minutes", log_begin));
            }
            if Instant::now() > notice {
                info!("waiting for PostgreSQL, which may be recovering from a crash");
                notice += STILL_STARTING;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn start_error(&self, what: &str, log_begin: u64) -> EmbeddedError {
        if !port::is_free(self.port) {
            return EmbeddedError::PortTaken { port: self.port };
        }
        let log = self.layout.log();
        let reason = match log_file::complaints_since(&log, log_begin) {
            Some(complaints) => format!("{what}: {complaints}"),
            None => what.to_owned(),
        };
        EmbeddedError::Start { reason, log }
    }

    fn program(&self) -> Command {
        let mut command = Command::new(self.installation.program("postgres"));
        command
            .arg("-D")
            .arg(self.layout.cluster())
            .current_dir(self.layout.folder())
            .stdin(Stdio::null());
        prepare(&mut command, self.account.as_ref());
        command
    }

    fn running(&self) -> String {
        format!("running {}", self.installation.program("postgres").display())
    }
}

impl Server {
    /// Resolves when the server has ended by itself, with how.
    pub async fn died(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => ended(status),
            Err(error) => format!("it cannot be watched: {error}"),
        }
    }

    /// Stops the server: its clients are cut off and a checkpoint is written; what takes too long is ended harder.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        for (signal, wait) in [(Signal::INT, STOP.fast), (Signal::QUIT, STOP.immediate)] {
            self.signal(signal);
            if tokio::time::timeout(wait, self.child.wait()).await.is_ok() {
                return Ok(());
            }
            warn!(signal = signal.as_raw(), "PostgreSQL does not stop in time");
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait().await;
        strays::end(&self.layout.cluster(), STOP).await.map(|_| ())
    }

    fn signal(&self, signal: Signal) {
        // A child that was waited for has no id, so that no stranger is hit.
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::INT);
    }
}

fn ended(status: ExitStatus) -> String {
    format!("it ended with {status}")
}
