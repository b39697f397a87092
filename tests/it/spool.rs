//! The spool before a log that refuses, hangs and comes back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytesize::ByteSize;
use momsflow::broker::fake::{FakeLog, Outcome};
use momsflow::broker::intake::{Durability, Intake};
use momsflow::broker::spool::Spool;
use momsflow::broker::{EventLog, LogError, Record};
use momsflow::clock::Clock;
use momsflow::config;
use tokio::sync::watch;

use crate::serve::until;

fn config() -> config::Spool {
    config::Spool {
        min_free_disk: ByteSize::b(0),
        ..config::Spool::default()
    }
}

/// Marks what went through the spool.
fn mark(value: Bytes) -> Bytes {
    [b"spooled ", &*value].concat().into()
}

async fn open(folder: &Path, config: &config::Spool) -> Arc<Spool> {
    Spool::open(folder, config, Clock::system(), mark).await.unwrap()
}

fn record(value: impl Into<Bytes>) -> Record {
    Record {
        key: "person".into(),
        value: value.into(),
    }
}

fn refusals(number: usize) -> Vec<Outcome> {
    vec![Outcome::Reject(LogError::Unavailable("leaderless".to_owned())); number]
}

fn values(log: &FakeLog) -> Vec<Bytes> {
    let records = (0..log.partitions()).flat_map(|partition| log.records(partition));
    records.map(|record| record.value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_refuses_is_spooled_and_replayed_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), &config()).await;
    let log = FakeLog::new(3, Clock::system());
    let known = watch::Sender::new(Some(log.clone() as Arc<dyn EventLog>));
    let intake = Intake::new(known.subscribe(), Some(spool.clone()));
    let append = async |value: &'static str| intake.append(vec![record(value)]).await.unwrap();

    assert_eq!(append("logged").await, Durability::Logged);
    log.script_appends(refusals(1));
    for value in ["a", "b", "c"] {
        assert_eq!(append(value).await, Durability::Spooled);
    }
    let status = spool.status().await;
    assert_eq!(status.records, 3);
    assert!(status.oldest.is_some() && status.reason.unwrap().contains("leaderless"));
    assert_eq!(intake.health(), Ok(()), "the spool takes what comes");

    log.script_appends(refusals(2));
    let replaying = tokio::spawn({
        let (spool, known) = (spool.clone(), known.subscribe());
        async move { spool.keep_replaying(known).await }
    });
    until("the spool is empty", async || spool.status().await.records == 0).await;
    assert!(!spool.stands_in());
    assert_eq!(values(&log), ["logged", "spooled a", "spooled b", "spooled c"]);
    assert_eq!(spool.status().await.oldest, None);
    assert_eq!(append("live").await, Durability::Logged);
    until("the disk space is given back", async || {
        spool.status().await.bytes < 256
    })
    .await;
    replaying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_outlives_a_restart_and_waits_for_a_log_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let known: watch::Sender<Option<Arc<dyn EventLog>>> = watch::Sender::new(None);
    for value in ["one", "two"] {
        let spool = open(folder.path(), &config()).await;
        let intake = Intake::new(known.subscribe(), Some(spool.clone()));
        let appended = intake.append(vec![record(value)]).await.unwrap();
        assert_eq!(appended, Durability::Spooled);
        spool.close().await;
    }
    let spool = open(folder.path(), &config()).await;
    assert_eq!(spool.status().await.records, 2);
    assert!(spool.status().await.oldest.is_some());
    let replaying = tokio::spawn({
        let (spool, known) = (spool.clone(), known.subscribe());
        async move { spool.keep_replaying(known).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let log = FakeLog::new(1, Clock::system());
    known.send_replace(Some(log.clone()));
    until("the spool is empty", async || spool.status().await.records == 0).await;
    assert_eq!(values(&log), ["spooled one", "spooled two"]);
    replaying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_hangs_is_not_waited_for_and_a_full_spool_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let small = config::Spool {
        max_size: ByteSize::kib(8),
        ..config()
    };
    let spool = open(folder.path(), &small).await;
    let log = FakeLog::new(1, Clock::system());
    log.script_appends([Outcome::Hang]);
    let intake = Intake::new(
        watch::Sender::new(Some(log as Arc<dyn EventLog>)).subscribe(),
        Some(spool.clone()),
    );
    let noise: Vec<u8> = (0..10_000).map(|_| rand::random()).collect();
    let appended = intake.append(vec![record(noise)]).await.unwrap();
    assert_eq!(appended, Durability::Spooled);
    let refused = intake.append(vec![record("x")]).await.unwrap_err().to_string();
    assert!(refused.contains("spool.max_size = 8192"), "{refused}");
    assert!(intake.health().is_err());
}
