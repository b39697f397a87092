//! Memory under far more load than momsflow can take.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use tokio::task::JoinSet;

use super::client::Client;
use super::event::{Event, Route, SERVER};
use super::host::{Host, Settings, memory};
use super::report::Report;
use super::{TURN, seconds, seed};
use crate::serve::PATIENCE;

const SHORT: Duration = Duration::from_secs(12);
/// `http.in_flight` by default, and 100 MB beside it.
const BOUND_KIB: u64 = (64 << 10) + 100_000_000 / 1024;
const IDLE_KIB: u64 = 40 << 10;

/// What the flood consists of.
#[derive(Clone, Copy, Debug)]
struct Flood {
    name: &'static str,
    connections: u64,
    events: u64,
    /// Bytes of an event's text, beside the rest of it.
    padding: usize,
}

const FLOODS: [Flood; 4] = [
    Flood {
        name: "single events, 1,000 connections",
        connections: 1_000,
        events: 1,
        padding: 500,
    },
    Flood {
        name: "batches of 100, 500 connections",
        connections: 500,
        events: 100,
        padding: 500,
    },
    Flood {
        name: "batches of 4 MB, 200 connections",
        connections: 200,
        events: 4_000,
        padding: 600,
    },
    Flood {
        name: "events of 200 KB, 200 connections",
        connections: 200,
        events: 15,
        padding: 200_000,
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_within_its_bound_under_a_flood() {
    let _turn = TURN.lock().await;
    let is_long = seconds(SHORT) > SHORT;
    let mut report = Report::new("memory", seed());
    let mut host = Host::new(&Settings::default());
    host.start().await;
    host.await_ready(200, "ready", PATIENCE).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = memory(host.pid().unwrap(), "VmRSS").unwrap();
    report.line("idle (VmRSS)", format!("{} MiB", idle >> 10));
    let mut worst = 0;
    for flood in FLOODS {
        host.forget_peak();
        let answers = pour(host.addr, flood, if is_long { SHORT * 2 } else { SHORT / 4 }).await;
        let peak = host.note_memory();
        worst = worst.max(peak);
        report.line(
            flood.name,
            format!("VmHWM {} MiB, answers {answers:?}", peak >> 10),
        );
        if !answers.keys().any(|status| *status == 200) {
            report.fault(format!("{}: nothing was taken at all", flood.name));
        }
        if let Some(status) = host.exited() {
            report.fault(format!("momsflow ended with {status}"));
            return report.conclude([host]);
        }
    }
    tokio::time::sleep(Duration::from_secs(if is_long { 90 } else { 1 })).await;
    let after = memory(host.pid().unwrap(), "VmRSS").unwrap();
    report.line("idle after it (VmRSS)", format!("{} MiB", after >> 10));
    report.line("allowed", format!("{} MiB", BOUND_KIB >> 10));
    if is_long && worst > BOUND_KIB {
        report.fault(format!(
            "{} MiB at the most, {} allowed",
            worst >> 10,
            BOUND_KIB >> 10
        ));
    }
    if is_long && idle > IDLE_KIB {
        report.fault(format!("{} MiB idle, {} allowed", idle >> 10, IDLE_KIB >> 10));
    }
    report.conclude([host]);
}

/// Sends as fast as it can and takes no notice of any Retry-After; returns the answers by status.
async fn pour(addr: std::net::SocketAddr, flood: Flood, time: Duration) -> BTreeMap<u16, u64> {
    let is_over = Arc::new(AtomicBool::new(false));
    let body = body(flood);
    let mut clients = JoinSet::new();
    for _ in 0..flood.connections {
        let (is_over, body) = (is_over.clone(), body.clone());
        clients.spawn(async move {
            let mut client = Client::new(addr);
            let mut answers = BTreeMap::<u16, u64>::new();
            while !is_over.load(Ordering::Relaxed) {
                let answer = client
                    .post(
                        "/v1/batch",
                        &format!("{SERVER}-key"),
                        body.clone(),
                        Duration::from_secs(30),
                    )
                    .await;
                let status = answer.map_or(0, |answer| answer.status);
                *answers.entry(status).or_default() += 1;
            }
            answers
        });
    }
    tokio::time::sleep(time).await;
    is_over.store(true, Ordering::Relaxed);
    let mut all = BTreeMap::new();
    for answers in clients.join_all().await {
        for (status, count) in answers {
            *all.entry(status).or_default() += count;
        }
    }
    all
}

/// Without ids, so that every event is new.
fn body(flood: Flood) -> Bytes {
    let text = "x".repeat(flood.padding);
    let events: Vec<_> = (0..flood.events)
        .map(|n| {
            let event = Event::new(n, Route::Batch, 19, Timestamp::now());
            json!({"type": "track", "event": "Flood", "userId": event.user_id(), "properties": {"text": text, "n": n}})
        })
        .collect();
    json!({"batch": events}).to_string().into()
}
