//! What becomes of events: codes and places, batches, history, dead letters, the log's refusals.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytesize::ByteSize;
use momsflow::broker::Record;
use momsflow::broker::intake::Intake;
use momsflow::collector::Collector;
use momsflow::config::Config;
use momsflow::event::{self, Payload, Policy, RejectCode, Rejection};
use momsflow::http::{OPENAPI, ProblemCode};
use momsflow::roles::{ingest, pixel};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::http_support::serve;
use crate::serve::until;

/// Bodies of single events with the status, code and pointer of their refusal.
fn hostile() -> Vec<(&'static str, String, u16, &'static str, &'static str)> {
    let deep = format!(
        r#"{{"userId":"u","event":"e","properties":{{"a":{}1{}}}}}"#,
        "[".repeat(70),
        "]".repeat(70)
    );
    let long = "x".repeat(513);
    let event = |properties: &str| format!(r#"{{"userId":"u","event":"e","properties":{properties}}}"#);
    vec![
        ("/v1/track", "{".into(), 400, "malformed_json", ""),
        ("/v1/track", String::new(), 400, "malformed_json", ""),
        ("/v1/track", "[1]".into(), 400, "not_an_object", ""),
        ("/v1/batch", "{}".into(), 400, "missing_batch", "/batch"),
        (
            "/v1/batch",
            r#"{"batch":[]}"#.into(),
            400,
            "empty_batch",
            "/batch",
        ),
        ("/v1/batch", r#"{"batch":[{}]"#.into(), 400, "malformed_json", ""),
        (
            "/v1/batch",
            r#"{"batch":[{"type":"page","userId":"u"},{"type":"page","userId":1.}]}"#.into(),
            400,
            "malformed_json",
            "",
        ),
        (
            "/v1/batch",
            r#"{"batch":[{"type":"page","userId":"u"},]}"#.into(),
            400,
            "malformed_json",
            "",
        ),
        (
            "/v1/track",
            r#"{"userId":"u"}"#.into(),
            400,
            "missing_name",
            "/event",
        ),
        ("/v1/page", "{}".into(), 400, "missing_identity", ""),
        (
            "/v1/page",
            r#"{"userId":null,"anonymousId":""}"#.into(),
            400,
            "missing_identity",
            "",
        ),
        (
            "/v1/page",
            format!(r#"{{"userId":"{long}"}}"#),
            400,
            "id_too_long",
            "/userId",
        ),
        (
            "/v1/screen",
            format!(r#"{{"userId":"u","name":"{long}"}}"#),
            400,
            "name_too_long",
            "/name",
        ),
        (
            "/v1/identify",
            r#"{"userId":"u","traits":[]}"#.into(),
            400,
            "invalid_field_type",
            "/traits",
        ),
        (
            "/v1/group",
            r#"{"userId":"u","groupId":{}}"#.into(),
            400,
            "invalid_field_type",
            "/groupId",
        ),
        (
            "/v1/alias",
            r#"{"userId":"u","previousId":[1]}"#.into(),
            400,
            "invalid_field_type",
            "/previousId",
        ),
        (
            "/v1/track",
            event(r#"{"a":{"b":"\u0000"}}"#),
            400,
            "nul_character",
            "/properties/a/b",
        ),
        (
            "/v1/track",
            event(r#"{"a":["\udead"]}"#),
            400,
            "lone_surrogate",
            "/properties/a/0",
        ),
        (
            "/v1/track",
            event(r#"{"a":1e999}"#),
            400,
            "number_out_of_range",
            "/properties/a",
        ),
        ("/v1/track", deep, 400, "nesting_too_deep", ""),
        (
            "/v1/track",
            event(&json!({"a": "x".repeat(300_000)}).to_string()),
            413,
            "event_too_large",
            "",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hostile_event_is_named_and_kept() {
    let server = serve(|_| ()).await;
    for (path, body, status, code, pointer) in hostile() {
        let before = server.log.records().len();
        let problem = server.post(path, &body).await.assert_problem(status, code);
        if code != "nesting_too_deep" {
            assert_eq!(problem["pointer"], pointer, "{body:.80}");
        }
        assert_eq!(
            (&problem["accepted"], &problem["kept"]),
            (&json!(0), &json!(true))
        );
        assert_eq!(problem["rejected"][0]["code"], code);
        let records = server.log.records();
        assert_eq!(records.len(), before + 1, "{body:.80}");
    }
    assert!(server.log.events().is_empty());
    let kept = server.log.rejections();
    assert!(
        kept.iter()
            .any(|letter| letter["payload"]["text"] == r#"{"userId":"u"}"#
                && letter["rejected"]["code"] == "missing_name"
                && letter["scope"]["kind"] == "track")
    );
    server.log.assert_readable();

    let invalid = server.post("/v1/track", b"{\"userId\":\"\xff\"}").await;
    invalid.assert_problem(400, "invalid_utf8");
    assert!(
        server
            .log
            .rejections()
            .iter()
            .any(|letter| letter["payload"]["base64"].is_string())
    );
}

/// Event number `n` of the great batch: every tenth is bad, each in the next of ten ways.
fn numbered(n: usize) -> (String, Option<&'static str>) {
    let ways = [
        (
            r#"{"type":"track","userId":"u","messageId":"ID"}"#,
            "missing_name",
        ),
        (r#"{"userId":"u","messageId":"ID"}"#, "missing_type"),
        (r#"{"type":"fly","userId":"u","messageId":"ID"}"#, "unknown_type"),
        (r#"{"type":"page","messageId":"ID"}"#, "missing_identity"),
        (
            r#"{"type":"page","userId":true,"messageId":"ID"}"#,
            "invalid_field_type",
        ),
        (
            r#"{"type":"page","userId":"u","properties":{"a":"\u0000"},"messageId":"ID"}"#,
            "nul_character",
        ),
        (
            r#"{"type":"page","userId":"u","properties":{"a":"\udc00"},"messageId":"ID"}"#,
            "lone_surrogate",
        ),
        (
            r#"{"type":"page","userId":"u","properties":{"a":1e400},"messageId":"ID"}"#,
            "number_out_of_range",
        ),
        (
            r#"{"type":"page","userId":"u","context":7,"messageId":"ID"}"#,
            "invalid_field_type",
        ),
        (r#"["ID"]"#, "not_an_object"),
    ];
    let id = format!("m-{n}");
    if n.is_multiple_of(10) {
        let (event, code) = ways[n / 10 % ways.len()];
        return (event.replace("ID", &id), Some(code));
    }
    (
        format!(r#"{{"type":"track","event":"Read","userId":"u-{n}","messageId":"{id}"}}"#),
        None,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_events_the_good_are_taken_and_the_bad_named() {
    let server = serve(|_| ()).await;
    let events: Vec<_> = (0..10_000).map(numbered).collect();
    let texts: Vec<&str> = events.iter().map(|(text, _)| text.as_str()).collect();
    let answer = server
        .post("/v1/batch", format!(r#"{{"batch":[{}]}}"#, texts.join(",")))
        .await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(
        (&body["success"], &body["accepted"], &body["kept"]),
        (&json!(true), &json!(9000), &json!(true))
    );
    let rejected = body["rejected"].as_array().unwrap();
    assert_eq!(rejected.len(), 1000);
    for refused in rejected {
        let index = refused["index"].as_u64().unwrap() as usize;
        assert_eq!(refused["code"], events[index].1.unwrap(), "{refused}");
        assert_eq!(refused["retryable"], false);
        if refused["code"] != "not_an_object" {
            assert_eq!(refused["messageId"], format!("m-{index}"));
        }
    }
    assert_eq!(server.log.events().len(), 9000);
    assert_eq!(server.log.rejections().len(), 1000);
    server.log.assert_readable();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_without_a_good_event_is_refused() {
    let server = serve(|config| config.ingest.rejects_kept_per_second = 1).await;
    // A source may make ten seconds' worth of dead letters at once.
    let body = format!(r#"{{"batch":[{}7]}}"#, r#"{"type":"page"},"#.repeat(11));
    let problem = server
        .post("/v1/batch", &body)
        .await
        .assert_problem(400, "no_event_accepted");
    let rejected = problem["rejected"].as_array().unwrap();
    let kept: Vec<_> = rejected.iter().map(|refused| refused["kept"] == true).collect();
    assert_eq!(kept, [[true; 10].as_slice(), &[false; 2]].concat());
    assert_eq!(problem["kept"], false);
    assert_eq!(server.log.rejections().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_stores_its_type() {
    let server = serve(|_| ()).await;
    for (path, kind) in [
        ("/v1/track", "track"),
        ("/v1/t", "track"),
        ("/t", "track"),
        ("/v1/identify", "identify"),
        ("/v1/i/", "identify"),
        ("/i", "identify"),
        ("/v1/page", "page"),
        ("/v1/p", "page"),
        ("/v1/screen/", "screen"),
        ("/v1/s", "screen"),
        ("/s", "screen"),
        ("/v1/group", "group"),
        ("/g", "group"),
        ("/v1/alias", "alias"),
        ("/a", "alias"),
    ] {
        let answer = server
            .post(
                path,
                format!(r#"{{"userId":7,"event":"e","messageId":"{path}"}}"#),
            )
            .await;
        assert_eq!(answer.status, 200, "{path} {}", answer.body);
        assert_eq!(
            answer.json(),
            json!({"success": true, "accepted": 1, "rejected": []})
        );
        let events = server.log.events();
        let stored = events.iter().find(|event| event["message_id"] == path).unwrap();
        assert_eq!((&stored["type"], &stored["user_id"]), (&json!(kind), &json!("7")));
    }
    for path in ["/v1/batch", "/v1/b", "/b", "/v1/import"] {
        let answer = server
            .post(path, r#"{"batch":[{"type":"page","userId":"u"}]}"#)
            .await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_received_at_its_timestamp_only_from_a_source_that_may() {
    let server = serve(|_| ()).await;
    let body = r#"{"batch":[{"type":"page","userId":"u","timestamp":"2001-02-03T04:05:06Z"},
        {"type":"page","userId":"u","timestamp":"1989-12-31T23:59:59Z"},{"type":"page","userId":"u"}]}"#;
    let headers = [
        ("Authorization", "Bearer history-key"),
        ("Content-Type", "application/json"),
    ];
    let answer = server
        .send("POST", "/v1/import", &headers, body.as_bytes())
        .await
        .json();
    let codes: Vec<_> = answer["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refused| &refused["code"])
        .collect();
    assert_eq!(codes, ["timestamp_out_of_bounds", "missing_timestamp"]);
    let event = &server.log.events()[0];
    assert_eq!(event["received_at"], "2001-02-03T04:05:06Z");
    assert_eq!(
        (&event["occurred_at"], &event["origin"]),
        (&event["received_at"], &json!("imported"))
    );
    assert_ne!(event["accepted_at"], event["received_at"]);

    let old = r#"{"batch":[{"type":"page","userId":"late","timestamp":"2003-02-03T04:05:06Z"}]}"#;
    server.send("POST", "/v1/batch", &headers, old.as_bytes()).await;
    let events = server.log.events();
    let late = events.iter().find(|event| event["user_id"] == "late").unwrap();
    assert_eq!(
        (&late["received_at"], &late["origin"]),
        (&json!("2003-02-03T04:05:06Z"), &json!("imported"))
    );

    let answer = server.post("/v1/import", body).await.json();
    assert_eq!(answer["accepted"], 3, "without the right it is a batch");
    let events = server.log.events();
    let live = events.iter().find(|event| event["source"] == "server").unwrap();
    assert_eq!(live["accepted_at"], live["received_at"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_when_the_log_refuses() {
    let server = serve(|_| ()).await;
    server.log.refuses.store(true, Ordering::SeqCst);
    for body in [r#"{"userId":"u","event":"e"}"#, r#"{"userId":"u"}"#, "{"] {
        let answer = server.post("/v1/track", body).await;
        answer.assert_problem(503, "log_unavailable");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((5..=10).contains(&wait));
        assert!(!answer.body.contains("secret"), "the log's words stay inside");
    }
    server.log.refuses.store(false, Ordering::SeqCst);
    assert_eq!(
        server
            .post("/v1/track", r#"{"userId":"u","event":"e"}"#)
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_tells_and_stores_nothing() {
    let server = serve(|_| ()).await;
    let body = r#"{"batch":[{"type":"track","event":"e","userId":"undefined","timestamp":"yesterday"},{"type":"track","userId":"u"}]}"#;
    let answer = server.post("/v1/validate", body).await;
    assert_eq!(answer.status, 200);
    let told = answer.json();
    assert_eq!((&told["accepted"], &told["stored"]), (&json!(1), &json!(false)));
    assert_eq!(told["rejected"][0]["code"], "missing_name");
    assert_eq!(told["events"][0]["user_id"], "undefined");
    let codes: Vec<_> = told["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| &warning["code"])
        .collect();
    assert_eq!(codes, ["placeholder_id", "unusable_timestamp"]);
    let single = server
        .post("/v1/validate", r#"{"type":"page","userId":"u"}"#)
        .await
        .json();
    assert_eq!(single["accepted"], 1);
    server
        .post("/v1/validate", "{")
        .await
        .assert_problem(400, "malformed_json");
    assert!(server.log.records().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_shows_records_as_they_are_and_within_the_budget() {
    let small = |config: &mut Config| {
        config.http.in_flight = ByteSize::mib(2);
        config.http.max_decompressed_body = ByteSize::mib(1);
    };
    let server = serve(small).await;
    let event = r#"{"type":"page","userId":"u","properties":{"price":1.50}}"#;
    let answer = server.post("/v1/validate", event).await;
    assert!(
        answer.body.contains(r#""properties":{"price":1.50}"#),
        "{}",
        answer.body
    );

    // A small body of many doubts has a large answer.
    let event = r#"{"type":"page","userId":0,"anonymousId":0,"groupId":0,"previousId":0,"timestamp":0}"#;
    let body = |events: usize| format!(r#"{{"batch":[{}]}}"#, vec![event; events].join(","));
    let answer = server.post("/v1/validate", body(100)).await;
    assert_eq!(answer.json()["warnings"].as_array().unwrap().len(), 500);
    let refused = server.post("/v1/validate", body(5000)).await;
    refused.assert_problem(413, "body_too_large");
    assert_eq!(server.gate.budget().used(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_cannot_blow_itself_up() {
    let server = serve(|config| config.ingest.max_batch = 100).await;
    let many = format!(r#"{{"batch":[{}]}}"#, vec!["1"; 101].join(","));
    server
        .post("/v1/batch", many)
        .await
        .assert_problem(413, "batch_too_large");
    let millions = format!(r#"{{"batch":[{}1]}}"#, "1,".repeat(1_500_000));
    server
        .post("/v1/batch", millions)
        .await
        .assert_problem(413, "batch_too_large");
    let server = serve(|_| ()).await;
    let events = vec![r#"{"type":"page","userId":"u"}"#; 2000].join(",");
    let amplified = format!(
        r#"{{"context":{{"a":"{}"}},"batch":[{events}]}}"#,
        "x".repeat(100_000)
    );
    server
        .post("/v1/batch", amplified)
        .await
        .assert_problem(413, "batch_too_large");
    assert!(server.log.records().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_every_route_and_serves() {
    let server = serve(|_| ()).await;
    let served = server.send("GET", "/openapi.json", &[], b"").await;
    assert_eq!((served.status, served.body.as_str()), (200, OPENAPI));
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut expected = [ingest::paths(), pixel::paths()].concat();
    expected.extend([("get", "/live"), ("get", "/ready"), ("get", "/openapi.json")]);
    for (method, path) in &expected {
        assert!(document["paths"][path][method].is_object(), "{method} {path}");
    }
    let paths: std::collections::BTreeSet<_> = expected.iter().map(|(_, path)| path).collect();
    assert_eq!(document["paths"].as_object().unwrap().len(), paths.len());
    let missing: Vec<_> = references(&document)
        .into_iter()
        .filter(|reference| document.pointer(reference.trim_start_matches('#')).is_none())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| match value.as_str() {
                Some(target) if name == "$ref" => vec![target.to_owned()],
                _ => references(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// A whole body is kept with what it takes to send it again, redacted and cut as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_refused_whole_is_replayed_once_it_is_mended() {
    let server = serve(|config| config.ingest.redact = vec!["email".to_owned()]).await;
    let body = r#"{"context":{"ip":"203.0.113.77","app":"\u0000"},"batch":[
        {"type":"track","event":"Mended","userId":"u","messageId":"m-1","properties":{"email":"a@b.example","n":1}},
        {"type":"page","userId":"v"}]}"#;
    let refused = server.post("/v1/batch", body).await;
    refused.assert_problem(400, "nul_character");
    let mut letter: Rejection = serde_json::from_value(server.log.rejections()[0].clone()).unwrap();
    let policy = Policy::new(&Config::default().ingest);
    let unmended = event::replay(&letter, &policy).unwrap_err();
    assert!(unmended.to_string().contains("nul_character"), "{unmended}");

    let Payload::Text(text) = &letter.payload else {
        panic!("text")
    };
    letter.payload = Payload::Text(text.replace("\\u0000", "1.0"));
    let again = event::replay(&letter, &policy).unwrap();
    let again = again.into_iter().zip(["u", "v"]).map(|(value, person)| Record {
        key: person.into(),
        value: value.into(),
    });
    server.ingest.append_again(again.collect()).await.unwrap();
    let events = server.log.events();
    assert_eq!(events.len(), 2);
    let mended = events.iter().find(|event| event["user_id"] == "u").unwrap();
    assert_eq!(
        (&mended["event"], &mended["properties"], &mended["context"]),
        (
            &json!("Mended"),
            &json!({"n": 1}),
            &json!({"app": "1.0", "ip": "203.0.113.0"})
        )
    );
    assert_eq!(mended["received_at"], json!(letter.received_at));
    assert_eq!(mended["origin"], "replayed");
    server.log.assert_readable();
}

/// Whatever is wrong with a body, what is kept of it has neither the redacted members nor whole addresses.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_kept_of_a_refused_body_escapes_redaction() {
    let server = serve(|config| config.ingest.redact = vec!["email".to_owned()]).await;
    let event = r#"{"type":"track","event":"e","userId":"u","properties":{"email":"a@secret.example","n":1},
        "traits":{"email":"a@secret.example"},
        "context":{"ip":"203.0.113.77","traits":{"email":"a@secret.example"}}}"#;
    let context = r#""context":{"ip":"203.0.113.77","traits":{"email":"a@secret.example"}}"#;
    for (path, body) in [
        (
            "/v1/batch",
            format!(r#"{{"context":{{"a":"\u0000"}},"batch":[{event},{event}]}}"#),
        ),
        ("/v1/track", format!(r#"{{"batch":[{event}]}}"#)),
        ("/v1/batch", format!("[{event}]")),
        (
            "/v1/track",
            event
                .replace(r#""properties":{"#, r#""properties":[{"#)
                .replace(r#""n":1}"#, r#""n":1}]"#),
        ),
        ("/v1/track", event.replace(r#""n":1"#, r#""\ud800":1"#)),
        (
            "/v1/batch",
            format!(r#"{{{context},"batch":[{{"type":"track"}}]}}"#),
        ),
    ] {
        let before = server.log.rejections().len();
        assert_eq!(server.post(path, &body).await.status, 400, "{body}");
        let kept = server.log.rejections().split_off(before);
        assert_eq!(kept.len(), 1, "{body}");
        let (payload, scope) = (
            kept[0]["payload"]["text"].as_str().unwrap(),
            kept[0]["scope"].to_string(),
        );
        for text in [payload, &scope] {
            assert!(
                !text.contains("secret") && !text.contains("113.77"),
                "{body}\n{text}"
            );
        }
        assert_eq!(kept[0]["payload_length"], payload.len(), "it was not cut");
        assert!(format!("{payload}{scope}").contains("203.0.113.0"), "{payload}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_refuses_makes_the_process_unready() {
    let server = serve(|_| ()).await;
    let token = CancellationToken::new();
    server.log.refuses.store(true, Ordering::SeqCst);
    let watch = tokio::spawn(Collector::watch_intake(
        Arc::new(Intake::of(server.log.clone())),
        server.health.clone(),
        token.clone(),
    ));
    for (refuses, status) in [(true, 503), (false, 200)] {
        server.log.refuses.store(refuses, Ordering::SeqCst);
        until(&format!("/ready says {status}"), async || {
            server.send("GET", "/ready", &[], b"").await.status == status
        })
        .await;
    }
    token.cancel();
    watch.await.unwrap().unwrap();
}

#[test]
fn the_documentation_lists_every_code() {
    let docs = include_str!("../../docs/http-api.md");
    for code in RejectCode::ALL {
        assert!(docs.contains(&format!("\n| `{code}` | ")), "{code}");
    }
    for code in ProblemCode::ALL {
        assert!(
            docs.contains(&format!("\n| `{}` | {} | ", code.as_str(), code.status())),
            "{}",
            code.as_str()
        );
    }
    for (method, path) in [ingest::paths(), pixel::paths()].concat() {
        assert!(
            docs.contains(&format!("`{path}`"))
                || docs.contains(&format!("`{} {path}`", method.to_uppercase())),
            "{path}"
        );
    }
}
