use std::io;
use std::path::PathBuf;

use super::find::OLDEST_MAJOR;

/// Why the embedded PostgreSQL is not there.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error("no PostgreSQL {OLDEST_MAJOR} or later is installed (found {found})\n\nhint: {hint}")]
    NotInstalled { found: String, hint: String },
    #[error(
        "postgres.bin_dir {} holds no PostgreSQL {OLDEST_MAJOR} or later: {reason}\n\n\
         hint: it is the folder with the programs `postgres` and `initdb`; leave it out to search for one",
        path.display()
    )]
    BinDir { path: PathBuf, reason: String },
    #[error(
        "the data in {} was made by PostgreSQL {made_by}, which cannot be found (found {found})\n\nhint: {hint}",
        cluster.display()
    )]
    OtherMajor {
        cluster: PathBuf,
        made_by: u32,
        found: String,
        hint: String,
    },
    #[error(
        "{} exists but is no PostgreSQL data folder\n\nhint: move it away; momsflow makes the folder itself",
        .0.display()
    )]
    NotACluster(PathBuf),
    #[error(
        "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as\n\n\
         hint: run momsflow as an ordinary user, or create one: useradd --system postgres"
    )]
    NoAccount,
    #[error(
        "the user {account}, who runs PostgreSQL, cannot enter {}, and so not reach the data dir\n\n\
         hint: use another data dir (--data-dir /var/lib/momsflow), or let others pass: chmod o+x {}",
        folder.display(), folder.display()
    )]
    NotTraversable { account: String, folder: PathBuf },
    #[error(
        "{} belongs to another user (uid {owner})\n\nhint: run momsflow as that user or as root",
        path.display()
    )]
    OtherOwner { path: PathBuf, owner: u32 },
    #[error("{} is missing, though the cluster beside it exists\n\nhint: restore the file from a backup", .0.display())]
    PasswordMissing(PathBuf),
    #[error("initdb failed: {0}")]
    Initdb(String),
    #[error(
        "port {port} of 127.0.0.1 is taken by another process\n\n\
         hint: choose another as postgres.port, or 0 to have a free one chosen"
    )]
    PortTaken { port: u16 },
    #[error("PostgreSQL does not start: {reason}\n\nhint: its log is {}", log.display())]
    Start { reason: String, log: PathBuf },
    #[error("processes of an earlier PostgreSQL on this data dir do not end: {0}")]
    StraysRemain(String),
    #[error(
        "no embedded PostgreSQL in {}\n\nhint: start `momsflow serve`, or name the right one with --data-dir",
        .0.display()
    )]
    NoCluster(PathBuf),
    #[error("the embedded PostgreSQL in {} is not running\n\nhint: start `momsflow serve`", .0.display())]
    NotRunning(PathBuf),
    #[error("{action}: {source}")]
    Io { action: String, source: io::Error },
    #[error("the embedded PostgreSQL could not be set up: {0}")]
    Setup(#[from] tokio_postgres::Error),
}

/// Says what was being done when an I/O error came.
pub(super) trait During<T> {
    fn during(self, action: impl FnOnce() -> String) -> Result<T, EmbeddedError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, action: impl FnOnce() -> String) -> Result<T, EmbeddedError> {
        self.map_err(|source| EmbeddedError::Io {
            action: action(),
            source,
        })
    }
}
