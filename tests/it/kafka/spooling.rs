//! Kafka away from the start, and dying in the middle: acknowledgements go on.

use serde_json::{Value, json};

use super::broker::{Broker, shared, topic_on};
use super::serving::{stored, toml, track};
use crate::serve::{Serve, until};

/// Sends a batch that has to be acknowledged, and tells whether it was spooled.
async fn send(serve: &Serve, numbers: std::ops::Range<u32>) -> bool {
    let batch: Vec<_> = numbers.map(|number| track(&format!("m-{number}"))).collect();
    let (status, answer) = serve.post("/v1/batch", &json!({"batch": batch})).await;
    assert_eq!(status, 200, "{answer}");
    answer["durability"] == "spooled"
}

async fn spool(serve: &Serve) -> Value {
    serve.status().await["spool"].clone()
}

pub(super) async fn is_drained(serve: &Serve) {
    until("the spool is empty", async || spool(serve).await["records"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kafka_events_are_spooled_and_stored_once_it_is_back() {
    let Some(mut broker) = Broker::start() else {
        shared();
        return;
    };
    let config = toml(&topic_on(&broker.address()));
    broker.kill();
    let mut ingest = Serve::start(&format!("roles = [\"ingest\"]\n{config}")).await;
    assert!(send(&ingest, 0..100).await);
    assert_eq!(spool(&ingest).await["records"], 100);
    assert!(spool(&ingest).await["oldest"].is_string());
    ingest.kill().await;
    ingest.start_again().await;
    assert!(send(&ingest, 100..200).await);
    assert_eq!(spool(&ingest).await["records"], 200);

    tokio::task::block_in_place(|| broker.start_again());
    is_drained(&ingest).await;
    until("events go to Kafka again", async || {
        !send(&ingest, 200..201).await
    })
    .await;

    broker.kill();
    assert!(
        send(&ingest, 201..300).await,
        "the first one waits for Kafka a while"
    );
    assert!(send(&ingest, 300..400).await);
    let metrics = reqwest::get(format!("http://{}/metrics", ingest.admin()))
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("momsflow_spool_records "), "{metrics}");
    tokio::task::block_in_place(|| broker.start_again());
    is_drained(&ingest).await;

    let mut capture = Serve::start(&format!("roles = [\"capture\"]\n{config}")).await;
    until("all of it is stored", async || {
        stored(&capture).await.starts_with("400 ")
    })
    .await;
    capture.settle().await;
    assert_eq!(stored(&capture).await, "400 400");
    let dead = capture.value("SELECT count(*)::text FROM dead_letters").await;
    assert_eq!(dead, "0");
    ingest.stop().await;
    capture.stop().await;
}
