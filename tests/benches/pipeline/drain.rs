//! Capture from nothing until a log is stored, by the real role.

use std::time::{Duration, Instant};

use momsflow::config;
use momsflow::lifecycle::Health;
use momsflow::roles::capture::{Capture, Status};
use momsflow::store::pool;
use tokio_util::sync::CancellationToken;

use crate::event_store::EventStore;
use crate::filled_log::FilledLog;

/// How often the drain is looked at: far below what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs capture from nothing until the log is stored; returns records a second.
pub async fn drain(filled: &FilledLog, store: &EventStore) -> f64 {
    let status = Status::default();
    let capture = Capture {
        log: filled.log.clone(),
        pool: pool::connect(store.config.clone(), filled.log.partitions() as usize + 2),
        database: store.config.clone().into(),
        clock: filled.clock.clone(),
        health: Health::default(),
        config: config::Capture::default(),
        backdate_from: config::Ingest::default().backdate_from,
        owner: "bench".to_owned(),
        place: String::new(),
        name: "bench".to_owned(),
        status: status.clone(),
        shutdown_deadline: Duration::from_secs(30),
    };
    let health = capture.health.clone();
    let records = filled.records().await;
    let token = CancellationToken::new();
    let began = Instant::now();
    let running = tokio::spawn(capture.run(token.clone()));
    loop {
        let stored: i64 = status
            .snapshot()
            .values()
            .map(|partition| partition.next_offset)
            .sum();
        if stored >= records {
            break;
        }
        assert!(
            !running.is_finished() && began.elapsed() < PATIENCE,
            "{:?}",
            health.faults()
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let took = began.elapsed();
    token.cancel();
    running.await.unwrap().unwrap();
    records as f64 / took.as_secs_f64()
}
