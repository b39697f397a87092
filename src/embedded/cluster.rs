//! Makes the cluster, its roles and its databases.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use postgres_protocol::password::scram_sha_256;
use tokio::process::Command;
use tokio_postgres::{Client, NoTls};
use tracing::info;

use super::account::Account;
use super::connections::{Connections, EVENTS_DATABASE, OWNER, READER, VIEWS_DATABASE};
use super::error::{During, EmbeddedError};
use super::find::Installation;
use super::layout::Layout;
use crate::config::Secret;
use crate::private::{sync_folder, write_whole};

/// So that dashboards leave capture its share of `max_connections`.
const READER_CONNECTIONS: u32 = 50;
const REMOVAL_TRIES: u32 = 200;
const REMOVAL_WAIT: Duration = Duration::from_millis(50);

/// Runs initdb in a folder of its own and renames that when it is done, so that a cluster which exists is whole.
pub async fn create(
    layout: &Layout,
    installation: &Installation,
    account: Option<&Account>,
    password: &Secret,
) -> Result<(), EmbeddedError> {
    let unfinished = layout.unfinished_cluster();
    info!(version = installation.version, cluster = %layout.cluster().display(), "creating a PostgreSQL cluster");
    if unfinished.exists() {
        info!("an earlier creation was interrupted, beginning anew");
        remove(&unfinished).await?;
    }
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&unfinished)
        .during(|| format!("creating {}", unfinished.display()))?;
    let password_file = layout.folder().join("initdb-password");
    write_whole(&password_file, password.reveal())
        .during(|| format!("writing {}", password_file.display()))?;
    if let Some(account) = account {
        account.own(&unfinished)?;
        account.own(&password_file)?;
    }
    let outcome = initdb(&unfinished, installation, account, &password_file).await;
    let _ = fs::remove_file(&password_file);
    outcome?;
    fs::rename(&unfinished, layout.cluster())
        .and_then(|()| sync_folder(layout.folder()))
        .during(|| format!("renaming {}", unfinished.display()))
}

/// Removes a folder even while a process that initdb had just forked, and that nobody could see yet, writes into it.
async fn remove(folder: &Path) -> Result<(), EmbeddedError> {
    for _ in 0..REMOVAL_TRIES {
        if fs::remove_dir_all(folder).is_ok() {
            return Ok(());
        }
        tokio::time::sleep(REMOVAL_WAIT).await;
    }
    fs::remove_dir_all(folder).during(|| format!("removing {}", folder.display()))
}

async fn initdb(
    folder: &Path,
    installation: &Installation,
    account: Option<&Account>,
    password_file: &Path,
) -> Result<(), EmbeddedError> {
    let mut command = Command::new(installation.program("initdb"));
    command
        .arg("--pgdata")
        .arg(folder)
        .arg("--pwfile")
        .arg(password_file)
        .args(["--username", OWNER, "--auth", "scram-sha-256"])
        .args(["--encoding", "UTF8", "--lc-collate", "C", "--lc-ctype", ctype()])
        .args(["--lc-messages", "C", "--data-checksums"])
        // By its working folder an initdb that outlives momsflow is found again.
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    prepare(&mut command, account);
    let output = command
        .output()
        .await
        .during(|| format!("running {}", installation.program("initdb").display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(EmbeddedError::Initdb(
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    ))
}

/// Sorting by bytes is fast and the same everywhere, while letters beyond ASCII still have upper and lower case
/// where the system has this locale by default.
fn ctype() -> &'static str {
    if cfg!(target_os = "linux") { "C.UTF-8" } else { "C" }
}

/// Shields a PostgreSQL program from this process's user, terminal and environment.
pub fn prepare(command: &mut Command, account: Option<&Account>) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    // A Ctrl-C on the terminal reaches the whole foreground group; momsflow stops the server itself.
    command.env("LC_ALL", "C").process_group(0);
    if let Some(account) = account {
        account.apply(command);
    }
}

/// Makes the reader and both databases where they are missing; an interrupted first start is completed so.
pub async fn ensure_databases(connections: &Connections) -> Result<(), EmbeddedError> {
    let (client, connection) = connections.config("postgres", OWNER).connect(NoTls).await?;
    let driver = tokio::spawn(connection);
    let outcome = ensure(&client, connections.reader_password()).await;
    drop(client);
    let _ = driver.await;
    Ok(outcome?)
}

async fn ensure(client: &Client, reader_password: &Secret) -> Result<(), tokio_postgres::Error> {
    let is_missing = client
        .query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&READER])
        .await?
        .is_none();
    let verb = if is_missing { "CREATE" } else { "ALTER" };
    // Neither this process's log of statements nor the server's shall ever show the password itself.
    let verifier = scram_sha_256(reader_password.reveal().as_bytes());
    client
        .batch_execute(&format!(
            "{verb} ROLE {READER} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE \
             CONNECTION LIMIT {READER_CONNECTIONS} PASSWORD '{verifier}'"
        ))
        .await?;
    for database in [EVENTS_DATABASE, VIEWS_DATABASE] {
        let exists = client
            .query_opt("SELECT FROM pg_database WHERE datname = $1", &[&database])
            .await?
            .is_some();
        if !exists {
            client
                .batch_execute(&format!("CREATE DATABASE {database} OWNER {OWNER}"))
                .await?;
        }
    }
    Ok(())
}

/// Writes a file that the server's user reads.
pub fn write_for(account: Option<&Account>, path: &Path, text: &str) -> Result<(), EmbeddedError> {
    let write = || -> io::Result<()> {
        if fs::read_to_string(path).is_ok_and(|present| present.trim_end() == text.trim_end()) {
            return Ok(());
        }
        write_whole(path, text.trim_end())
    };
    write().during(|| format!("writing {}", path.display()))?;
    match account {
        Some(account) => account.own(path),
        None => Ok(()),
    }
}
