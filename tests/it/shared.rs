//! One PostgreSQL for the whole test run, a database a test.

use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use momsflow::embedded::{Connections, EmbeddedPostgres};
use momsflow::store::migrate::{Database, migrate};
use tokio_postgres::Config;

use crate::support::{DataDir, connect};

static SERVER: OnceLock<Connections> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A fresh event store on the shared server.
pub async fn event_store() -> Config {
    let server = SERVER.get_or_init(start);
    let name = format!("t{}", DATABASES.fetch_add(1, Ordering::SeqCst));
    let admin = connect(&server.events()).await.unwrap();
    admin
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let mut config = server.events();
    config.dbname(&name);
    migrate(&config, Database::Events).await.unwrap();
    config
}

/// Databases that outlive a serve: the event store, and the config that names both.
pub async fn databases() -> (Config, String) {
    let store = event_store().await;
    let events = store.get_dbname().unwrap().to_owned();
    let views = format!("{events}_views");
    let admin = connect(&store).await.unwrap();
    admin
        .batch_execute(&format!("CREATE DATABASE {views}"))
        .await
        .unwrap();
    let config = format!(
        "[postgres]\nevents_url = \"{}\"\nviews_url = \"{}\"\n",
        url(&store, &events),
        url(&store, &views)
    );
    (store, config)
}

fn url(config: &Config, database: &str) -> String {
    format!(
        "postgres://{}:{}@127.0.0.1:{}/{database}",
        config.get_user().unwrap(),
        String::from_utf8_lossy(config.get_password().unwrap()),
        config.get_ports()[0]
    )
}

/// Starts the server on a thread of its own, since each test has a runtime that ends with it.
fn start() -> Connections {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let data_dir = DataDir::new();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let postgres: EmbeddedPostgres = data_dir.start().await;
            watch(postgres.pid().unwrap(), &data_dir);
            tell.send(postgres.connections().clone()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    told.recv().unwrap()
}

/// Statics are not dropped: a shell that waits for this process's end of a pipe cleans up after it.
fn watch(postmaster: i32, data_dir: &DataDir) {
    let script = format!(
        "trap '' INT TERM; read -r _; kill -QUIT {postmaster}; sleep 1; kill -9 {postmaster}; rm -rf '{}'",
        data_dir.parent().display()
    );
    let watchdog = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::mem::forget(watchdog);
}
