//! Conservation: whatever is killed, each acknowledged event is stored exactly once, and nothing else is.
//!
//! `SOAK_SECONDS` makes the runs longer and `SOAK_SEED` repeats one; `make soak` does both with a release build.

mod audit;
mod client;
mod disk;
mod event;
mod faults;
mod hits;
pub mod host;
pub mod ledger;
pub mod load;
mod memory;
mod outage;
mod over_kafka;
pub mod platform;
pub mod postgres;
pub mod report;
mod schedule;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use audit::{audit, drain};
use faults::Faults;
use hits::Visitors;
use host::{Host, Settings};
use ledger::Ledger;
use load::{Load, Manner};
use report::Report;

const SHORT: Duration = Duration::from_secs(36);
const DRAIN_PATIENCE: Duration = Duration::from_secs(420);
/// The rates of duplicates, in a thousand; they take turns.
const DUPLICATES: [u32; 3] = [0, 10, 1000];

/// One heavy test at a time: they measure, and they starve each other.
pub static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub fn seconds(short: Duration) -> Duration {
    let long = std::env::var("SOAK_SECONDS").ok();
    long.map_or(short, |text| {
        Duration::from_secs(text.parse().expect("SOAK_SECONDS is a number"))
    })
}

pub fn seed() -> u64 {
    let given = std::env::var("SOAK_SEED").ok();
    given.map_or_else(rand::random, |text| text.parse().expect("SOAK_SEED is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_is_stored_once_whatever_is_killed() {
    let _turn = TURN.lock().await;
    let (time, seed) = (seconds(SHORT), seed());
    println!("SOAK_SEED={seed} SOAK_SECONDS={}", time.as_secs());
    let began = Timestamp::now();
    let mut host = Host::new(&Settings::default());
    host.start().await;
    let ledger = Arc::new(Ledger::default());
    let manner = Manner {
        clients: 6,
        max_batch: 120,
        pause: Duration::from_millis(60),
    };
    let load = Load::start(&[host.addr], Host::keys(), manner, seed, &ledger);
    let visitors = Visitors::start(std::slice::from_ref(&host), seed);
    let mut faults = Faults::new(seed);
    let begun = Instant::now();
    while begun.elapsed() < time {
        for duplicates in DUPLICATES {
            load.set_duplicates(duplicates);
            // Long runs change the phase every minute.
            let phase = (time / 3).min(Duration::from_secs(60));
            faults.strike(&mut host, phase).await;
        }
    }
    load.finish().await;
    let hits = visitors.finish().await;
    let drained = drain(&host, DRAIN_PATIENCE).await;
    let stop = host.terminate(Duration::from_secs(40)).await;
    host.start().await;

    let mut report = Report::new("conservation", seed);
    report.load(&ledger);
    report.faults(&faults, &host);
    report.drained(drained);
    if !stop.is_some_and(|status| status.success()) {
        report.fault(format!("a clean stop ended with {stop:?}"));
    }
    report.findings(&audit(&host, &ledger.close(), began).await);
    hits.audit(&audit::open(&host).await.unwrap(), &mut report).await;
    report.conclude([host]);
}
