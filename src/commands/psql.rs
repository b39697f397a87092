use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use tokio_postgres::config::Host;

use super::databases::{databases, for_reading};
use crate::cli::{Database, Psql};
use crate::config::{Config, PostgresTls, PostgresTlsMode};
use crate::embedded::find;
use crate::store::server::Server;

pub(super) fn run(config: &Config, arguments: Psql) -> anyhow::Result<ExitCode> {
    let databases = match arguments.write {
        true => databases(config)?,
        false => for_reading(config)?,
    };
    let connection = match arguments.database {
        Database::Events => databases.events,
        Database::Views => databases.views,
    };
    let psql = |program| command(program, &connection, &arguments);
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

fn command(program: PathBuf, server: &Server, arguments: &Psql) -> Command {
    let connection = server.config();
    let mut psql = Command::new(program);
    // By environment, since arguments show in process lists.
    psql.env("PGHOST", hosts(connection))
        .env("PGPORT", ports(connection))
        .envs(tls(server.tls()))
        .env("PGDATABASE", connection.get_dbname().unwrap_or_default())
        .env("PGUSER", connection.get_user().unwrap_or_default())
        .env("PGAPPNAME", "momsflow psql")
        .args(&arguments.args);
    if !arguments.write {
        let own = std::env::var("PGOPTIONS").unwrap_or_default();
        psql.env("PGOPTIONS", read_only(&own));
    }
    if let [first, ..] = connection.get_hostaddrs() {
        psql.env("PGHOSTADDR", first.to_string());
    }
    if let Some(password) = connection.get_password() {
        psql.env("PGPASSWORD", String::from_utf8_lossy(password).as_ref());
    }
    psql
}

/// One of several answers, as libpq has it.
fn hosts(connection: &tokio_postgres::Config) -> String {
    let named = connection.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    });
    named.collect::<Vec<_>>().join(",")
}

fn ports(connection: &tokio_postgres::Config) -> String {
    match connection.get_ports() {
        [] => "5432".to_owned(),
        ports => ports.iter().map(u16::to_string).collect::<Vec<_>>().join(","),
    }
}

/// The same trust that momsflow has, over whatever the user's own environment says.
fn tls(tls: &PostgresTls) -> Vec<(&'static str, OsString)> {
    let mode = tls.mode();
    let mut variables = vec![("PGSSLMODE", mode.as_str().into())];
    let verifies = matches!(mode, PostgresTlsMode::VerifyCa | PostgresTlsMode::VerifyFull);
    let authorities = tls.ca_file.clone().map(PathBuf::into_os_string);
    // Before version 16 libpq has no word for the authorities that the system trusts.
    let of_system = || {
        openssl_probe::probe()
            .cert_file
            .map_or("system".into(), PathBuf::into_os_string)
    };
    if verifies {
        variables.push(("PGSSLROOTCERT", authorities.unwrap_or_else(of_system)));
    }
    if let (Some(certificate), Some(key)) = (&tls.certificate_file, &tls.key_file) {
        variables.push(("PGSSLCERT", certificate.into()));
        variables.push(("PGSSLKEY", key.into()));
    }
    variables
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
