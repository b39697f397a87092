//! Events a second through the embedded log: appends of 100 realistic events, each fsynced, by more and more
//! concurrent callers; then a scan of all of it.
//!
//! `cargo bench --bench event_log`; `MOMSFLOW_BENCH_DIR` names a folder on another disk.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use momsflow::broker::embedded::EmbeddedLog;
use momsflow::broker::{EventLog, Record};
use momsflow::clock::Clock;
use momsflow::config;
use rand::Rng;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const BATCH: usize = 100;
const WINDOW: Duration = Duration::from_secs(3);

/// A page view of about 770 bytes, with as much that repeats and as much that does not as real ones have.
fn event(rng: &mut impl Rng) -> Record {
    let id = uuid::Uuid::new_v4();
    let person = uuid::Uuid::from_u64_pair(rng.random_range(0..50_000), 0x8000_0000_0000_0000);
    let article = rng.random_range(0..4000);
    let value = format!(
        r#"{{"v":1,"event_id":"{id}","type":"track","received_at":"2026-11-05T10:{:02}:{:02}.{:06}Z","occurred_at":"2026-11-05T10:11:11.{:06}Z","event":"Article Viewed","anonymous_id":"{person}","source":"website","trusted":false,"is_bot":false,"properties":{{"article_id":"a-{article}","title":"How to feed a baby in {article} small steps","topics":["feeding","newborn","sleep"],"author":"author-{}","read_ratio":0.{:03},"words":{}}},"context":{{"ip":"203.0.{}.0","userAgent":"Mozilla/5.0 (iPhone; CPU iPhone OS 18_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1","page":{{"url":"https://example.org/articles/a-{article}","path":"/articles/a-{article}"}},"library":{{"name":"analytics.js","version":"2.11.1"}}}}}}"#,
        rng.random_range(0..60),
        rng.random_range(0..60),
        rng.random_range(0..1_000_000),
        rng.random_range(0..1_000_000),
        rng.random_range(0..200),
        rng.random_range(0..1000),
        rng.random_range(100..3000),
        rng.random_range(0..256),
        rng.random_range(0..9),
    );
    Record {
        key: Bytes::from(person.to_string()),
        value: value.into(),
    }
}

#[tokio::main]
async fn main() {
    let place = std::env::var_os("MOMSFLOW_BENCH_DIR").unwrap_or_else(|| std::env::temp_dir().into());
    let folder = tempfile::tempdir_in(place).unwrap();
    let settings = config::EventLog::default();
    let log = EmbeddedLog::open(folder.path(), &settings, Clock::system()).unwrap();
    println!("resident: {} MB at the start", resident_bytes() / 1_000_000);
    let mut rng = rand::rng();
    let batches: Vec<Vec<Record>> = (0..64)
        .map(|_| (0..BATCH).map(|_| event(&mut rng)).collect())
        .collect();
    let bytes: usize = batches.iter().flatten().map(|record| record.value.len()).sum();
    println!("{} bytes an event", bytes / batches.len() / BATCH);
    for callers in [1, 4, 16, 64] {
        let start = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let (log, batches) = (log.clone(), batches.clone());
                tokio::spawn(async move {
                    let mut waits = Vec::new();
                    while start.elapsed() < WINDOW {
                        let batch = batches[(caller + waits.len()) % batches.len()].clone();
                        let sent = Instant::now();
                        log.append((caller % 4) as i32, batch).await.unwrap();
                        waits.push(sent.elapsed());
                    }
                    waits
                })
            })
            .collect();
        let mut waits = Vec::new();
        for task in tasks {
            waits.extend(task.await.unwrap());
        }
        report(callers, start.elapsed(), waits);
    }
    scan(&log).await;
    println!("resident: {} MB after the load", resident_bytes() / 1_000_000);
    log.retain().await.unwrap();
    log.retain().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("resident: {} MB when idle again", resident_bytes() / 1_000_000);
}

fn report(callers: usize, took: Duration, mut waits: Vec<Duration>) {
    waits.sort();
    println!(
        "append, {callers:>3} callers: {:>7.0} events/s, p50 {:?}, p99 {:?}",
        (waits.len() * BATCH) as f64 / took.as_secs_f64(),
        waits[waits.len() / 2],
        waits[waits.len() * 99 / 100],
    );
}

async fn scan(log: &EmbeddedLog) {
    let start = Instant::now();
    let (mut records, mut bytes) = (0, 0);
    for partition in 0..log.partitions() {
        let mut offset = 0;
        loop {
            let fetched = log
                .fetch(partition, offset, 4 << 20, Duration::ZERO)
                .await
                .unwrap();
            let Some(last) = fetched.last() else { break };
            offset = last.offset + 1;
            records += fetched.len();
            bytes += fetched.iter().map(|record| record.value.len()).sum::<usize>();
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "scan: {:.0} events/s, {:.0} MB/s",
        records as f64 / seconds,
        bytes as f64 / seconds / 1e6
    );
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * rustix::param::page_size()
}
