use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use tokio_postgres::config::Host;

use super::databases::{databases, for_reading};
use crate::cli::{Database, Psql};
use crate::config::Config;
use crate::embedded::find;

pub(super) fn run(config: &Config, arguments: Psql) -> anyhow::Result<ExitCode> {
    let databases = match arguments.write {
        true => databases(config)?,
        false => for_reading(config)?,
    };
    let connection = match arguments.database {
        Database::Events => databases.events,
        Database::Views => databases.views,
    };
    let host = match connection.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => bail!("the database's URL names no host"),
    };
    let port = connection.get_ports().first().copied().unwrap_or(5432);
    let psql = |program| command(program, &connection, &host, port, &arguments);
    let error = psql("psql".into()).exec();
    // Embedded PostgreSQL is found where packages put it, which is not always on the PATH; its psql is beside it.
    let beside = match error.kind() {
        io::ErrorKind::NotFound => installed(config),
        _ => None,
    };
    let error = match beside {
        Some(program) => psql(program).exec(),
        None => error,
    };
    Err(error).context(
        "psql cannot be started\n\n\
         hint: it comes with PostgreSQL's client programs (Debian: postgresql-client, Homebrew: libpq); \
         install them, or name their folder as postgres.bin_dir",
    )
}

fn command(
    program: PathBuf,
    connection: &tokio_postgres::Config,
    host: &str,
    port: u16,
    arguments: &Psql,
) -> Command {
    let mut psql = Command::new(program);
    // By environment, since arguments show in process lists.
    psql.env("PGHOST", host)
        .env("PGPORT", port.to_string())
        .env("PGDATABASE", connection.get_dbname().unwrap_or_default())
        .env("PGUSER", connection.get_user().unwrap_or_default())
        .env("PGAPPNAME", "momsflow psql")
        .args(&arguments.args);
    if !arguments.write {
        let own = std::env::var("PGOPTIONS").unwrap_or_default();
        psql.env("PGOPTIONS", read_only(&own));
    }
    if let Some(password) = connection.get_password() {
        psql.env("PGPASSWORD", String::from_utf8_lossy(password).as_ref());
    }
    psql
}

/// The user's options with those of a session that only reads. The limit of 30 s on a statement is for dashboards;
/// somebody at a terminal waits or presses Ctrl-C.
fn read_only(own: &str) -> String {
    format!("-c statement_timeout=0 {own} -c default_transaction_read_only=on")
}

/// The psql of the PostgreSQL that is configured or installed.
fn installed(config: &Config) -> Option<PathBuf> {
    let cluster = config.data_dir.join("postgres").join("cluster");
    let found = find(config.postgres.bin_dir.as_deref(), &cluster, None).ok()?;
    Some(found.program("psql")).filter(|program| program.is_file())
}
