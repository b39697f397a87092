use serde_json::{Value, json};

use super::super::serve::{Serve, until};
use super::shared;

/// Sends an event without a person and gives its dead letter.
async fn refused(serve: &Serve, event: &str) -> Value {
    let body = json!({"event": event, "properties": {"n": 1.50}});
    let (status, answer) = serve.post_as("letters-key", "/v1/track", &body).await;
    assert_eq!(
        (status.as_u16(), &answer["kept"]),
        (400, &json!(true)),
        "{answer}"
    );
    serve.settle().await;
    let id = serve
        .value(&format!(
            "SELECT max(id) FROM dead_letters WHERE convert_from(payload, 'UTF8') LIKE '%{event}%'"
        ))
        .await;
    listed(serve, &["--source", "letters", "--limit", "1000"])
        .await
        .into_iter()
        .find(|letter| letter["id"].as_i64() == id.parse().ok())
        .unwrap()
}

async fn listed(serve: &Serve, arguments: &[&str]) -> Vec<Value> {
    let mut all = vec!["dead-letters", "list", "--json"];
    all.extend(arguments);
    serde_json::from_value(serve.cli(&all).await.json()).unwrap()
}

#[tokio::test]
async fn a_dead_letter_is_shown_mended_and_replayed_as_it_was() {
    let serve = shared().await;
    let letter = refused(serve, "Letter Mended").await;
    assert_eq!(letter["code"], "missing_identity");
    let id = letter["id"].to_string();

    let text = serve
        .cli(&["dead-letters", "list", "--code", "missing_identity"])
        .await
        .expect(0);
    assert!(text.starts_with("ID ") && text.contains("waits"), "{text}");
    let shown = serve.cli(&["dead-letters", "show", &id]).await.expect(0);
    assert!(shown.contains(r#""event":"Letter Mended""#), "{shown}");
    let shown = serve.cli(&["dead-letters", "show", &id, "--json"]).await.json();
    assert!(
        shown["payload"].as_str().unwrap().contains("Letter Mended"),
        "{shown}"
    );

    let ran = serve.cli(&["dead-letters", "replay", &id]).await;
    assert_eq!(ran.code, Some(1), "it is as wrong as before: {}", ran.stdout);
    assert!(
        ran.stdout.contains(&format!("{id} is still not valid")),
        "{}",
        ran.stdout
    );

    let mended = [
        "dead-letters",
        "replay",
        &id,
        "--set",
        "/userId=u-mended",
        "--set",
        "/properties/fixed=true",
    ];
    let reply = serve.cli(&[&mended[..], &["--json"]].concat()).await.json();
    assert_eq!(reply["replayed"], json!([letter["id"]]));
    serve.settle().await;
    let stored = "SELECT count(*) FROM events e JOIN dead_letters d USING (event_id, received_at)
                  WHERE e.event = 'Letter Mended' AND user_id = 'u-mended' AND properties->>'fixed' = 'true'";
    assert_eq!(serve.value(stored).await, "1");

    // Once more: it no longer waits, and nothing comes twice.
    let again = serve.cli(&[&mended[..], &["--json"]].concat()).await.expect(1);
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["replayed"], json!([]));
    serve.settle().await;
    assert_eq!(
        serve
            .value("SELECT count(*) FROM events WHERE event = 'Letter Mended'")
            .await,
        "1"
    );
    let waiting = listed(serve, &["--limit", "1000"]).await;
    assert!(waiting.iter().all(|other| other["id"] != letter["id"]));
    let all = listed(serve, &["--all", "--limit", "1000"]).await;
    let replayed = all.iter().find(|other| other["id"] == letter["id"]).unwrap();
    assert!(replayed["replayed_at"].is_string(), "{replayed}");
}

#[tokio::test]
async fn a_discarded_letter_leaves_its_account_but_no_payload() {
    let serve = shared().await;
    let letter = refused(serve, "Letter Discarded").await;
    let id = letter["id"].to_string();
    let said = serve.cli(&["dead-letters", "discard", &id]).await.expect(0);
    assert_eq!(said.trim(), "discarded 1");
    let kept =
        format!("SELECT length(payload) || ' of ' || payload_length FROM dead_letters WHERE id = {id}");
    let kept = serve.value(&kept).await;
    assert!(kept.starts_with("0 of ") && kept != "0 of 0", "{kept}");
    let reply = serve
        .cli(&["dead-letters", "replay", &id, "--set", "/userId=u", "--json"])
        .await
        .expect(1);
    let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
    assert_eq!(reply["replayed"], json!([]));
    assert_eq!(
        serve
            .cli(&["dead-letters", "discard", &id])
            .await
            .expect(1)
            .lines()
            .next()
            .unwrap(),
        "discarded 0"
    );
}

#[tokio::test]
async fn an_unknown_letter_is_a_problem() {
    let ran = shared().await.cli(&["dead-letters", "show", "999999"]).await;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("there is no dead letter 999999"),
        "{}",
        ran.stderr
    );
}

/// The trigger is a capture that refuses at once whatever is replayed.
#[tokio::test]
async fn a_replay_ends_where_letters_come_back() {
    let serve = shared().await;
    until("capture has named its log, as letters do", async || {
        serve.value("SELECT count(*) FROM logs").await == "1"
    })
    .await;
    serve
        .sql()
        .await
        .batch_execute(
            "CREATE FUNCTION come_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO dead_letters (received_at, recorded_at, stage, code, detail, source, scope, payload,
                     payload_length, payload_sha256, log_id, log_partition, log_offset)
                 VALUES (NEW.received_at, now(), NEW.stage, NEW.code, NEW.detail, NEW.source, NEW.scope, NEW.payload,
                     NEW.payload_length, NEW.payload_sha256, NEW.log_id, 0, -1 - NEW.id);
                 RETURN NULL;
             END $$;
             CREATE TRIGGER come_back AFTER UPDATE OF replayed_at ON dead_letters
                 FOR EACH ROW WHEN (NEW.source = 'boomerang') EXECUTE FUNCTION come_back();
             WITH letter AS (SELECT '{\"type\": \"track\", \"event\": \"Back\", \"userId\": \"u\"}'::bytea AS payload)
             INSERT INTO dead_letters (received_at, recorded_at, stage, code, detail, source, scope, payload,
                 payload_length, payload_sha256, log_id, log_partition, log_offset)
             SELECT now(), now(), 'ingest', 'c', 'd', 'boomerang', '{}', payload, length(payload), '', logs.id, 0, -1
             FROM letter, logs LIMIT 1",
        )
        .await
        .unwrap();
    let reply = serve
        .cli(&["dead-letters", "replay", "--source", "boomerang", "--json"])
        .await
        .json();
    assert_eq!(reply["replayed"].as_array().unwrap().len(), 1, "{reply}");
    let waiting = listed(serve, &["--source", "boomerang"]).await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
}
