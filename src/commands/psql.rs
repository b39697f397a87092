use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use tokio_postgres::config::Host;

use super::databases::databases;
use crate::cli::{Database, Psql};
use crate::config::Config;

pub(super) fn run(config: &Config, arguments: Psql) -> anyhow::Result<ExitCode> {
    let databases = databases(config)?;
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
    let mut psql = Command::new("psql");
    // By environment, since arguments show in process lists.
    psql.env("PGHOST", host)
        .env("PGPORT", port.to_string())
        .env("PGDATABASE", connection.get_dbname().unwrap_or_default())
        .env("PGUSER", connection.get_user().unwrap_or_default())
        .env("PGAPPNAME", "momsflow psql")
        .args(arguments.args);
    if let Some(password) = connection.get_password() {
        psql.env("PGPASSWORD", String::from_utf8_lossy(password).as_ref());
    }
    let error = psql.exec();
    Err(error).context("psql cannot be started\n\nhint: it comes with PostgreSQL's client: apt-get install postgresql-client")
}
