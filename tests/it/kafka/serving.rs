//! From HTTP through Kafka into PostgreSQL, with the real binary.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use momsflow::config;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::broker::{Broker, shared, topic_on};
use super::console::console_produce;
use crate::serve::Serve;

pub fn toml(kafka: &config::Kafka) -> String {
    format!(
        "[kafka]\nbrokers = [\"{}\"]\ntopic = \"{}\"\npartitions = {}\nreplication = 1\nmin_insync_replicas = 1\n",
        kafka.brokers[0], kafka.topic, kafka.partitions
    )
}

pub fn track(id: &str) -> Value {
    json!({"type": "track", "event": "Article Viewed", "userId": format!("u-{id}"), "messageId": id})
}

pub async fn stored(serve: &Serve) -> String {
    serve
        .value("SELECT count(*) || ' ' || count(DISTINCT event_id) FROM events")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_becomes_dead_letters_and_its_neighbours_are_stored() {
    let Some(broker) = shared() else { return };
    let kafka = config::Kafka {
        partitions: 1,
        ..topic_on(&broker)
    };
    let mut serve = Serve::start(&toml(&kafka)).await;
    assert_eq!(serve.status().await["log"]["kind"], "kafka");
    let (status, _) = serve.post("/v1/track", &track("before")).await;
    assert_eq!(status, StatusCode::OK);
    let huge = "x".repeat(300_000);
    let lines = format!("k:not JSON\nk:{{\"v\":1}}\nk:NULL\nk:\\u0000 {{\n:[]\nk:{huge}\n");
    let properties = ["parse.key=true", "key.separator=:", "null.marker=NULL"];
    console_produce(&kafka, &properties, &lines).await;
    let (status, _) = serve.post("/v1/track", &track("after")).await;
    assert_eq!(status, StatusCode::OK);
    serve.settle().await;
    assert_eq!(stored(&serve).await, "2 2");
    let letters = serve
        .value("SELECT string_agg(log_offset || ' ' || code || ' ' || payload_length, ', ' ORDER BY log_offset) FROM dead_letters")
        .await;
    assert_eq!(
        letters,
        "1 foreign_record 8, 2 foreign_record 7, 3 foreign_record 0, 4 foreign_record 8, 5 foreign_record 2, \
         6 foreign_record 300000"
    );
    serve.stop().await;
    serve.start_again().await;
    serve.settle().await;
    assert_eq!(stored(&serve).await, "2 2", "a restart goes on from its position");
    serve.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_takes_events_and_another_stores_them() {
    let Some(broker) = shared() else { return };
    let kafka = topic_on(&broker);
    let config = toml(&kafka);
    let mut capture = Serve::start(&format!("roles = [\"capture\"]\n{config}")).await;
    let mut ingest = Serve::start(&format!("roles = [\"ingest\"]\n{config}")).await;
    let batch: Vec<_> = (0..200).map(|number| track(&format!("m-{number}"))).collect();
    let (status, _) = ingest.post("/v1/batch", &json!({"batch": batch})).await;
    assert_eq!(status, StatusCode::OK);
    capture.settle().await;
    assert_eq!(stored(&capture).await, "200 200");
    assert_eq!(
        ingest.postmaster(),
        None,
        "who stores nothing needs no PostgreSQL"
    );
    ingest.stop().await;
    capture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_killed_under_load_loses_nothing_and_doubles_nothing() {
    let Some(mut broker) = Broker::start() else {
        shared();
        return;
    };
    let mut serve = Serve::start(&toml(&topic_on(&broker.address()))).await;
    let load = Load::start(&serve);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        broker.kill();
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::task::block_in_place(|| broker.start_again());
        let began = std::time::Instant::now();
        acknowledged_again(&serve).await;
        println!(
            "acknowledged again {:.1} s after Kafka was back",
            began.elapsed().as_secs_f32()
        );
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    load.end_and_compare(&mut serve).await;
    serve.stop().await;
}

/// Clients that send batches, each again until it is acknowledged.
pub(super) struct Load {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub(super) fn start(serve: &Serve) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let client = |number| {
            let (http, url, key) = (serve.client(), serve.url("/v1/batch"), serve.write_key());
            tokio::spawn(send(http, url, key, number, over.clone()))
        };
        let clients = (0..4).map(client).collect();
        Self { over, clients }
    }

    /// Ends it, and sees that what was acknowledged is stored, each event once.
    pub(super) async fn end_and_compare(self, serve: &mut Serve) {
        self.over.store(true, Ordering::Relaxed);
        let mut acknowledged = HashSet::new();
        for client in self.clients {
            acknowledged.extend(client.await.unwrap());
        }
        println!("{} events acknowledged", acknowledged.len());
        assert!(acknowledged.len() > 1000);
        serve.wait_ready().await;
        serve.settle().await;
        let rows = serve
            .sql()
            .await
            .query("SELECT substr(user_id, 3), count(*) FROM events GROUP BY 1", &[])
            .await
            .unwrap();
        let doubled = rows.iter().filter(|row| row.get::<_, i64>(1) != 1).count();
        let stored: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!((acknowledged.difference(&stored).count(), doubled), (0, 0));
        assert_eq!(serve.value("SELECT count(*)::text FROM dead_letters").await, "0");
    }
}

/// Waits until an event of each partition was acknowledged.
pub(super) async fn acknowledged_again(serve: &Serve) {
    let batch: Vec<_> = (0..20).map(|number| track(&format!("probe-{number}"))).collect();
    crate::serve::until("events are acknowledged again", async || {
        let (status, _) = serve.post("/v1/batch", &json!({"batch": batch})).await;
        status == StatusCode::OK
    })
    .await;
}

/// Sends batches and repeats each until it is acknowledged, or all is over; gives the ids that were.
pub(super) async fn send(
    http: reqwest::Client,
    url: String,
    key: String,
    client: u32,
    over: Arc<AtomicBool>,
) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let ids: Vec<_> = (0..50)
            .map(|place| format!("{client}-{number}-{place}"))
            .collect();
        let batch: Vec<_> = ids.iter().map(|id| track(id)).collect();
        let body = json!({"batch": batch});
        loop {
            let sent = http
                .post(&url)
                .basic_auth(&key, Some(""))
                .json(&body)
                .send()
                .await;
            if sent.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                acknowledged.extend(ids);
                break;
            }
            if over.load(Ordering::Relaxed) {
                return acknowledged;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if over.load(Ordering::Relaxed) {
            return acknowledged;
        }
        // The spool takes what comes, so that nothing else bounds what has to be stored afterwards.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    acknowledged
}
