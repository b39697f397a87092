//! Moving an install that takes events all the while: to Kafka, and to a PostgreSQL of one's own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use momsflow::embedded::{Connections, connection_of};
use serde_json::{Value, json};
use tokio_postgres::{Client, Config};

use crate::kafka::broker::{shared, topic_on};
use crate::kafka::load::{Load, assert_exact, track};
use crate::kafka::serving::toml;
use crate::serve::{Serve, run, until};
use crate::shared::databases;
use crate::support::{DataDir, connect, value};

const COUNTS: &str = "SELECT count(*) || ' ' || count(DISTINCT event_id) FROM all_events";

async fn stored(store: &Client) -> i64 {
    value(store, "SELECT count(*) FROM all_events")
        .await
        .parse()
        .unwrap()
}

async fn stored_some(store: &Client) {
    until("some events are stored", async || stored(store).await > 500).await;
}

/// Changes the config for the next start.
fn configure(serve: &Serve, config: &str) {
    fs::write(serve.folder().join("momsflow.toml"), config).unwrap();
}

/// What a start says that is refused.
async fn refusal(serve: &Serve) -> String {
    let mut command = serve.command(&["serve"]);
    command
        .env("MOMSFLOW_HTTP__LISTEN", "127.0.0.1:0")
        .env("MOMSFLOW_ADMIN__LISTEN", "127.0.0.1:0");
    let ran = run(command).await;
    assert_ne!(ran.code, Some(0), "{}", ran.stderr);
    ran.stderr
}

/// Keeps capture from moving positions until the client is dropped.
async fn hold(store: &Config, which: &str) -> Client {
    let client = connect(store).await.unwrap();
    let lock = format!("BEGIN; SELECT FROM positions WHERE {which} FOR UPDATE");
    client.batch_execute(&lock).await.unwrap();
    client
}

async fn former_log(serve: &Serve) -> Value {
    // A partition that is held is a fault.
    serve.status_with_faults().await["former_log"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn to_kafka_under_load_and_kills() {
    let Some(broker) = shared() else { return };
    let (config, postgres) = databases().await;
    let store = connect(&config).await.unwrap();
    let before = format!("{postgres}[capture]\nmax_batch = \"64 KiB\"\n");
    let after = format!("{before}{}", toml(&topic_on(&broker)));
    let mut serve = Serve::start(&before).await;
    let load = Load::start(&serve, 4);
    stored_some(&store).await;

    let most = hold(&config, "log_partition < 3").await;
    let last = hold(&config, "log_partition = 3").await;
    let twice: Vec<_> = (0..80).map(|number| format!("twice-{number}")).collect();
    let batch: Vec<_> = twice.iter().map(|id| track(id)).collect();
    let batch = json!({"batch": batch});
    assert_eq!(serve.post("/v1/batch", &batch).await.0, 200);
    tokio::time::sleep(Duration::from_secs(2)).await;
    serve.kill().await;

    configure(&serve, &format!("roles = [\"ingest\"]\n{after}"));
    let refused = refusal(&serve).await;
    assert!(refused.contains("no role capture"), "{refused}");
    let checked = serve.cli(&["check"]).await.expect(1);
    assert!(checked.contains("no role capture"), "{checked}");

    configure(&serve, &after);
    serve.launch();
    let address = serve.http();
    until("it listens", async || {
        tokio::net::TcpStream::connect(address).await.is_ok()
    })
    .await;
    assert_eq!(serve.post("/v1/batch", &batch).await.0, 200);
    let from_kafka = "SELECT count(*) FROM events JOIN logs ON logs.id = events.log_id \
        WHERE kind = 'kafka' AND user_id LIKE 'u-twice-%'";
    until("copies are stored from Kafka first", async || {
        value(&store, from_kafka).await == "80"
    })
    .await;
    let waiting = former_log(&serve).await;
    assert_eq!(waiting["is_drained"], false, "{waiting}");

    drop(most);
    let waiting = waiting["records"].as_i64().unwrap();
    let partial = drained_but_one_partition(&serve, waiting).await;
    assert_ne!(partial, 0);
    println!("{partial} records left of {waiting}");
    let folder = serve.data_dir().join("event-log");
    assert!(folder.exists());
    serve.kill().await;
    drop(last);
    // And wherever it is when it has just begun.
    for start in 2..4 {
        serve.launch();
        until("it drains", async || {
            serve.log().matches("are stored now").count() == start
        })
        .await;
        serve.kill().await;
        println!("killed with the log still there: {}", folder.exists());
    }
    serve.start_again().await;
    until("the former log is drained", async || !folder.exists()).await;
    assert!(serve.data_dir().join("event-log.drained").exists());
    until("status says so", async || {
        let status = serve.cli(&["status"]).await.stdout;
        // The kill before may have come after the end of it.
        status.contains("may be deleted") || !status.contains("former log")
    })
    .await;

    let mut acknowledged = load.end().await;
    acknowledged.extend(twice);
    serve.settle().await;
    assert_exact(&store, &acknowledged).await;
    let copies = "SELECT sum(duplicate) >= 80 FROM positions JOIN logs ON logs.id = positions.log_id WHERE kind = 'embedded'";
    assert_eq!(value(&store, copies).await, "t");
    serve.stop().await;
    back_to_an_embedded_log(&mut serve, &store, &before).await;
}

/// Waits until less is left than `before`, and what is left no longer changes.
async fn drained_but_one_partition(serve: &Serve, before: i64) -> i64 {
    let mut seen = Vec::new();
    until("one partition is left", async || {
        seen.push(former_log(serve).await["records"].as_i64().unwrap());
        matches!(seen[..], [.., a, b, c] if c < before && a == b && b == c)
    })
    .await;
    seen.pop().unwrap()
}

async fn back_to_an_embedded_log(serve: &mut Serve, store: &Client, config: &str) {
    configure(serve, config);
    let refused = refusal(serve).await;
    assert!(refused.contains("names no broker any more"), "{refused}");
    let checked = serve.cli(&["check"]).await.expect(1);
    assert!(checked.contains("names no broker any more"), "{checked}");
    fs::remove_file(serve.data_dir().join("kafka-log")).unwrap();
    let before = stored(store).await;
    serve.start_again().await;
    assert_eq!(serve.post("/v1/track", &track("back")).await.0, 200);
    until("it is stored from a new log", async || {
        stored(store).await == before + 1
    })
    .await;
    let kinds = "SELECT string_agg(kind, ' ' ORDER BY id) FROM logs";
    assert_eq!(value(store, kinds).await, "embedded kafka embedded");
    serve.stop().await;
}

/// The fenced blocks of a section of docs/operations.md, without their indentation: language and text.
fn blocks(section: &str) -> Vec<(String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let text = fs::read_to_string(file).unwrap();
    let begin = text.find(&format!("## {section}\n")).unwrap();
    let text = &text[begin + 3..];
    let text = &text[..text.find("\n## ").unwrap_or(text.len())];
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let indentation = line.len() - line.trim_start().len();
            let inner = lines.by_ref().take_while(|line| line.trim_start() != "```");
            let inner: Vec<_> = inner
                .map(|line| line.get(indentation..).unwrap_or_default())
                .collect();
            blocks.push((language.to_owned(), inner.join("\n")));
        }
    }
    blocks
}

/// Makes of an embedded cluster a server that knows nothing of momsflow; its administrator is `postgres`.
async fn make_foreign(server: &Connections) -> Config {
    let mut admin = server.events();
    admin.dbname("postgres");
    let momsflow = connect(&admin).await.unwrap();
    momsflow
        .batch_execute("CREATE ROLE postgres SUPERUSER LOGIN PASSWORD 'theirs'")
        .await
        .unwrap();
    drop(momsflow);
    admin.user("postgres").password("theirs");
    let postgres = connect(&admin).await.unwrap();
    for statement in [
        "DROP DATABASE momsflow_events",
        "DROP DATABASE momsflow_views",
        "DROP ROLE momsflow_reader",
        "ALTER ROLE momsflow RENAME TO initial",
    ] {
        postgres.batch_execute(statement).await.unwrap();
    }
    admin
}

/// A runbook's commands and what they need.
struct Runbook {
    folder: tempfile::TempDir,
    env: Vec<(&'static str, String)>,
}

impl Runbook {
    fn new(serve: &Serve, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        symlink(env!("CARGO_BIN_EXE_momsflow"), folder.path().join("momsflow")).unwrap();
        let path = std::env::var("PATH").unwrap();
        let own = |path: &Path| path.display().to_string();
        let env = vec![
            ("PATH", format!("{}:{path}", own(folder.path()))),
            ("MOMSFLOW_DATA_DIR", own(serve.data_dir())),
            ("MOMSFLOW_CONFIG", own(&serve.folder().join("momsflow.toml"))),
            ("SERVER", format!("postgres://momsflow@127.0.0.1:{port}")),
            ("ADMIN", format!("postgres://postgres@127.0.0.1:{port}/postgres")),
            ("ADMIN_PASSWORD", "theirs".to_owned()),
            ("OWNER_PASSWORD", "ours".to_owned()),
            ("READER_PASSWORD", "looks".to_owned()),
            ("COPY", own(&folder.path().join("copy"))),
        ];
        Self { folder, env }
    }

    async fn run(&self, commands: &str) -> String {
        let mut shell = Command::new("sh");
        shell.args(["-euc", commands]).current_dir(self.folder.path());
        shell.envs(self.env.iter().map(|(name, value)| (name, value)));
        run(shell).await.expect(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn to_an_own_postgres_by_the_runbook_under_load() {
    let server_dir = DataDir::named("server");
    let server = server_dir.start().await;
    let port = server.connections().port();
    let mut config = make_foreign(server.connections()).await;
    config.user("momsflow").password("ours").dbname("momsflow_events");

    let mut serve = Serve::start("").await;
    let load = Load::start(&serve, 4);
    let old = serve.sql().await;
    stored_some(&old).await;
    let runbook = Runbook::new(&serve, port);
    let blocks = blocks("Move to your own PostgreSQL");
    let [(_, given), (_, create), (_, copy), (_, urls), (_, compare)] = &blocks[..] else {
        panic!("{blocks:?}")
    };
    for (name, _) in runbook.env.iter().filter(|(name, _)| *name != "PATH") {
        assert!(given.contains(&format!("{name}=")), "{name}");
    }
    runbook.run(create).await;
    runbook.run(copy).await;
    let new = connect(&config).await.unwrap();
    let copied = stored(&new).await;
    assert!(copied > 500);
    until("more is stored than was copied", async || {
        stored(&old).await > copied + 200
    })
    .await;
    drop(old);

    configure(
        &serve,
        &urls
            .replace("PASSWORD", "ours")
            .replace("db.example.com:5432", &format!("127.0.0.1:{port}")),
    );
    serve.stop().await;
    serve.start_again().await;
    assert_eq!(serve.postmaster(), None, "the private cluster is not started");
    let checked = serve.cli(&["check"]).await.expect(0);
    assert!(checked.contains("event store: answers"), "{checked}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let acknowledged = load.end().await;
    serve.settle().await;
    assert_exact(&new, &acknowledged).await;
    assert_eq!(runbook.run(compare).await, "");
    let reader = config
        .clone()
        .user("momsflow_reader")
        .password("looks")
        .to_owned();
    let reader = connect(&reader).await.unwrap();
    let count = acknowledged.len();
    assert_eq!(value(&reader, COUNTS).await, format!("{count} {count}"));
    assert!(!serve.log().contains("was not set up"), "{}", serve.log());

    let lose = "DELETE FROM events WHERE event_id = (SELECT min(event_id::text)::uuid FROM events)";
    assert_eq!(new.execute(lose, &[]).await.unwrap(), 1);
    assert_ne!(runbook.run(compare).await, "", "a row less is seen");

    serve.stop().await;
    configure(&serve, "");
    serve.start_again().await;
    serve.settle().await;
    let old = connect(&connection_of(serve.data_dir()).unwrap().events())
        .await
        .unwrap();
    assert_exact(&old, &acknowledged).await;
    serve.stop().await;
    server.stop().await.unwrap();
}
