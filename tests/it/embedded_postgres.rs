use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use momsflow::embedded::{EmbeddedError, EmbeddedPostgres, HEALTH_PART, connection_of, find};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config};
use tokio_util::sync::CancellationToken;

use super::serve::until;
use super::support::{DataDir, connect, kill, value};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A query that keeps a backend busy without ever waiting for anything.
const BUSY: &str = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b";

/// Keeps a client's backend busy until it dies, and returns once it is at work.
async fn keep_busy(config: &Config, client: Client) -> JoinHandle<Result<(), tokio_postgres::Error>> {
    let busy = tokio::spawn(async move { client.batch_execute(BUSY).await });
    let observer = connect(config).await.unwrap();
    let at_work =
        format!("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = '{BUSY}'");
    until("the backend is busy", async || {
        value(&observer, &at_work).await == "1"
    })
    .await;
    busy
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_serving_and_again() {
    let data = DataDir::new();
    let postgres = data.start().await;
    let client = connect(&postgres.events_config()).await.unwrap();
    for (setting, expected) in [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("listen_addresses", "127.0.0.1"),
        ("jit", "off"),
        ("checkpoint_timeout", "15min"),
        ("TimeZone", "UTC"),
    ] {
        assert_eq!(
            value(&client, &format!("SHOW {setting}")).await,
            expected,
            "{setting}"
        );
    }
    assert_eq!(value(&client, "SELECT upper('äöü')").await, "ÄÖÜ");
    client
        .batch_execute("CREATE TABLE kept AS SELECT 7 AS n")
        .await
        .unwrap();
    connect(&postgres.views_config()).await.unwrap();
    drop(client);

    let port = postgres.connections().port();
    postgres.stop().await.unwrap();
    assert_eq!(data.processes(), Vec::<i32>::new());

    let postgres = data.start().await;
    assert_eq!(postgres.connections().port(), port);
    let client = connect(&postgres.events_config()).await.unwrap();
    assert_eq!(value(&client, "SELECT n FROM kept").await, "7");
    postgres.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_the_password_and_nothing_runs_as_root() {
    let data = DataDir::new();
    let postgres = data.start().await;
    for file in ["owner-password", "reader-password"] {
        let mode = data.postgres(file).metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert!(!data.postgres("initdb-password").exists());
    let log = fs::read_to_string(data.postgres("postgres.log")).unwrap();
    let reader_password = postgres.connections().reader_password().reveal();
    assert!(!log.contains(reader_password));

    let mut over_tcp = tokio_postgres::Config::new();
    over_tcp
        .host("127.0.0.1")
        .port(postgres.connections().port())
        .user("momsflow_reader")
        .dbname("momsflow_events");
    connect(over_tcp.clone().password(reader_password)).await.unwrap();
    assert!(connect(over_tcp.password("guess")).await.is_err());
    let mut over_socket = postgres.events_config();
    assert!(connect(over_socket.password("guess")).await.is_err());

    let processes = data.processes();
    assert!(processes.len() > 1, "{processes:?}");
    for pid in processes {
        let status = fs::metadata(format!("/proc/{pid}")).unwrap();
        assert_ne!(status.uid(), 0, "process {pid}");
    }
    postgres.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postmaster_comes_back_under_supervision() {
    let data = DataDir::new();
    let options = data.options();
    let health = options.health.clone();
    let postgres = Arc::new(EmbeddedPostgres::start(options).await.unwrap());
    let shutdown = CancellationToken::new();
    let supervisor = tokio::spawn({
        let (postgres, shutdown) = (postgres.clone(), shutdown.clone());
        async move { postgres.supervise(shutdown).await }
    });
    let config = postgres.events_config();
    let client = connect(&config).await.unwrap();
    client
        .batch_execute("CREATE TABLE kept AS SELECT 7 AS n")
        .await
        .unwrap();
    let busy = keep_busy(&config, client).await;

    for round in 0..2 {
        let killed = postgres.pid().unwrap();
        kill(killed);
        until(&format!("it is back from kill {round}"), async || {
            postgres.pid() != Some(killed) && connect(&config).await.is_ok()
        })
        .await;
        let client = connect(&config).await.unwrap();
        assert_eq!(value(&client, "SELECT n FROM kept").await, "7");
    }
    assert!(busy.await.unwrap().is_err());
    until("it is healthy again", async || health.faults().is_empty()).await;

    shutdown.cancel();
    supervisor.await.unwrap().unwrap();
    assert_eq!(data.processes(), Vec::<i32>::new());
    assert!(
        !data.postgres("cluster/postmaster.pid").exists(),
        "it was stopped cleanly"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_come_back_is_told_and_tried_until_it_can() {
    let data = DataDir::new();
    let options = data.options();
    let health = options.health.clone();
    let postgres = Arc::new(EmbeddedPostgres::start(options).await.unwrap());
    let shutdown = CancellationToken::new();
    let supervisor = tokio::spawn({
        let (postgres, shutdown) = (postgres.clone(), shutdown.clone());
        async move { postgres.supervise(shutdown).await }
    });
    let auto = data.postgres("cluster/postgresql.auto.conf");
    let good = fs::read_to_string(&auto).unwrap();
    fs::write(&auto, "shared_buffers = 'a lot'\n").unwrap();
    kill(postgres.pid().unwrap());
    until("the health names the reason", async || {
        let faults = health.faults();
        faults
            .get(HEALTH_PART)
            .is_some_and(|reason| reason.contains("shared_buffers"))
    })
    .await;

    fs::write(&auto, good).unwrap();
    until("it serves again", async || health.faults().is_empty()).await;
    connect(&postgres.events_config()).await.unwrap();
    shutdown.cancel();
    supervisor.await.unwrap().unwrap();
    assert_eq!(data.processes(), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_a_killed_run_is_stopped_and_a_new_one_takes_over() {
    let data = DataDir::new();
    // Forgotten rather than dropped, as by a SIGKILL.
    let first = std::mem::ManuallyDrop::new(data.start().await);
    let client = connect(&first.events_config()).await.unwrap();
    client
        .batch_execute("CREATE TABLE kept AS SELECT 7 AS n")
        .await
        .unwrap();
    let orphan = first.pid().unwrap();

    let second = std::mem::ManuallyDrop::new(data.start().await);
    assert_ne!(second.pid(), Some(orphan));
    assert!(!data.processes().contains(&orphan));
    let client = connect(&second.events_config()).await.unwrap();
    assert_eq!(value(&client, "SELECT n FROM kept").await, "7");

    // This time only the postmaster dies, and a backend goes on holding the shared memory.
    let busy = keep_busy(&second.events_config(), client).await;
    let postmaster = second.pid().unwrap();
    kill(postmaster);
    until("the postmaster is gone", async || {
        !data.processes().contains(&postmaster)
    })
    .await;
    assert!(!data.processes().is_empty(), "the busy backend lives on");
    let _third = std::mem::ManuallyDrop::new(data.start().await);
    assert!(busy.await.unwrap().is_err());
    // And once everything.
    while let Some(pid) = data.processes().first() {
        kill(*pid);
    }
    let fourth = data.start().await;
    let client = connect(&fourth.events_config()).await.unwrap();
    assert_eq!(value(&client, "SELECT n FROM kept").await, "7");
    fourth.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_pid_file_does_not_keep_the_server_from_starting() {
    let data = DataDir::new();
    let postgres = data.start().await;
    let pid_file = data.postgres("cluster/postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    postgres.stop().await.unwrap();
    let owner = data.postgres("cluster").metadata().unwrap();

    // The number belongs to a living process of the same user, which is no PostgreSQL.
    let mut stranger = Command::new("sleep")
        .arg("60")
        .uid(owner.uid())
        .gid(owner.gid())
        .spawn()
        .unwrap();
    let rest = text.split_once('\n').unwrap().1;
    for pid in [stranger.id(), 4_000_000] {
        fs::write(&pid_file, format!("{pid}\n{rest}")).unwrap();
        std::os::unix::fs::chown(&pid_file, Some(owner.uid()), Some(owner.gid())).unwrap();
        fs::set_permissions(&pid_file, Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            connection_of(data.path()),
            Err(EmbeddedError::NotRunning(_))
        ));
        let started = EmbeddedPostgres::start(data.options()).await;
        if started.is_err() {
            let _ = stranger.kill();
        }
        started.unwrap().stop().await.unwrap();
    }
    assert!(
        stranger.try_wait().unwrap().is_none(),
        "the stranger was left alone"
    );
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_files_that_a_killed_start_left_empty_do_not_keep_the_server_from_starting() {
    let data = DataDir::new();
    let postgres = data.start().await;
    let socket_lock = fs::read_dir(data.postgres("socket"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "lock"))
        .expect("the server has a socket in the data dir");
    postgres.stop().await.unwrap();
    let owner = data.postgres("cluster").metadata().unwrap();
    for path in [&socket_lock, &data.postgres("cluster/postmaster.pid")] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        data.start().await.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_another_major_version_is_refused_and_left_alone() {
    let data = DataDir::new();
    fs::create_dir_all(data.postgres("cluster")).unwrap();
    fs::write(data.postgres("cluster/PG_VERSION"), "99\n").unwrap();
    if is_root() {
        // As if `nobody` had made it; root's own would be no cluster of PostgreSQL.
        std::os::unix::fs::chown(data.postgres("cluster"), Some(65534), Some(65534)).unwrap();
    }
    let refused = EmbeddedPostgres::start(data.options())
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("made by PostgreSQL 99"), "{refused}");
    assert!(refused.contains("hint: "), "{refused}");
    let version = fs::read_to_string(data.postgres("cluster/PG_VERSION")).unwrap();
    assert_eq!(version, "99\n");
}

/// Waits for a file that is there for a while only.
async fn appears(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_creation_is_begun_anew() {
    let data = DataDir::new();
    // At its beginning, and somewhat later.
    for made in ["", "base"] {
        let made = data.postgres("cluster.new").join(made);
        tokio::select! {
            biased;
            () = appears(&made) => {}
            _ = EmbeddedPostgres::start(data.options()) => panic!("nobody interrupted it"),
        }
    }
    assert!(!data.postgres("cluster").exists());
    assert!(data.postgres("cluster.new").exists());

    let postgres = data.start().await;
    connect(&postgres.events_config()).await.unwrap();
    postgres.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_outlives_its_momsflow_is_ended_and_begun_anew() {
    let data = DataDir::new();
    let unfinished = data.postgres("cluster.new");
    fs::create_dir_all(&unfinished).unwrap();
    let initdb = find(None, &unfinished, None).unwrap().program("initdb");
    let mut orphan = Command::new(initdb);
    orphan.arg("-D").arg(&unfinished).current_dir(&unfinished);
    orphan
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    if is_root() {
        let (uid, gid) = user("nobody");
        std::os::unix::fs::chown(&unfinished, Some(uid), Some(gid)).unwrap();
        orphan.uid(uid).gid(gid);
    }
    let mut orphan = orphan.spawn().unwrap();
    appears(&unfinished.join("base")).await;
    // Held there, so that it is still at work when the next start comes to it, however long that takes.
    let pid = Pid::from_raw(i32::try_from(orphan.id()).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();

    let postgres = data.start().await;
    assert!(!orphan.wait().unwrap().success());
    assert!(!unfinished.exists());
    connect(&postgres.events_config()).await.unwrap();
    postgres.stop().await.unwrap();
}

fn user(name: &str) -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users
        .lines()
        .find(|line| line.starts_with(&format!("{name}:")))
        .unwrap();
    let fields: Vec<_> = line.split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_dir_that_the_servers_user_cannot_reach_is_refused() {
    if !is_root() {
        eprintln!("skipped: only root starts PostgreSQL as another user");
        return;
    }
    let data = DataDir::new();
    fs::set_permissions(data.parent(), Permissions::from_mode(0o700)).unwrap();
    let error = EmbeddedPostgres::start(data.options()).await.unwrap_err();
    assert!(
        matches!(&error, EmbeddedError::NotTraversable { folder, .. } if folder == &data.parent().canonicalize().unwrap()),
        "{error}"
    );
    assert!(
        error.to_string().contains("--data-dir /var/lib/momsflow"),
        "{error}"
    );

    // The data dir itself is momsflow's to open.
    fs::set_permissions(data.parent(), Permissions::from_mode(0o711)).unwrap();
    fs::set_permissions(data.path(), Permissions::from_mode(0o700)).unwrap();
    data.start().await.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_path_gets_its_socket_elsewhere() {
    let data = DataDir::named(&"long".repeat(40));
    let postgres = data.start().await;
    let folder = postgres.connections().socket_folder().unwrap().to_owned();
    assert!(!folder.starts_with(data.parent()), "{}", folder.display());
    assert_eq!(folder.metadata().unwrap().mode() & 0o777, 0o700);
    connect(&postgres.events_config()).await.unwrap();
    let found = connection_of(data.path()).unwrap();
    assert_eq!(found.socket_folder(), Some(folder.as_path()));
    postgres.stop().await.unwrap();
    assert!(!folder.exists(), "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_commands_find_the_running_server() {
    let data = DataDir::new();
    assert!(matches!(
        connection_of(data.path()),
        Err(EmbeddedError::NoCluster(_))
    ));
    let postgres = data.start().await;
    let found = connection_of(data.path()).unwrap();
    assert_eq!(found.port(), postgres.connections().port());
    connect(&found.events()).await.unwrap();
    connect(&found.reader_views()).await.unwrap();
    postgres.stop().await.unwrap();
    assert!(matches!(
        connection_of(data.path()),
        Err(EmbeddedError::NotRunning(_))
    ));

    fs::remove_file(data.postgres("owner-password")).unwrap();
    let error = EmbeddedPostgres::start(data.options()).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::PasswordMissing(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_replaced_or_refused_as_configured() {
    let data = DataDir::new();
    let postgres = data.start().await;
    let first = postgres.connections().port();
    postgres.stop().await.unwrap();

    let thief = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
    let mut options = data.options();
    options.port = first;
    let error = EmbeddedPostgres::start(options).await.unwrap_err();
    assert!(
        matches!(error, EmbeddedError::PortTaken { port } if port == first),
        "{error}"
    );

    let postgres = data.start().await;
    let second = postgres.connections().port();
    assert_ne!(second, first);
    postgres.stop().await.unwrap();
    drop(thief);
    let postgres = data.start().await;
    assert_eq!(postgres.connections().port(), second, "the new one is kept");
    postgres.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_quotes_the_servers_reason() {
    let data = DataDir::new();
    data.start().await.stop().await.unwrap();
    let auto = data.postgres("cluster/postgresql.auto.conf");
    fs::write(&auto, "shared_buffers = 'a lot'\n").unwrap();
    let error = EmbeddedPostgres::start(data.options())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("shared_buffers"), "{error}");
    assert!(error.contains("postgres.log"), "{error}");
}
