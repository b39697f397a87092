//! Start, stop, restart, and life without PostgreSQL.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::serve::{PATIENCE, Serve, until};
use super::support::kill;

const SENDERS: usize = 4;
const BATCH: usize = 10;
/// How often `/ready` has to say that PostgreSQL is down while it is killed again and again.
const NOT_READY: u32 = 40;

/// Clients that send until they are told to stop. Each sends a batch again until it is acknowledged, as SDKs do.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    senders: JoinSet<BTreeSet<Uuid>>,
}

impl Load {
    fn start(serve: &Serve) -> Self {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::<AtomicUsize>::default());
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let (client, url, key) = (serve.client(), serve.url("/v1/batch"), serve.write_key());
            let (stop, count) = (stop.clone(), count.clone());
            senders.spawn(async move {
                let mut acknowledged = BTreeSet::new();
                while !stop.load(Ordering::SeqCst) {
                    let ids: Vec<_> = (0..BATCH).map(|_| Uuid::new_v4()).collect();
                    let events = ids.iter().map(|id| json!({
                        "type": "track", "event": "Loaded", "userId": format!("u-{}", id.as_u128() % 97), "messageId": id,
                    }));
                    let body = json!({"batch": events.collect::<Vec<_>>()});
                    while !stop.load(Ordering::SeqCst) {
                        let request = client.post(&url).basic_auth(&key, Some("")).json(&body);
                        if request.send().await.is_ok_and(|answer| answer.status() == 200) {
                            acknowledged.extend(&ids);
                            count.fetch_add(BATCH, Ordering::SeqCst);
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
                acknowledged
            });
        }
        Self {
            stop,
            acknowledged: count,
            senders,
        }
    }

    /// Waits until so many events are acknowledged.
    async fn reached(&self, events: usize) {
        until("there is some load", async || {
            self.acknowledged.load(Ordering::SeqCst) >= events
        })
        .await;
    }

    /// Ends the load and gives the ids that were acknowledged.
    async fn stop(self) -> BTreeSet<Uuid> {
        self.stop.store(true, Ordering::SeqCst);
        self.senders.join_all().await.into_iter().flatten().collect()
    }
}

/// Asserts that each acknowledged event is stored once, and that no event is there twice or became a dead letter.
async fn assert_stored(serve: &Serve, acknowledged: &BTreeSet<Uuid>) {
    serve.settle().await;
    let rows = serve
        .sql()
        .await
        .query("SELECT event_id FROM all_events", &[])
        .await
        .unwrap();
    let stored: BTreeSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(rows.len(), stored.len(), "some are stored twice");
    let lost = acknowledged.difference(&stored).count();
    assert_eq!(lost, 0, "of {} acknowledged events", acknowledged.len());
    assert_eq!(serve.value("SELECT count(*) FROM dead_letters").await, "0");
}

/// What `/ready` says: the status, and the faults by part.
async fn ready(serve: &Serve) -> (u16, Value) {
    let (status, text) = serve.get("/ready").await;
    (
        status.as_u16(),
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

fn signal_all(processes: &[i32], signal: Signal) {
    for pid in processes {
        let _ = kill_process(Pid::from_raw(*pid).unwrap(), signal);
    }
}

/// The processes of the embedded PostgreSQL.
fn postgres_of(serve: &Serve) -> Vec<i32> {
    let mut processes = serve.processes();
    processes.retain(|pid| Some(*pid) != serve.pid());
    processes
}

#[tokio::test]
async fn a_restart_keeps_keys_ports_and_log() {
    let mut serve = Serve::start("").await;
    let event = json!({"userId": "u-1", "event": "Article Viewed", "messageId": "m-1"});
    let (status, answer) = serve.post("/v1/track", &event).await;
    assert_eq!(
        (status.as_u16(), &answer["accepted"]),
        (200, &json!(1)),
        "{answer}"
    );
    serve.settle().await;
    let count = "SELECT count(*) FROM events WHERE user_id = 'u-1'";
    assert_eq!(serve.value(count).await, "1");

    let known = async |serve: &Serve| {
        let status = serve.status().await;
        let parts = ["http", "admin", "event_store"].map(|part| status[part].to_string());
        (serve.write_key(), parts, status["log"]["log_id"].clone())
    };
    let before = known(&serve).await;
    serve.stop().await;
    serve.start_again().await;
    assert_eq!(known(&serve).await, before);

    serve.kill_all().await;
    serve.start_again().await;
    assert_eq!(known(&serve).await, before);
    let (status, _) = serve.post("/v1/track", &event).await;
    assert_eq!(status.as_u16(), 200);
    serve.settle().await;
    assert_eq!(serve.value(count).await, "1", "its id is known over restarts");
    serve.stop().await;
}

/// What serve prints first works as it stands.
#[tokio::test]
async fn the_printed_curl_line_works() {
    let serve = Serve::start("").await;
    let printed = serve.printed();
    let (_, command) = printed.split_once("Send an event:\n\n").unwrap();
    let (command, _) = command.split_once("\n\n").unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", command]).current_dir(serve.folder());
    let answer = super::serve::run(shell).await.json();
    assert_eq!(answer["accepted"], 1, "{answer}");
    serve.settle().await;
    serve.status().await;
    let (_, command) = printed.split_once("and what runs:\n\n").unwrap();
    for line in command.lines().take(2) {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", line]).current_dir(serve.folder());
        let shown = super::serve::run(shell).await.expect(0);
        assert!(
            shown.contains("Article Viewed") || shown.contains("all healthy"),
            "{line}: {shown}"
        );
    }
}

#[tokio::test]
async fn sigterm_under_load_loses_nothing_and_ends_within_its_deadline() {
    let mut serve = Serve::start("").await;
    let load = Load::start(&serve);
    load.reached(1000).await;
    serve.stop().await;
    let acknowledged = load.stop().await;
    assert!(serve.log().contains("stopped, nothing was left behind"));
    serve.start_again().await;
    assert_stored(&serve, &acknowledged).await;
}

#[tokio::test]
async fn a_second_ctrl_c_ends_at_once_and_loses_nothing() {
    let mut serve = Serve::start("").await;
    // A PostgreSQL that stands still holds the shutdown up.
    let load = Load::start(&serve);
    load.reached(100).await;
    let postgres = postgres_of(&serve);
    signal_all(&postgres, Signal::STOP);
    tokio::time::sleep(Duration::from_millis(500)).await;
    serve.signal(Signal::INT);
    until("it is stopping", async || {
        serve.log().contains("stopping: finishing")
    })
    .await;
    let acknowledged = load.stop().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    serve.signal(Signal::INT);
    let status = serve.ended().await;
    assert_eq!(status.code(), Some(130), "the first signal had ended it");

    // The stopped PostgreSQL is still there: the next start gets rid of it.
    serve.start_again().await;
    assert_stored(&serve, &acknowledged).await;
    serve.stop().await;
}

#[tokio::test]
async fn while_postgresql_is_down_ready_says_so_and_ingest_goes_on() {
    let mut serve = Serve::start("").await;
    assert_eq!(ready(&serve).await.0, 200);
    let load = Load::start(&serve);
    let mut not_ready = 0;
    let began = Instant::now();
    while not_ready < NOT_READY {
        assert!(began.elapsed() < PATIENCE, "it was not ready {not_ready} times");
        if let Some(postmaster) = serve.postmaster() {
            kill(postmaster);
        }
        let (status, said) = ready(&serve).await;
        if status == 503 {
            not_ready += 1;
            assert!(said.to_string().to_lowercase().contains("postgres"), "{said}");
            let live = serve.get("/live").await;
            assert_eq!(live.0.as_u16(), 200, "{}", live.1);
            let (status, answer) = serve
                .post("/v1/track", &json!({"userId": "u", "event": "During"}))
                .await;
            assert_eq!(status.as_u16(), 200, "{answer}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until("it is ready again", async || ready(&serve).await.0 == 200).await;
    let acknowledged = load.stop().await;
    assert_stored(&serve, &acknowledged).await;
    let during = serve
        .value("SELECT count(*) FROM events WHERE event = 'During'")
        .await;
    assert_eq!(during, not_ready.to_string());
    serve.stop().await;
}

#[tokio::test]
async fn a_postgresql_that_stands_still_is_noticed_and_waited_for() {
    let serve = Serve::start("").await;
    let load = Load::start(&serve);
    load.reached(100).await;
    let postgres = postgres_of(&serve);
    signal_all(&postgres, Signal::STOP);
    let began = Instant::now();
    let mut noticed = None;
    while noticed.is_none() && began.elapsed() < PATIENCE {
        let (status, said) = ready(&serve).await;
        noticed = (status == 503).then_some(said);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    signal_all(&postgres, Signal::CONT);
    assert!(
        noticed.is_some(),
        "ready for {PATIENCE:?} without a PostgreSQL that answers"
    );
    until("it is ready again", async || ready(&serve).await.0 == 200).await;
    let acknowledged = load.stop().await;
    assert_stored(&serve, &acknowledged).await;
}

#[tokio::test]
async fn a_schema_newer_than_the_binary_is_refused() {
    let mut serve = Serve::start("").await;
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
                 VALUES (9999, 'from_the_future', now()::text, '1')";
    serve.sql().await.batch_execute(newer).await.unwrap();
    let ran = serve.cli(&["migrate"]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(ran.stderr.contains("9999"), "{}", ran.stderr);
    serve.stop().await;
    serve.launch();
    let status = serve.ended().await;
    assert_eq!(status.code(), Some(1));
    let log = serve.log();
    assert!(
        log.contains("a task died, so that momsflow stops") && log.contains("9999"),
        "{log}"
    );
    assert_eq!(serve.processes(), Vec::<i32>::new(), "left behind");
}
