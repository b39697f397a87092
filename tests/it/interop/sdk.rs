//! What the SDKs send against what arrives in SQL.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::SignedDuration;
use serde_json::Value;

use super::browser;
use super::call::{calls, differences, is_of};
use super::proxy::{Fault, Proxy, Seen};
use crate::serve::{Serve, run};

/// Further calls, so that SDKs make several batches.
const BULK: usize = 250;
/// A browser sends each call by itself.
const BROWSER_BULK: usize = 20;

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
"#;

/// An SDK, its source's name, and what it runs with.
struct Sdk {
    name: &'static str,
    source: &'static str,
    /// Missing where the SDK is not installed.
    needs: &'static [&'static str],
    bulk: usize,
    /// What clocks, rounding and retries may add between a call's time and the stored one.
    skew: SignedDuration,
}

const SKEW: SignedDuration = SignedDuration::from_secs(5);
/// The Java SDK says for all retries of a batch that it was sent when it was first sent, and waits 15 s and longer.
const SKEW_OF_JAVA: SignedDuration = SignedDuration::from_secs(60);

const SDKS: [Sdk; 5] = [
    Sdk {
        name: "segment-analytics-python",
        source: "python",
        needs: &["venv/.installed"],
        bulk: BULK,
        skew: SKEW,
    },
    Sdk {
        name: "rudder-sdk-python",
        source: "rudder",
        needs: &["venv/.installed"],
        bulk: BULK,
        skew: SKEW,
    },
    Sdk {
        name: "@segment/analytics-node",
        source: "node",
        needs: &["node/.installed"],
        bulk: BULK,
        skew: SKEW,
    },
    Sdk {
        name: "com.segment.analytics.java",
        source: "java",
        needs: &["java/.installed"],
        bulk: BULK,
        skew: SKEW_OF_JAVA,
    },
    Sdk {
        name: "@segment/analytics-next",
        source: browser::SOURCE,
        needs: &["node/.installed", browser::CHROMIUM],
        bulk: BROWSER_BULK,
        skew: SKEW,
    },
];

/// A file or folder of the cache that `tests/interop/setup.sh` fills; an absolute path stays as it is.
pub fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/.cache/interop")
        .join(path)
}

/// What of this is not installed. `make interop` may leave nothing out.
pub fn missing(needs: &[&'static str]) -> Option<&'static str> {
    let missing = needs.iter().find(|path| !installed(path).exists()).copied();
    if let Some(missing) = missing {
        assert!(
            std::env::var_os("MOMSFLOW_INTEROP").is_none(),
            "{missing} is not installed: tests/interop/setup.sh full"
        );
    }
    missing
}

/// Puts a script of `tests/interop` into a serve's folder, where the JavaScript packages are found too.
pub fn stage(serve: &Serve, script: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/interop")
        .join(script);
    let staged = serve.folder().join(source.file_name().unwrap());
    fs::copy(source, &staged).unwrap();
    let packages = serve.folder().join("node_modules");
    if !packages.exists() {
        std::os::unix::fs::symlink(installed("node/node_modules"), packages).unwrap();
    }
    staged
}

impl Sdk {
    fn command(&self, serve: &Serve, calls: &Path, host: &str) -> Command {
        let (program, mut arguments) = match self.source {
            "python" => (
                installed("venv/bin/python"),
                vec![stage(serve, "python/send.py"), "segment".into()],
            ),
            "rudder" => (
                installed("venv/bin/python"),
                vec![stage(serve, "python/send.py"), "rudder".into()],
            ),
            "node" => ("node".into(), vec![stage(serve, "node/send.mjs")]),
            "java" => {
                let jars = installed("java/*");
                (
                    "java".into(),
                    vec!["-cp".into(), jars, stage(serve, "java/Send.java")],
                )
            }
            _ => (
                "node".into(),
                vec![stage(serve, "browser/drive.mjs"), "calls".into()],
            ),
        };
        arguments.push(calls.to_owned());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(host)
            .arg(format!("{}-key", self.source));
        // Where serve's watchdog finds it, should the test end early.
        command.current_dir(serve.folder());
        command
    }

    /// Sends every call through a proxy that refuses the first request and loses the answer to the second.
    async fn send(&self, serve: &Serve, calls: &[Value], page: &str) -> Vec<Seen> {
        let file = serve.folder().join(format!("{}.json", self.source));
        fs::write(&file, serde_json::to_string(calls).unwrap()).unwrap();
        let proxy = Proxy::start(serve.http(), &[Fault::Refuse, Fault::LoseAnswer]).await;
        let mut command = self.command(serve, &file, &format!("http://{}", proxy.addr()));
        if self.source == browser::SOURCE {
            command.arg(page);
        }
        let sent = run(command).await.expect(0);
        assert_eq!(sent.trim(), calls.len().to_string(), "{}", self.name);
        serve.settle().await;
        proxy.seen()
    }

    /// Asserts that each call is one row with what it was given, and gives the line of the table.
    async fn compare(&self, serve: &Serve, calls: &[Value], seen: &[Seen]) -> String {
        let name = self.name;
        let rows = rows(serve, self.source).await;
        let browser = self.source == browser::SOURCE;
        for call in calls {
            let own: Vec<_> = rows.iter().filter(|row| is_of(row, call)).collect();
            let [row] = own[..] else {
                panic!("{name}: {} rows for {call}", own.len());
            };
            let differences = differences(row, call, browser, self.skew);
            assert!(
                differences.is_empty(),
                "{name}: {call} is stored with {differences:#?}"
            );
        }
        assert_eq!(rows.len(), calls.len(), "{name}: rows that nobody sent");
        check_retries(name, seen);

        let library = &rows[0]["context"]["library"];
        let largest = seen.iter().map(|seen| seen.message_ids.len()).max().unwrap();
        let paths: BTreeSet<_> = seen.iter().map(|seen| seen.path.as_str()).collect();
        let gzip = if seen.iter().all(|seen| seen.gzip) {
            "gzip"
        } else {
            "no gzip"
        };
        format!(
            "{name:<28} {:<9} {:>5} {:>6}   {} requests, batches to {largest}, {gzip}; {}",
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
        "{:<28} {:<9} {:>5} {:>6}   {}",
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
        let calls = calls(sdk.bulk);
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
