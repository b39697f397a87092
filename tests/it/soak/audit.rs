//! Compares the store with the ledger, and the store's books with its tables.

use std::collections::HashSet;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::event::{Event, Route, SERVER, Way};
use super::host::{Host, tail};
use super::ledger::Book;
use crate::serve::PATIENCE;
use crate::support::{connect, status, value};

/// How many ids a difference shows.
const SHOWN: usize = 20;

/// What was found; `differences` is empty when all is well.
#[derive(Debug, Default)]
pub struct Findings {
    pub stored: usize,
    pub twice: usize,
    /// Acknowledged and not stored.
    pub lost: usize,
    pub dead_letters: usize,
    pub unacknowledged_stored: usize,
    pub differences: Vec<String>,
}

impl Findings {
    fn differ(&mut self, what: &str, mut ids: Vec<String>) {
        if !ids.is_empty() {
            let count = ids.len();
            ids.truncate(SHOWN);
            self.differences
                .push(format!("{count} × {what}: {}", ids.join(", ")));
        }
    }

    fn expect(&mut self, what: &str, found: &str, expected: &str) {
        if found != expected {
            self.differences
                .push(format!("{what}: {found}, expected {expected}"));
        }
    }
}

/// Waits until everything that the log holds is accounted for; returns how long it took.
pub async fn drain(host: &Host, patience: Duration) -> Result<Duration, String> {
    let begun = Instant::now();
    loop {
        if let Some(store) = open(host).await {
            return drain_store(host, &store, patience.saturating_sub(begun.elapsed())).await;
        }
        if begun.elapsed() > patience {
            return Err(format!("the event store is not there\n{}", tail(&host.log(), 20)));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The same for a store that is reached already.
pub async fn drain_store(host: &Host, store: &Client, patience: Duration) -> Result<Duration, String> {
    let begun = Instant::now();
    loop {
        let last = match lag(host, store).await {
            Ok(0) => return Ok(begun.elapsed()),
            Ok(lag) => format!("{lag} records are not stored"),
            Err(reason) => reason,
        };
        if begun.elapsed() > patience {
            return Err(format!(
                "not drained after {patience:?}: {last}\n{}",
                tail(&host.log(), 20)
            ));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Connects to the event store, wherever it is.
pub async fn open(host: &Host) -> Option<Client> {
    connect(&host.events_config()?).await.ok()
}

async fn lag(host: &Host, store: &Client) -> Result<i64, String> {
    let status = status(&host.state()).await?;
    let partitions = status["log"]["partitions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if partitions.is_empty() {
        return Err(format!("no partitions in {status}"));
    }
    let end: i64 = partitions
        .iter()
        .filter_map(|partition| partition["end"].as_i64())
        .sum();
    let next = store
        .query_one("SELECT coalesce(sum(next_offset), 0)::bigint FROM positions", &[])
        .await
        .map_err(|error| error.to_string())?;
    Ok(end - next.get::<_, i64>(0))
}

/// Compares everything. `began` is a moment before the first event.
pub async fn audit(host: &Host, book: &Book, began: Timestamp) -> Findings {
    let begun = Instant::now();
    let store = loop {
        match open(host).await {
            Some(store) => break store,
            None if begun.elapsed() > PATIENCE => panic!("the event store does not answer"),
            None => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    };
    audit_store(&store, book, began).await
}

pub async fn audit_store(store: &Client, book: &Book, began: Timestamp) -> Findings {
    let mut findings = Findings::default();
    rows(store, book, began, &mut findings).await;
    dead_letters(store, book, &mut findings).await;
    accounts(store, &mut findings).await;
    findings
}

async fn rows(store: &Client, book: &Book, began: Timestamp, findings: &mut Findings) {
    let query =
        "SELECT event_id, received_at, occurred_at, original_timestamp, sent_at, type, event, name, user_id,
                        anonymous_id, source, properties, accepted_at
                 FROM all_events WHERE source <> 'pixel'";
    let none: [&(dyn tokio_postgres::types::ToSql + Sync); 0] = [];
    let mut rows = pin!(store.query_raw(query, none).await.unwrap());
    let mut seen = HashSet::new();
    let (mut twice, mut unknown, mut different) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(row) = rows.try_next().await.unwrap() {
        let id: Uuid = row.get("event_id");
        if !seen.insert(id) {
            twice.push(id.to_string());
        }
        match book.events.get(&id) {
            None => unknown.push(id.to_string()),
            Some(entry) => {
                if let Err(reason) = compare(&entry.event, &row, began) {
                    different.push(format!("{id} ({:?}) {reason}", entry.event.way));
                }
            }
        }
    }
    let missing = book
        .events
        .iter()
        .filter(|(id, entry)| entry.is_acknowledged && !seen.contains(*id))
        .map(|(id, entry)| format!("{id} ({:?}, sent {} times)", entry.event.way, entry.sends));
    let missing: Vec<_> = missing.collect();
    (findings.lost, findings.twice) = (missing.len(), twice.len());
    findings.differ("acknowledged and not stored", missing);
    findings.differ("stored twice", twice);
    findings.differ("stored and never sent", unknown);
    findings.differ("stored with other content", different);
    findings.stored = seen.len();
    let is_open = |id: &&Uuid| book.events.get(*id).is_some_and(|entry| !entry.is_acknowledged);
    findings.unacknowledged_stored = seen.iter().filter(is_open).count();
}

/// One of the copies must be what is stored.
fn compare(event: &Event, row: &Row, began: Timestamp) -> Result<(), String> {
    let text = |column| row.get::<_, Option<String>>(column);
    let name = if event.kind() == "track" { "event" } else { "name" };
    let other = if event.kind() == "track" { "name" } else { "event" };
    let found = (
        text("type"),
        text(name),
        text(other),
        text("user_id"),
        text("anonymous_id"),
        text("source"),
    );
    let expected = (
        Some(event.kind().to_owned()),
        event.name(),
        None,
        Some(event.user_id()),
        None,
        Some(event.source().to_owned()),
    );
    if found != expected {
        return Err(format!("{found:?}, expected {expected:?}"));
    }
    let properties: Value = row.get("properties");
    if properties != event.properties() {
        return Err(format!("properties {properties}"));
    }
    if (0..4).any(|copy| has_times(event, copy, row, began)) {
        Ok(())
    } else {
        let at = |column| row.get::<_, Option<Timestamp>>(column);
        let times = ["received_at", "occurred_at", "original_timestamp", "sent_at"].map(at);
        Err(format!("times {times:?} of an event made at {}", event.made_at))
    }
}

fn has_times(event: &Event, copy: u32, row: &Row, began: Timestamp) -> bool {
    let at = |column| row.get::<_, Option<Timestamp>>(column);
    let (received, accepted) = (at("received_at").unwrap(), at("accepted_at").unwrap());
    let timestamp = event.timestamp(copy);
    if at("original_timestamp") != timestamp || at("sent_at") != event.sent_at(copy) {
        return false;
    }
    if accepted < began || accepted > Timestamp::now() {
        return false;
    }
    if event.route(copy) == Route::Import {
        return Some(received) == timestamp && at("occurred_at") == timestamp;
    }
    let waited = match (event.way, timestamp, event.sent_at(copy)) {
        (Way::Untimed, ..) => SignedDuration::ZERO,
        (_, Some(timestamp), Some(sent_at)) => sent_at.duration_since(timestamp),
        _ => return false,
    };
    // What a back-dating source sends more than a day late is history.
    if event.source() == SERVER && waited > SignedDuration::from_hours(24) {
        return Some(received) == timestamp && at("occurred_at") == timestamp;
    }
    received == accepted && at("occurred_at") == received.checked_sub(waited).ok()
}

async fn dead_letters(store: &Client, book: &Book, findings: &mut Findings) {
    let rows = store
        .query("SELECT stage, code, payload, detail FROM dead_letters", &[])
        .await
        .unwrap();
    let mut seen = HashSet::new();
    let (mut unknown, mut captures) = (Vec::new(), Vec::new());
    for row in &rows {
        let payload = String::from_utf8_lossy(row.get::<_, &[u8]>("payload")).into_owned();
        if row.get::<_, &str>("stage") != "ingest" {
            captures.push(format!(
                "{} {}",
                row.get::<_, &str>("code"),
                row.get::<_, &str>("detail")
            ));
        }
        if !book.invalid.contains_key(&payload) {
            unknown.push(payload.clone());
        }
        seen.insert(payload);
    }
    let missing = book
        .invalid
        .iter()
        .filter(|(text, kept)| **kept && !seen.contains(*text));
    findings.differ(
        "said to be kept and no dead letter",
        missing.map(|(text, _)| text.clone()).collect(),
    );
    findings.differ("dead letter of nothing that was sent", unknown);
    findings.differ("dead letter of capture", captures);
    findings.dead_letters = rows.len();
}

async fn accounts(store: &Client, findings: &mut Findings) {
    let agree = [
        (
            "stored by the positions, rows",
            "SELECT sum(stored) FROM positions",
            "SELECT count(*) FROM all_events",
        ),
        (
            "dead letters by the positions, rows",
            "SELECT sum(dead_letter + \"foreign\") FROM positions",
            "SELECT count(*) FROM dead_letters",
        ),
        (
            "sum of the positions' accounts, offsets",
            "SELECT sum(stored + duplicate + dead_letter + \"foreign\" + suppressed + gap) FROM positions",
            "SELECT sum(next_offset - first_offset) FROM positions",
        ),
        (
            "events by minutes, rows",
            "SELECT sum(events + bot_events) FROM event_minutes",
            "SELECT count(*) FROM all_events",
        ),
        (
            "minutes and sources with other sums than their rows",
            "SELECT count(*) FROM
                 (SELECT minute, source, type, sum(events + bot_events) AS n FROM event_minutes GROUP BY 1, 2, 3) AS m
                 FULL JOIN (SELECT date_trunc('minute', received_at) AS minute, source, type, count(*) AS n
                            FROM all_events GROUP BY 1, 2, 3) AS e USING (minute, source, type)
             WHERE m.n IS DISTINCT FROM e.n",
            "SELECT 0",
        ),
        (
            "ids that are stored twice",
            "SELECT count(*) FROM (SELECT event_id FROM all_events GROUP BY 1 HAVING count(*) > 1) AS twice",
            "SELECT 0",
        ),
        (
            "places in the log with two rows",
            "SELECT count(*) FROM (SELECT 1 FROM
                 (SELECT log_id, log_partition, log_offset FROM all_events
                  UNION ALL SELECT log_id, log_partition, log_offset FROM dead_letters) AS places
              GROUP BY log_id, log_partition, log_offset HAVING count(*) > 1) AS twice",
            "SELECT 0",
        ),
        ("gaps", "SELECT sum(gap) + (SELECT count(*) FROM log_gaps) FROM positions", "SELECT 0"),
        ("duplicates with other content", "SELECT sum(conflict) FROM positions", "SELECT 0"),
        (
            "rows in another month's partition",
            "SELECT count(*) FROM events
             WHERE tableoid::regclass::text <> 'events_' || to_char(received_at AT TIME ZONE 'UTC', 'YYYY_MM')",
            "SELECT 0",
        ),
    ];
    for (what, left, right) in agree {
        let (left, right) = (value(store, left).await, value(store, right).await);
        let zero = |text: String| if text.is_empty() { "0".to_owned() } else { text };
        findings.expect(what, &zero(left), &zero(right));
    }
}
