//! From HTTP through Kafka into PostgreSQL, with the real binary.

use std::time::Duration;

use momsflow::config;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::broker::{Broker, shared, topic_on};
use super::console::{console_produce, delete_records};
use super::load::{Load, acknowledged_again, track};
use crate::serve::{Serve, until};

pub fn toml(kafka: &config::Kafka) -> String {
    format!(
        "[kafka]\nbrokers = [\"{}\"]\ntopic = \"{}\"\npartitions = {}\nreplication = 1\nmin_insync_replicas = 1\n",
        kafka.brokers[0], kafka.topic, kafka.partitions
    )
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

/// What status knows of lost records; a store that takes its time is not waited for there.
async fn gaps(serve: &Serve) -> Value {
    let mut gaps = Value::Null;
    until("the gaps are known", async || {
        gaps = serve.status().await["gaps"].take();
        !gaps.is_null()
    })
    .await;
    gaps
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_deleted_before_it_was_stored_is_a_gap_that_status_names() {
    let Some(broker) = shared() else { return };
    let kafka = config::Kafka {
        partitions: 1,
        ..topic_on(&broker)
    };
    let mut serve = Serve::start(&toml(&kafka)).await;
    let batch: Vec<_> = (0..5).map(|number| track(&format!("early-{number}"))).collect();
    let (status, _) = serve.post("/v1/batch", &json!({"batch": batch})).await;
    assert_eq!(status, StatusCode::OK);
    serve.settle().await;
    assert_eq!(
        gaps(&serve).await,
        json!({"count": 0, "records": 0, "newest": []})
    );
    serve.stop().await;
    console_produce(&kafka, &[], "a\nb\nc\nd\n").await;
    delete_records(&broker, &kafka.topic, 0, 8).await;
    serve.start_again().await;
    let (status, _) = serve.post("/v1/track", &track("late")).await;
    assert_eq!(status, StatusCode::OK);
    serve.settle().await;
    assert_eq!(stored(&serve).await, "6 6");
    let account = "SELECT concat_ws(' ', stored, \"foreign\", gap, next_offset) FROM positions";
    assert_eq!(serve.value(account).await, "6 1 3 10");
    let gaps = gaps(&serve).await;
    let newest = &gaps["newest"][0];
    assert_eq!(
        (&gaps["count"], &gaps["records"], &newest["from"], &newest["to"]),
        (&json!(1), &json!(3), &json!(5), &json!(8))
    );
    let mut said = String::new();
    until("status names it", async || {
        said = serve.status_text().await;
        said.contains("LOST: ")
    })
    .await;
    assert!(said.contains("LOST: 3 records"), "{said}");
    assert!(said.contains("partition 0, offsets 5..8, noticed at"), "{said}");
    assert!(serve.log().contains("events are lost"));
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
    let load = Load::start(&serve, 4);
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
