//! Kafka away from the start, and dying in the middle: acknowledgements go on.

use serde_json::{Value, json};

use super::broker::{Broker, Extra, shared, topic_on};
use super::call::alter_topic;
use super::console::topics;
use super::load::track;
use super::serving::{stored, toml};
use crate::serve::{Serve, until};

/// Sends a batch that has to be acknowledged, and tells whether it was spooled.
async fn send(serve: &Serve, numbers: std::ops::Range<u32>) -> bool {
    let batch: Vec<_> = numbers.map(|number| track(&format!("m-{number}"))).collect();
    let (status, answer) = serve.post("/v1/batch", &json!({"batch": batch})).await;
    assert_eq!(status, 200, "{answer}");
    answer["durability"] == "spooled"
}

async fn spool(serve: &Serve) -> Value {
    serve.status().await["spool"].take()
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

/// Something that compression cannot make small.
fn noise(length: usize) -> String {
    (0..length)
        .map(|_| char::from(rand::random_range(b'a'..=b'z')))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spooled_event_that_the_topic_does_not_take_holds_nothing_up_and_is_not_lost() {
    let Some(mut broker) = Broker::make(|_| Extra::default()) else {
        shared();
        return;
    };
    let (address, kafka) = (broker.address(), topic_on(&broker.address()));
    let config = format!("roles = [\"ingest\"]\n{}", toml(&kafka));
    let mut ingest = Serve::start(&config).await;
    let mut long = track("long");
    long["properties"] = json!({"text": noise(100_000)});
    for event in [track("before"), long, track("after")] {
        let (status, answer) = ingest.post("/v1/track", &event).await;
        assert_eq!((status.as_u16(), &answer["durability"]), (200, &json!("spooled")));
    }
    ingest.kill().await;
    tokio::task::block_in_place(|| broker.start_again());
    let short = ["--partitions", "2", "--config", "max.message.bytes=30000"];
    topics(
        &address,
        &[&["--create", "--topic", &kafka.topic], &short[..]].concat(),
    )
    .await;
    let file = ingest.folder().join("momsflow.toml");
    std::fs::write(file, format!("{config}[ingest]\nmax_event = \"10 KiB\"\n")).unwrap();
    ingest.start_again().await;
    is_drained(&ingest).await;
    let aside = spool(&ingest).await["set_aside"].clone();
    assert_eq!(aside["records"], 1, "{aside}");
    assert!(
        aside["reason"].as_str().unwrap().contains("MessageTooLarge"),
        "{aside}"
    );
    let said = ingest.cli(&["status"]).await.expect(1);
    assert!(
        said.contains("NOT SENT    1 events that the event log does not take"),
        "{said}"
    );
    let metrics = reqwest::get(format!("http://{}/metrics", ingest.admin())).await;
    let metrics = metrics.unwrap().text().await.unwrap();
    assert!(metrics.contains("momsflow_spool_set_aside 1"), "{metrics}");
    until("events go to Kafka", async || !send(&ingest, 0..10).await).await;

    alter_topic(&address, &kafka.topic, "max.message.bytes", "1048588").await;
    ingest.stop().await;
    ingest.start_again().await;
    until("it is sent", async || {
        ingest.status().await["spool"]["set_aside"].is_null()
    })
    .await;
    let mut capture = Serve::start(&format!("roles = [\"capture\"]\n{}", toml(&kafka))).await;
    capture.settle().await;
    assert_eq!(stored(&capture).await, "13 13");
    let long = "SELECT length(properties->>'text') FROM events WHERE user_id = 'u-long'";
    assert_eq!(capture.value(long).await, "100000");
    ingest.stop().await;
    capture.stop().await;
}
