//! `momsflow demo` against a running serve: what it says is true is what the tables say, and it leaves nothing behind.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use super::serve::{Serve, momsflow, run, until};

/// Of the demo alone, by name.
const BY_NAME: &str = "SELECT coalesce(json_object_agg(name, n), '{}') FROM (
    SELECT coalesce(event, type) AS name, count(*) AS n FROM all_events WHERE source = 'demo' GROUP BY 1) AS counted";
/// All that a removal must leave as it was: other sources' events, counts and joins.
const OTHERS: &str = "SELECT json_build_array(
    (SELECT json_agg(e ORDER BY event_id) FROM all_events e WHERE source <> 'demo'),
    (SELECT json_agg(m ORDER BY minute, type, event) FROM event_minutes m WHERE source <> 'demo'),
    (SELECT json_agg(t ORDER BY type, event) FROM event_totals t WHERE source <> 'demo'),
    (SELECT json_agg(i ORDER BY edge_id) FROM identity_edges i WHERE source <> 'demo'),
    (SELECT json_agg(month ORDER BY month) FROM months WHERE month <= now()))";
/// Everything that the demo may leave its name or an id in.
const TRACES: &str = "SELECT json_build_array(
    (SELECT count(*) FROM all_events WHERE source = 'demo'),
    (SELECT count(*) FROM event_minutes WHERE source = 'demo'),
    (SELECT count(*) FROM event_totals WHERE source = 'demo'),
    (SELECT count(*) FROM event_properties WHERE source = 'demo'),
    (SELECT count(*) FROM event_id_claims c WHERE NOT EXISTS (SELECT FROM all_events e WHERE e.event_id = c.event_id)),
    (SELECT count(*) FROM identity_edges WHERE source = 'demo'),
    (SELECT count(*) FROM identity_claims WHERE source = 'demo'),
    (SELECT count(*) FROM dead_letters WHERE source = 'demo'))";

async fn json_of(serve: &Serve, query: &str) -> Value {
    serde_json::from_str(&serve.value(query).await).unwrap()
}

fn truth(serve: &Serve) -> Value {
    serde_json::from_slice(&fs::read(serve.folder().join("truth.json")).unwrap()).unwrap()
}

/// Events that have nothing to do with the demo: two users, one of them known on a device, and a wrong copy.
async fn send_others(serve: &Serve) {
    let event = |id: &str, user: Option<&str>, kind: &str| {
        json!({"type": kind, "messageId": id, "event": "Article Viewed", "anonymousId": "own-device", "userId": user,
               "timestamp": "2026-11-20T12:00:00Z", "properties": {"content_id": "own"}})
    };
    let batch = json!({"batch": [
        event("o-1", None, "track"), event("o-2", Some("own-user"), "identify"), event("o-3", Some("own-user"), "track"),
        event("o-1", None, "track"),
    ]});
    let (status, _) = serve.post("/v1/batch", &batch).await;
    assert_eq!(status, 200);
    serve.settle().await;
}

#[tokio::test]
async fn a_history_is_stored_as_it_is_true_and_removed_without_a_trace() {
    let serve = Serve::start("").await;
    send_others(&serve).await;
    let others = json_of(&serve, OTHERS).await;
    let file = serve.folder().join("truth.json");
    let demo = [
        "demo",
        "--days",
        "30",
        "--events",
        "20000",
        "--seed",
        "7",
        "--zone",
        "Europe/Berlin",
        "--anomaly",
        "outage",
        "--anomaly",
        "spike",
        "--anomaly",
        "bot-wave",
        "--truth",
        file.to_str().unwrap(),
        "--json",
    ];
    let said = serve.cli(&demo).await.json();
    let truth = truth(&serve);
    assert_eq!(truth["events"], said["events"]);
    let total = truth["events"]["total"].as_u64().unwrap();
    assert!((15_000..60_000).contains(&total), "{total}");
    assert_eq!(said["stored"], total);

    assert_eq!(json_of(&serve, BY_NAME).await, truth["events"]["by_name"]);
    let duplicates =
        "SELECT sum(duplicate) || ' ' || sum(conflict) || ' ' || sum(dead_letter) FROM positions";
    let copies = truth["events"]["duplicates"].as_u64().unwrap() + 1;
    assert_eq!(serve.value(duplicates).await, format!("{copies} 0 0"));
    check_columns(&serve, &truth).await;
    check_people(&serve, &truth).await;
    check_anomalies(&serve, &truth).await;

    // The same again adds nothing.
    let again = serve.cli(&demo).await.json();
    assert_eq!(
        (&again["events"], &again["stored"]),
        (&said["events"], &said["stored"])
    );
    assert_eq!(json_of(&serve, BY_NAME).await, truth["events"]["by_name"]);
    assert_eq!(json_of(&serve, OTHERS).await[0], others[0]);

    let unasked = serve.cli(&["demo", "remove"]).await;
    assert_eq!(unasked.code, Some(2), "{}", unasked.stderr);
    assert!(unasked.stderr.contains("hint: --yes"), "{}", unasked.stderr);
    let dry = serve.cli(&["demo", "remove", "--dry-run"]).await.expect(0);
    assert!(
        dry.contains(&format!("source demo: {total}\n")) && dry.contains("nothing was changed"),
        "{dry}"
    );
    assert_eq!(json_of(&serve, BY_NAME).await, truth["events"]["by_name"]);

    let removed = serve.cli(&["demo", "remove", "--yes", "--json"]).await.json();
    assert_eq!(removed["removed"]["events"], total);
    assert_eq!(json_of(&serve, TRACES).await, json!([0, 0, 0, 0, 0, 0, 0, 0]));
    let left = json_of(&serve, OTHERS).await;
    assert_eq!(
        (&left[0], &left[1], &left[2], &left[3]),
        (&others[0], &others[1], &others[2], &others[3])
    );
    let nothing = serve.cli(&["demo", "remove", "--yes", "--json"]).await.json();
    assert_eq!(nothing["removed"]["events"], 0);

    // And it can come again, with all that it says of who is who.
    serve.cli(&demo).await.expect(0);
    assert_eq!(json_of(&serve, BY_NAME).await, truth["events"]["by_name"]);
    check_people(&serve, &truth).await;
}

/// Received when it occurred, robots by their user agent.
async fn check_columns(serve: &Serve, truth: &Value) {
    let columns = "SELECT json_build_array(
            bool_and(received_at = occurred_at AND received_at = original_timestamp AND trusted), count(*) FILTER (WHERE is_bot),
            min(received_at) >= $from AND max(received_at) < $to)
        FROM events WHERE source = 'demo'"
        .replace("$from", &format!("'{}'", truth["world"]["from"].as_str().unwrap()))
        .replace("$to", &format!("'{}'", truth["world"]["to"].as_str().unwrap()));
    assert_eq!(
        json_of(serve, &columns).await,
        json!([true, truth["events"]["bots"], true])
    );
    let minutes = "SELECT json_build_array(sum(events + bot_events), sum(bot_events)) FROM event_minutes WHERE source = 'demo'";
    let counts = json!([truth["events"]["total"], truth["events"]["bots"]]);
    assert_eq!(json_of(serve, minutes).await, counts);
}

/// Each person's ids are joined as the truth says, and the sums of what they did are the same.
async fn check_people(serve: &Serve, truth: &Value) {
    let people = "SELECT json_object_agg(person, json_build_object('events', events, 'views', views, 'reads', reads,
            'completed', completed, 'orders', orders, 'cents', cents, 'first', first, 'last', last)) FROM (
        SELECT coalesce(e.user_id, v.user_id, e.anonymous_id) AS person, count(*) AS events,
            count(*) FILTER (WHERE event = 'Article Viewed') AS views,
            count(*) FILTER (WHERE event = 'Article Completed') AS completed,
            count(*) FILTER (WHERE event = 'Order Completed') AS orders,
            coalesce(round(sum((properties->>'revenue')::numeric) * 100), 0)::int AS cents,
            count(DISTINCT (e.anonymous_id, properties->>'content_id', occurred_at::date)) FILTER (WHERE event = 'Article Read') AS reads,
            extract(epoch FROM min(occurred_at)) AS first, extract(epoch FROM max(occurred_at)) AS last
        FROM all_events e LEFT JOIN identity_visitors v USING (anonymous_id)
        WHERE source = 'demo' GROUP BY 1) AS counted";
    let stored: BTreeMap<String, Value> = serde_json::from_value(json_of(serve, people).await).unwrap();
    let said = truth["people"].as_array().unwrap();
    assert_eq!(stored.len(), said.len());
    let seconds = |value: &Value| -> f64 {
        let at: jiff::Timestamp = value.as_str().unwrap().parse().unwrap();
        at.as_millisecond() as f64 / 1_000.0
    };
    let (mut reads, mut reads_stored) = (0, 0);
    for person in said {
        let id = person["user_id"]
            .as_str()
            .or(person["anonymous_ids"][0].as_str())
            .unwrap();
        let found = &stored[id];
        for (stored, said) in [
            ("events", "events"),
            ("views", "views"),
            ("completed", "completed_reads"),
            ("orders", "orders"),
        ] {
            assert_eq!(found[stored], person[said], "{id}: {said}");
        }
        let cents = (person["revenue"].as_f64().unwrap() * 100.0).round() as i64;
        assert_eq!(found["cents"], cents, "{id}");
        for (stored, said) in [("first", "first_seen_at"), ("last", "last_seen_at")] {
            assert!(
                (found[stored].as_f64().unwrap() - seconds(&person[said])).abs() < 0.001,
                "{id}: {said}"
            );
        }
        reads += person["reads"].as_i64().unwrap();
        reads_stored += found["reads"].as_i64().unwrap();
    }
    // A content that is read over midnight, or twice a day, counts otherwise in that query.
    assert!(
        (reads - reads_stored).abs() <= reads / 50,
        "{reads} {reads_stored}"
    );
    assert!(reads > 1_000, "{reads}");
    let edges = serve
        .value("SELECT count(*) FROM identity_edges WHERE source = 'demo'")
        .await;
    let known = said.iter().filter(|person| !person["user_id"].is_null());
    let joined: usize = known
        .map(|person| person["anonymous_ids"].as_array().unwrap().len())
        .sum();
    assert_eq!(edges, joined.to_string());
}

async fn check_anomalies(serve: &Serve, truth: &Value) {
    let anomalies = truth["anomalies"].as_array().unwrap();
    assert_eq!(anomalies.len(), 3);
    for anomaly in anomalies {
        let count = "SELECT json_build_array(coalesce(sum(events), 0), coalesce(sum(bot_events), 0)) FROM event_minutes
            WHERE source = 'demo' AND minute >= $from::timestamptz + $shift AND minute < $to::timestamptz + $shift"
            .replace("$from", &format!("'{}'", anomaly["from"].as_str().unwrap()))
            .replace("$to", &format!("'{}'", anomaly["to"].as_str().unwrap()));
        // Beside the same hours a week before.
        let now = json_of(serve, &count.replace("$shift", "interval '0'")).await;
        let week = json_of(serve, &count.replace("$shift", "interval '-7 days'")).await;
        let number = |counts: &Value, which: usize| counts[which].as_i64().unwrap();
        match anomaly["kind"].as_str().unwrap() {
            "outage" => assert_eq!((number(&now, 0), number(&now, 1)), (0, 0), "{week}"),
            "spike" => assert!(number(&now, 0) > 2 * number(&week, 0), "{now} {week}"),
            "bot-wave" => assert!(
                number(&now, 1) > 200 && number(&now, 1) > 5 * number(&week, 1),
                "{now} {week}"
            ),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_live_demo_sends_as_time_goes_by() {
    let serve = Serve::start("").await;
    let file = serve.folder().join("truth.json");
    let demo = [
        "demo",
        "--rate",
        "60",
        "--people",
        "20000",
        "--events",
        "400",
        "--truth",
        file.to_str().unwrap(),
    ];
    let said = serve.cli(&demo).await.expect(0);
    let truth = truth(&serve);
    let total = truth["events"]["total"].as_u64().unwrap();
    assert_eq!(total + truth["events"]["duplicates"].as_u64().unwrap(), 400);
    assert!(
        said.contains(&format!("{total} events")) && said.contains("momsflow demo remove"),
        "{said}"
    );
    assert_eq!(json_of(&serve, BY_NAME).await, truth["events"]["by_name"]);
    let live = "SELECT bool_and(received_at = accepted_at AND received_at - occurred_at BETWEEN '-1 second' AND '2 days') FROM events";
    assert_eq!(serve.value(live).await, "t");
}

#[tokio::test]
async fn a_demo_goes_on_over_a_restart_of_serve() {
    let mut serve = Serve::start("").await;
    let file = serve.folder().join("truth.json");
    let demo = [
        "demo",
        "--days",
        "60",
        "--events",
        "30000",
        "--truth",
        file.to_str().unwrap(),
    ];
    let demo = tokio::spawn(run(serve.command(&demo)));
    until("some events are stored", async || {
        serve
            .value("SELECT count(*) FROM events")
            .await
            .parse::<u64>()
            .unwrap()
            > 500
    })
    .await;
    serve.kill().await;
    assert!(!demo.is_finished(), "it ended before serve was killed");
    serve.start_again().await;
    let ran = demo.await.unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("waiting: "), "{}", ran.stderr);
    assert_eq!(json_of(&serve, BY_NAME).await, truth(&serve)["events"]["by_name"]);
}

#[tokio::test]
async fn with_sources_configured_the_demo_has_to_be_one_of_them() {
    let website = "[[sources]]\nname = \"website\"\nkey = \"website-key\"\n";
    let demo = ["demo", "--days", "2", "--people", "30"];
    for (section, says) in [
        ("", "[[sources]]\n  name = \"demo\""),
        (
            "[[sources]]\nname = \"demo\"\nkey = \"demo-key\"\ntrusted = true\n",
            "may_backdate = true",
        ),
    ] {
        let serve = Serve::start(&format!("{website}{section}")).await;
        let ran = serve.cli(&demo).await;
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(
            ran.stderr.contains(says) && ran.stderr.contains("hint:"),
            "{}",
            ran.stderr
        );
        assert_eq!(serve.value("SELECT count(*) FROM events").await, "0");
    }
    let section =
        "[[sources]]\nname = \"demo\"\nkey_env = \"DEMO_WRITE_KEY\"\ntrusted = true\nmay_backdate = true\n";
    let serve = Serve::start_with(
        &format!("{website}{section}"),
        &[("DEMO_WRITE_KEY", "secret-of-the-demo")],
    )
    .await;
    let said = serve.cli(&demo).await.expect(0);
    let stored = serve
        .value("SELECT count(*) FROM events WHERE source = 'demo' AND trusted")
        .await;
    assert!(
        stored != "0" && said.contains(&format!("{stored} stored")),
        "{said}"
    );
}

#[tokio::test]
async fn without_a_serve_it_prints_a_history_or_says_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let demo = |arguments: &[&str]| {
        let mut command = momsflow();
        command
            .arg("demo")
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null());
        run(command)
    };
    let history = [
        "--days",
        "5",
        "--people",
        "40",
        "--until",
        "2026-10-01",
        "--print",
    ];
    let lines = demo(&history).await.expect(0);
    assert!(lines.lines().count() > 200);
    for line in lines.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(
            event["timestamp"].as_str().unwrap().starts_with("2026-09-"),
            "{line}"
        );
    }
    assert_eq!(demo(&history).await.expect(0), lines);

    let ran = demo(&["--days", "5"]).await;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("momsflow serve") && ran.stderr.contains("hint:"),
        "{}",
        ran.stderr
    );
    for (arguments, says) in [
        (
            &["--days", "5", "--zone", "Middle/Earth"][..],
            "hint: --zone Europe/Berlin",
        ),
        (&["--days", "5", "--until", "2999-01-01"], "a history ends today"),
        (&["--days", "5", "--rate", "5"], "cannot be used with"),
        (&["--rate", "0"], "from 0.01 to 100000"),
        (
            &["--anomaly", "meteor"],
            "possible values: outage, spike, bot-wave",
        ),
        (&["--print"], "--days <DAYS>"),
    ] {
        let ran = demo(arguments).await;
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
    }
}
