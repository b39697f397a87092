//! A data dir that was copied, with its copy alive beside it on the same event store.

use std::fs;
use std::process::Command;

use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::json;
use tokio_postgres::{Client, Config};

use crate::kafka::broker::{shared, topic_on};
use crate::kafka::serving::toml;
use crate::serve::{Ran, Serve, momsflow, run, until};
use crate::shared::event_store;
use crate::support::{connect, value};

/// Longer than a busy machine stands still: an original that misses it is taken for dead.
const LEASE: &str = "15s";
/// What a host says that does not know yet whether another one with its id lives.
const WAITS: &str = "waiting to see whether it lives";

struct Store {
    client: Client,
    config: String,
}

impl Store {
    async fn new() -> Self {
        let store = event_store().await;
        let client = connect(&store).await.unwrap();
        let events = store.get_dbname().unwrap().to_owned();
        let views = format!("{events}_views");
        let make = format!("CREATE DATABASE {views}");
        client.batch_execute(&make).await.unwrap();
        let config = format!(
            "[postgres]\nevents_url = \"{}\"\nviews_url = \"{}\"\n",
            url(&store, &events),
            url(&store, &views)
        );
        Self { client, config }
    }

    async fn value(&self, query: &str) -> String {
        value(&self.client, query).await
    }
}

fn url(config: &Config, database: &str) -> String {
    format!(
        "postgres://{}:{}@127.0.0.1:{}/{database}",
        config.get_user().unwrap(),
        String::from_utf8_lossy(config.get_password().unwrap()),
        config.get_ports()[0]
    )
}

/// Serve on a copy of the data dir, to its end.
async fn serve_copy(serve: &Serve) -> Ran {
    let copy = serve.folder().join("copy");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(serve.data_dir())
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    let mut command = momsflow();
    command
        .args(["serve", "--config"])
        .arg(serve.folder().join("momsflow.toml"))
        .arg("--data-dir")
        .arg(&copy)
        .current_dir(serve.folder())
        .env("MOMSFLOW_HTTP__LISTEN", "127.0.0.1:0")
        .env("MOMSFLOW_ADMIN__LISTEN", "127.0.0.1:0");
    run(command).await
}

async fn store_one(serve: &Serve, id: &str) {
    let event = json!({"userId": "u", "event": "Read", "messageId": id});
    assert_eq!(serve.post("/v1/track", &event).await.0, StatusCode::OK);
    serve.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_with_its_event_log_ends_and_leaves_the_original_alone() {
    let store = Store::new().await;
    let mut serve = Serve::start(&format!("{}[capture]\nlease = \"{LEASE}\"\n", store.config)).await;
    store_one(&serve, "before").await;
    let epochs = "SELECT string_agg(epoch::text, ' ' ORDER BY log_partition) FROM leases";
    let before = store.value(epochs).await;

    let copy = serve_copy(&serve).await;
    let said = copy.stdout + &copy.stderr;
    assert_eq!(copy.code, Some(1), "{said}");
    assert!(said.contains("one is a copy of the other"), "{said}");
    assert!(said.contains("start the copy with an empty data dir"), "{said}");

    store_one(&serve, "after").await;
    assert_eq!(store.value(epochs).await, before, "the original lost its leases");
    assert_eq!(serve.status().await["faults"], json!({}));
    // A copy with an id of its own still has the other's log.
    fs::remove_dir_all(serve.folder().join("copy")).unwrap();
    let instance = serve.data_dir().join("instance-id");
    let own = fs::read_to_string(&instance).unwrap();
    fs::write(&instance, "another").unwrap();
    let copy = serve_copy(&serve).await;
    fs::write(&instance, own).unwrap();
    assert_eq!(copy.code, Some(1), "{}", copy.stderr);
    serve.stop().await;
    assert_eq!(store.value("SELECT count(*) FROM events").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_host_with_kafka_ends_until_it_has_an_id_of_its_own() {
    let Some(broker) = shared() else { return };
    let store = Store::new().await;
    let config = format!(
        "{}[capture]\nlease = \"{LEASE}\"\n{}",
        store.config,
        toml(&topic_on(&broker))
    );
    let serve = Serve::start(&config).await;
    store_one(&serve, "before").await;
    let copy = serve_copy(&serve).await;
    let said = copy.stdout + &copy.stderr;
    assert_eq!(copy.code, Some(1), "{said}");
    assert!(said.contains("delete instance-id in its data dir"), "{said}");

    let mut other = Serve::start(&config).await;
    until("both have partitions", async || {
        store
            .value("SELECT count(DISTINCT owner) FROM leases WHERE expires_at > now()")
            .await
            == "2"
    })
    .await;
    other.stop().await;
    store_one(&serve, "after").await;
    assert_eq!(store.value("SELECT count(*) FROM events").await, "2");
}

/// Its own past is no copy: neither where it was killed, nor where the data dir moved to another machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_succeeds_itself() {
    let store = Store::new().await;
    let mut serve = Serve::start(&format!("{}[capture]\nlease = \"6s\"\n", store.config)).await;
    store_one(&serve, "first").await;
    serve.kill().await;
    serve.start_again().await;
    store_one(&serve, "second").await;
    assert!(!serve.log().contains(WAITS), "it waited for itself");

    serve.kill().await;
    let moved = "UPDATE capture_hosts SET place = 'another machine'";
    store.client.batch_execute(moved).await.unwrap();
    serve.start_again().await;
    let event = json!({"userId": "u", "event": "Read", "messageId": "third"});
    assert_eq!(serve.post("/v1/track", &event).await.0, StatusCode::OK);
    until("its own word has expired", async || {
        store.value("SELECT count(*) FROM events").await == "3"
    })
    .await;
    assert!(serve.log().contains(WAITS));
    until("nothing is wrong", async || {
        serve.status_with_faults().await["faults"] == json!({})
    })
    .await;
    serve.signal(Signal::TERM);
    assert_eq!(serve.ended().await.code(), Some(0));
}
