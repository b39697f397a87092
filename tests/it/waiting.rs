//! What waits is seen from outside: events that are not stored, dead letters that nobody has looked at.

use serde_json::json;

use crate::serve::{Serve, until};
use crate::support::value;

/// The value of a metric with a label, from `/metrics`.
async fn metric(serve: &Serve, name: &str, label: &str) -> Option<f64> {
    let url = format!("http://{}/metrics", serve.admin());
    let text = serve
        .client()
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name}{{{label}}}")))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_what_waits_grows_and_ends() {
    let serve = Serve::start("[event_log]\npartitions = 1\n").await;
    let event = json!({"userId": "u", "event": "Read", "messageId": "1"});
    serve.post("/v1/track", &event).await;
    serve.settle().await;
    let blocker = serve.sql().await;
    blocker
        .batch_execute("BEGIN; SELECT FROM positions FOR UPDATE")
        .await
        .unwrap();
    let event = json!({"userId": "u", "event": "Read", "messageId": "2"});
    serve.post("/v1/track", &event).await;
    let lag = async || metric(&serve, "momsflow_capture_lag_seconds", "partition=\"0\"").await;
    until("the age is seen", async || lag().await > Some(4.0)).await;
    let first = lag().await;
    until("it grows", async || lag().await > first).await;
    until("status shows it", async || {
        let status = serve.cli(&["status"]).await.stdout;
        status.lines().any(|line| {
            let columns: Vec<_> = line.split_whitespace().collect();
            columns.len() > 5 && columns[0] == "0" && columns[3] == "1" && columns[5] == "s)"
        })
    })
    .await;

    blocker.batch_execute("ROLLBACK").await.unwrap();
    // The lease was locked as well, and its renewal, which is slow to notice, was missed.
    until("nothing is wrong any more", async || {
        serve.status_with_faults().await["faults"] == json!({})
    })
    .await;
    serve.settle().await;
    until("nothing waits", async || lag().await == Some(0.0)).await;
    assert!(!serve.status_text().await.contains(" s)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_counted_by_reason_until_they_are_settled() {
    let serve = Serve::start("").await;
    for _ in 0..3 {
        serve.post("/v1/track", &json!({"userId": "u"})).await;
    }
    serve.post("/v1/track", &json!({"event": "Read"})).await;
    let waiting = async |code: &str| {
        let label = format!("code=\"{code}\"");
        metric(&serve, "momsflow_dead_letters_waiting", &label).await
    };
    until("they are counted", async || {
        waiting("missing_name").await == Some(3.0) && waiting("missing_identity").await == Some(1.0)
    })
    .await;
    let status = serve.status_text().await;
    let says = "4 dead letters wait: missing_identity 1, missing_name 3";
    assert!(status.contains(says), "{status}");
    let discard = ["dead-letters", "discard", "--code", "missing_name"];
    serve.cli(&discard).await.expect(0);
    until("the discarded ones are gone", async || {
        waiting("missing_name").await == Some(0.0) && waiting("missing_identity").await == Some(1.0)
    })
    .await;
    let status = serve.status().await;
    assert_eq!(status["dead_letters"], json!({"missing_identity": 1}));

    // However many there are, the index alone answers.
    let store = serve.sql().await;
    store
        .batch_execute(
            "INSERT INTO dead_letters (received_at, recorded_at, stage, code, detail, payload, payload_length, \
             payload_sha256, log_id, log_partition, log_offset) \
             SELECT now(), now(), 'ingest', 'missing_name', '', repeat('x', 500)::bytea, 500, '', log_id, 0, \
             1000000 + n FROM (SELECT min(id) AS log_id FROM logs) l, generate_series(1, 20000) n",
        )
        .await
        .unwrap();
    store.batch_execute("VACUUM ANALYZE dead_letters").await.unwrap();
    let plan = format!(
        "EXPLAIN (FORMAT JSON) {}",
        include_str!("../../src/store/sql/count_dead_letters.sql")
    );
    let plan = value(&store, &plan).await;
    assert!(plan.contains("dead_letters_waiting_code"), "{plan}");
}
