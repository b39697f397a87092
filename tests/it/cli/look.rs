//! The commands that look: status, tail, events, psql, connect, migrate.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::serve::{PATIENCE, run, until};
use super::super::support::connect;
use super::shared;

#[tokio::test]
async fn status_tells_what_runs() {
    let serve = shared().await;
    let text = serve.status_text().await;
    for says in [
        format!("process {}", serve.pid().unwrap()),
        "roles ingest, capture".to_owned(),
        format!("http        {}", serve.url("")),
        format!("http://{}/metrics", serve.admin()),
        "event store embedded PostgreSQL".to_owned(),
        "PARTITION  LOG".to_owned(),
        "running".to_owned(),
        "all healthy".to_owned(),
    ] {
        assert!(text.contains(&says), "{says} is not in:\n{text}");
    }
    let ran = serve.cli(&["status", "--json"]).await;
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["status"]["pid"], json!(serve.pid().unwrap()));
    assert!(json["status"]["faults"].is_object());
    assert_eq!(json["status"]["log"]["partitions"].as_array().unwrap().len(), 4);
    assert!(json["rates"]["appended_per_second"].is_number());
}

#[tokio::test]
async fn status_has_rates_at_once() {
    let serve = shared().await;
    until("both rates are known without a wait", async || {
        send("website-key", "Rate Seen", "u-rate", 1).await;
        let rates = serve.status_with_faults().await["rates"].take();
        let is_more_than_none = |rate: &str| rates[rate].as_f64().is_some_and(|rate| rate > 0.0);
        is_more_than_none("appended_per_second") && is_more_than_none("stored_per_second")
    })
    .await;
}

async fn send(key: &str, event: &str, user: &str, number: u32) {
    let body =
        json!({"event": event, "userId": user, "properties": {"number": number, "title": "\u{1b}[31mred"}});
    let (status, answer) = shared().await.post_as(key, "/v1/track", &body).await;
    assert_eq!(status.as_u16(), 200, "{answer}");
}

#[tokio::test]
async fn tail_prints_what_is_there_and_filters() {
    let serve = shared().await;
    for number in 0..3 {
        send("website-key", "Tail Read", "u-tail", number).await;
    }
    send("app-key", "Tail Read", "u-tail-app", 3).await;
    send("app-key", "Tail Skipped", "u-tail", 4).await;
    let tail = async |more: &[&str]| {
        let mut arguments = vec!["tail", "--last", "100000", "--no-follow", "--json"];
        arguments.extend(more);
        let text = serve.cli(&arguments).await.expect(0);
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut numbers: Vec<_> = lines
            .map(|line| line["properties"]["number"].as_u64().unwrap())
            .collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(tail(&["--event", "Tail Read"]).await, [0, 1, 2, 3]);
    assert_eq!(tail(&["--event", "Tail Read", "--source", "app"]).await, [3]);
    assert_eq!(tail(&["--person", "u-tail"]).await, [0, 1, 2, 4]);
    assert_eq!(tail(&["--person", "nobody"]).await, [] as [u64; 0]);

    let text = serve
        .cli(&["tail", "--last", "100000", "--no-follow", "--event", "Tail Read"])
        .await
        .expect(0);
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains("website") && text.contains("u-tail"), "{text}");
    assert!(!text.contains('\u{1b}'), "an event steers the terminal: {text:?}");
}

#[tokio::test]
async fn tail_follows_and_ends_with_its_reader() {
    let serve = shared().await;
    let mut command = serve.command(&["tail", "--event", "Tail Followed", "--json"]);
    let mut tail = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(tail.stdout.take().unwrap());
    let (found, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        found.send(line).unwrap();
    });
    // It begins at the end of the log, whenever that is; each try comes once.
    let mut line = None;
    until("tail prints an event", async || {
        send("website-key", "Tail Followed", "u-follow", 1).await;
        line = lines.recv_timeout(Duration::from_millis(200)).ok();
        line.is_some()
    })
    .await;
    let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
    assert_eq!(event["event"], "Tail Followed");
    reader.join().unwrap();
    // The reader dropped the pipe: the next event ends the tail.
    until("tail ends", async || {
        send("website-key", "Tail Followed", "u-follow", 2).await;
        tail.try_wait().unwrap().is_some()
    })
    .await;
    assert_eq!(tail.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn the_catalogue_shows_properties_types_and_conflicts() {
    let serve = shared().await;
    for price in [json!(1.5), json!(2), json!("2.50")] {
        let event =
            json!({"event": "Catalogue Seen", "userId": "u-1", "properties": {"price": price, "gift": true}});
        serve.post_as("website-key", "/v1/track", &event).await;
    }
    let mut list = Value::Null;
    until("the catalogue is written", async || {
        let ran = serve
            .cli(&["events", "list", "--event", "Catalogue Seen", "--json"])
            .await;
        list = ran.json();
        list[0]["properties"]
            .as_array()
            .is_some_and(|properties| properties.len() == 2)
            && list[0]["events"] == 3
    })
    .await;
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    assert_eq!(
        (&list[0]["source"], &list[0]["event"]),
        (&json!("website"), &json!("Catalogue Seen"))
    );

    let text = serve
        .cli(&["events", "list", "--event", "Catalogue Seen"])
        .await
        .expect(0);
    assert!(
        text.contains("Catalogue Seen · track · website · 3 events"),
        "{text}"
    );
    assert!(text.contains("gift: boolean 3"), "{text}");
    assert!(
        text.contains("price: number 2, string 1  ← 1 of another type"),
        "{text}"
    );
}

#[tokio::test]
async fn psql_passes_arguments_and_exit_codes_through() {
    let serve = shared().await;
    let query = "select current_database(), current_user";
    let events = serve.cli(&["psql", "--", "-At", "-c", query]).await.expect(0);
    assert_eq!(events.trim(), "momsflow_events|momsflow_reader");
    let views = serve
        .cli(&["psql", "views", "--", "-At", "-c", query])
        .await
        .expect(0);
    assert_eq!(views.trim(), "momsflow_views|momsflow_reader");
    let mut off_path = serve.command(&["psql", "--", "-At", "-c", query]);
    off_path.env("PATH", "/nonexistent");
    assert_eq!(run(off_path).await.expect(0), events, "the server's own psql");
    let broken = serve.cli(&["psql", "--", "-c", "select broken"]).await;
    assert_eq!(broken.code, Some(1));
    assert!(
        broken.stderr.contains("column \"broken\" does not exist"),
        "{}",
        broken.stderr
    );
}

#[tokio::test]
async fn psql_changes_nothing_without_write() {
    let serve = shared().await;
    let psql = async |flags: &[&str], statement: &str| {
        let arguments = [
            &["psql"][..],
            flags,
            &["--", "-At", "-v", "ON_ERROR_STOP=1", "-c", statement],
        ]
        .concat();
        serve.cli(&arguments).await
    };
    psql(&["--write"], "create table changed (i int)").await.expect(0);
    for statement in [
        "insert into changed values (1)",
        "delete from events",
        "create table more (i int)",
        "begin read write; delete from events",
    ] {
        let ran = psql(&[], statement).await;
        assert_eq!(ran.code, Some(1), "{statement}: {}", ran.stdout);
        let is_refused = ["read-only transaction", "permission denied"]
            .iter()
            .any(|says| ran.stderr.contains(says));
        assert!(is_refused, "{statement}: {}", ran.stderr);
    }
    // Somebody at a terminal may wait for longer than a dashboard.
    let limits = psql(&[], "show statement_timeout; show default_transaction_read_only").await;
    assert_eq!(limits.expect(0), "0\non\n");
    psql(&["--write"], "insert into changed values (1)")
        .await
        .expect(0);
    psql(&["--write"], "drop table changed").await.expect(0);
}

/// There the role is the URL's own, so that only the transactions keep it from writing.
#[tokio::test]
async fn psql_on_a_server_of_the_users_own_reads_too() {
    let serve = shared().await;
    let connections = momsflow::embedded::connection_of(serve.data_dir()).unwrap();
    let url = |database: &str| {
        format!(
            "postgres://momsflow:{}@127.0.0.1:{}/{database}",
            connections.owner_password().reveal(),
            connections.port()
        )
    };
    let psql = async |flags: &[&str]| {
        let mut command = super::super::serve::momsflow();
        command
            .arg("psql")
            .args(flags)
            .args(["--", "-At", "-c", "create table own (i int); drop table own"])
            .env("MOMSFLOW_POSTGRES__EVENTS_URL", url("momsflow_events"))
            .env("MOMSFLOW_POSTGRES__VIEWS_URL", url("momsflow_views"));
        run(command).await
    };
    let refused = psql(&[]).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("read-only transaction"),
        "{}",
        refused.stderr
    );
    psql(&["--write"]).await.expect(0);
}

#[tokio::test]
async fn what_connect_prints_reads_and_cannot_write() {
    let serve = shared().await;
    for (tool, database) in [("grafana", "momsflow_events"), ("metabase", "momsflow_views")] {
        let source = serve.cli(&["connect", tool, "--json"]).await.json();
        let text = |field: &str| source[field].as_str().unwrap().to_owned();
        assert_eq!(text("database"), database);
        let mut config = tokio_postgres::Config::new();
        config
            .host(text("host"))
            .port(u16::try_from(source["port"].as_u64().unwrap()).unwrap())
            .dbname(text("database"))
            .user(text("user"))
            .password(text("password"));
        let client = tokio::time::timeout(PATIENCE, connect(&config))
            .await
            .unwrap()
            .unwrap();
        client.simple_query("SELECT 1").await.unwrap();
        client.batch_execute("CREATE TABLE t (i int)").await.unwrap_err();
        if tool == "grafana" {
            client.simple_query("SELECT count(*) FROM events").await.unwrap();
            client.batch_execute("DELETE FROM events").await.unwrap_err();
            client
                .batch_execute("SET default_transaction_read_only = off; DELETE FROM events")
                .await
                .unwrap_err();
        }
        let printed = serve.cli(&["connect", tool]).await.expect(0);
        assert!(
            printed.contains(&format!("password  {}", text("password"))),
            "{printed}"
        );
    }
}

#[tokio::test]
async fn migrate_finds_nothing_to_do_beside_serve() {
    let printed = shared().await.cli(&["migrate"]).await.expect(0);
    assert_eq!(printed.matches("nothing to do").count(), 2, "{printed}");
    assert!(printed.contains("event store: version"), "{printed}");
}
