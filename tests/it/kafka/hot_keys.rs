//! Persons who crowd a partition.

use std::time::Duration;

use momsflow::config;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::broker::{shared, topic_on};
use super::serving::toml;
use crate::serve::{Serve, until};

fn viewed(user: &str, id: &str) -> Value {
    json!({"type": "track", "event": "Article Viewed", "userId": user, "messageId": id})
}

async fn send(serve: &Serve, batch: Vec<Value>) {
    let (status, answer) = serve.post("/v1/batch", &json!({"batch": batch})).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// Takes the minute over which keys are counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_crowds_a_partition_is_named_in_status_and_counted_in_metrics() {
    let Some(broker) = shared() else { return };
    let kafka = config::Kafka {
        partitions: 1,
        ..topic_on(&broker)
    };
    let mut serve = Serve::start(&toml(&kafka)).await;
    let batch = (0..4000).map(|number| {
        let user = match number % 4 {
            0 => "the busy one".to_owned(),
            _ => format!("u-{number}"),
        };
        viewed(&user, &format!("m-{number}"))
    });
    send(&serve, batch.collect()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut hot = Vec::new();
    until("the minute is over", async || {
        send(&serve, vec![viewed("u", "last")]).await;
        let status = serve.status().await;
        hot = status["log"]["hot_keys"].as_array().unwrap().clone();
        !hot.is_empty()
    })
    .await;
    assert_eq!(hot.len(), 1, "{hot:?}");
    assert_eq!(
        (&hot[0]["key"], &hot[0]["partition"]),
        (&json!("the busy one"), &json!(0))
    );
    let share = hot[0]["share"].as_f64().unwrap();
    assert!((0.2..0.3).contains(&share), "{share}");
    let said = serve.status_text().await;
    assert!(said.contains("hot key: the busy one makes 2"), "{said}");
    let metrics = serve
        .client()
        .get(format!("http://{}/metrics", serve.admin()))
        .send();
    let metrics = metrics.await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("momsflow_log_hot_keys{partition=\"0\"} 1"),
        "{metrics}"
    );
    assert!(
        !metrics.contains("the busy one"),
        "metrics go to more hands than a person's id may"
    );
    serve.stop().await;
}
