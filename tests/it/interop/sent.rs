//! What the SDKs send against what arrives in SQL.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::browser;
use super::call::{calls, differences, is_of};
use super::proxy::{Fault, Proxy, Seen};
use super::sdk::{SDKS, Sdk, missing};
use crate::serve::{Serve, run};

const CONFIG: &str = r#"
[[sources]]
name = "python"
key = "python-key"
trusted = true

[[sources]]
name = "rudder"
key = "rudder-key"
trusted = true

[[sources]]
name = "node"
key = "node-key"
trusted = true

[[sources]]
name = "java"
key = "java-key"
trusted = true

[[sources]]
name = "kotlin"
key = "kotlin-key"
"#;

impl Sdk {
    /// Sends every call through a proxy that refuses the first request and loses the answer to the second.
    async fn send(&self, serve: &Serve, calls: &[Value], page: &str) -> Vec<Seen> {
        let file = serve.folder().join(format!("{}.json", self.source));
        fs::write(&file, serde_json::to_string(calls).unwrap()).unwrap();
        let proxy = Proxy::start(serve.http(), &[Fault::Refuse, Fault::LoseAnswer]).await;
        let mut command = self.command(
            serve,
            &file,
            &format!("http://{}", proxy.addr()),
            &format!("{}-key", self.source),
        );
        if self.source == browser::SOURCE {
            command.arg(page);
        }
        let sent = run(command).await.expect(0);
        // The last line; before it the Kotlin SDK tells of its retries.
        assert_eq!(
            sent.lines().last(),
            Some(calls.len().to_string().as_str()),
            "{}",
            self.name
        );
        serve.settle().await;
        proxy.seen()
    }

    /// Asserts that each call is one row with what it was given, and gives the line of the table.
    async fn compare(&self, serve: &Serve, calls: &[Value], seen: &[Seen]) -> String {
        let name = self.name;
        let rows = rows(serve, self.source).await;
        let remembers = self.remembers();
        for call in calls {
            let own: Vec<_> = rows.iter().filter(|row| is_of(row, call)).collect();
            let [row] = own[..] else {
                panic!("{name}: {} rows for {call}", own.len());
            };
            let differences = differences(row, call, remembers, self.skew);
            assert!(
                differences.is_empty(),
                "{name}: {call} is stored with {differences:#?}"
            );
        }
        assert_eq!(rows.len(), calls.len(), "{name}: rows that nobody sent");
        let (asked, seen): (Vec<_>, Vec<_>) =
            seen.iter().cloned().partition(|seen| seen.message_ids.is_empty());
        check_retries(name, &seen);
        let settings = format!("/v1/projects/{}-key/settings", self.source);
        let has_settings = asked
            .iter()
            .any(|asked| asked.path == settings && asked.status == Some(200));
        assert_eq!(has_settings, remembers, "{name}: {asked:?}");

        let library = &rows[0]["context"]["library"];
        let largest = seen.iter().map(|seen| seen.message_ids.len()).max().unwrap();
        let paths: BTreeSet<_> = seen.iter().map(|seen| seen.path.as_str()).collect();
        let gzip = if seen.iter().all(|seen| seen.gzip) {
            "gzip"
        } else {
            "no gzip"
        };
        format!(
            "{name:<28} {:<15} {:>5} {:>6}   {} requests, batches to {largest}, {gzip}; {}",
            library["version"].as_str().unwrap_or("?"),
            calls.len(),
            rows.len(),
            seen.len(),
            paths.into_iter().collect::<Vec<_>>().join(" "),
        )
    }
}

/// Both faults have struck, and every id of the struck requests came again and was taken.
#[track_caller]
fn check_retries(name: &str, seen: &[Seen]) {
    for fault in [Fault::Refuse, Fault::LoseAnswer] {
        let struck = seen.iter().position(|seen| seen.fault == Some(fault)).unwrap();
        for id in &seen[struck].message_ids {
            let again = seen.iter().enumerate().any(|(index, later)| {
                index != struck
                    && later.fault.is_none()
                    && later.status == Some(200)
                    && later.message_ids.contains(id)
            });
            assert!(again, "{name}: {id} did not come again after {fault:?}");
        }
        assert!(!seen[struck].message_ids.is_empty(), "{name}: no ids");
    }
}

/// Every row of a source, as JSON.
pub async fn rows(serve: &Serve, source: &str) -> Vec<Value> {
    let query =
        "SELECT to_jsonb(stored)::text FROM all_events AS stored WHERE source = $1 ORDER BY occurred_at";
    let rows = serve.sql().await.query(query, &[&source]).await.unwrap();
    let rows = rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap());
    rows.collect()
}

#[tokio::test]
async fn what_unmodified_sdks_send_is_stored_once_as_it_was_given() {
    let page = crate::serve::free_address();
    let config = format!("{CONFIG}\n{}", browser::source(&page));
    let mut serve = Serve::start(&config).await;
    let mut table = vec![format!(
        "{:<28} {:<15} {:>5} {:>6}   {}",
        "SDK", "version", "calls", "rows", "notes"
    )];
    let mut all = 0;
    for sdk in &SDKS {
        if let Some(missing) = missing(sdk.needs) {
            table.push(format!(
                "{:<28} left out: {missing} is not installed (make interop)",
                sdk.name
            ));
            continue;
        }
        let calls = sdk.calls();
        let seen = sdk.send(&serve, &calls, &page.to_string()).await;
        table.push(sdk.compare(&serve, &calls, &seen).await);
        all += calls.len();
    }
    eprintln!("\n{}\n", table.join("\n"));
    for (what, query, count) in [
        ("rows", "SELECT count(*) FROM all_events", all),
        ("conflicts", "SELECT coalesce(sum(conflict), 0) FROM positions", 0),
        ("dead letters", "SELECT count(*) FROM dead_letters", 0),
    ] {
        assert_eq!(serve.value(query).await, count.to_string(), "{what}");
    }
    serve.stop().await;
}

#[tokio::test]
async fn sdks_give_up_at_once_on_a_wrong_key_and_say_so() {
    let mut serve = Serve::start(CONFIG).await;
    let file = serve.folder().join("calls.json");
    fs::write(&file, serde_json::to_string(&calls(0)).unwrap()).unwrap();
    for (sdk, words) in SDKS.iter().zip(["unknown_key", "unknown_key", "[401]"]) {
        if let Some(missing) = missing(sdk.needs) {
            eprintln!(
                "{}: left out, {missing} is not installed (make interop)",
                sdk.name
            );
            continue;
        }
        let proxy = Proxy::start(serve.http(), &[]).await;
        let host = format!("http://{}", proxy.addr());
        let ran = run(sdk.command(&serve, &file, &host, "wrong-key")).await;
        assert!(
            ran.code == Some(1) && ran.stderr.contains(words),
            "{}: {ran:?}",
            sdk.name
        );
        let answers: Vec<_> = proxy.seen().iter().map(|seen| seen.status).collect();
        assert_eq!(answers, [Some(401)], "{}", sdk.name);
    }
    serve.stop().await;
}
