//! The event log in a real Kafka.

pub mod broker;
mod call;
mod cluster;
mod console;
mod faulty_network;
mod hosts;
mod hot_keys;
mod identity;
pub mod load;
mod namespaces;
mod preflight;
mod raw_producer;
mod reading;
pub mod secure;
pub mod serving;
mod spooling;
pub mod tcp_proxy;
mod transactions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use momsflow::broker::kafka::{KafkaLog, Needs, prepare};
use momsflow::broker::partitioner::partition_for;
use momsflow::broker::{EventLog, LogError, Record};
use momsflow::clock::Clock;
use momsflow::config;
use rustix::process::Signal;

use crate::log_contract::{fetch_all, holds_the_contract};
use crate::serve::{PATIENCE, until};
use broker::{Broker, shared, topic_on};
use console::{console_produce, topics};

const MAX_EVENT: u64 = 262_144;

/// Makes the topic and opens it.
async fn open(config: &config::Kafka) -> Arc<KafkaLog> {
    let found = prepare(config, Needs::all(MAX_EVENT)).await.unwrap();
    assert_eq!(found.findings, [], "a topic that was made as configured");
    KafkaLog::open(config, &found, &Clock::system()).unwrap()
}

fn record(key: &str, value: &str) -> Record {
    Record {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_log_holds_the_contract() {
    let Some(broker) = shared() else { return };
    holds_the_contract(open(&topic_on(&broker)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_longer_than_a_batch_is_appended_in_order() {
    let Some(broker) = shared() else { return };
    let log = open(&topic_on(&broker)).await;
    let records: Vec<_> = (0..60)
        .map(|number| record("k", &format!("{number:>60000}")))
        .collect();
    let base = log.append(0, records.clone()).await.unwrap();
    let read = fetch_all(&*log, 0, base).await;
    let values: Vec<_> = read.iter().map(|record| record.value.clone()).collect();
    let sent: Vec<_> = records.into_iter().map(|record| record.value).collect();
    assert_eq!(values, sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_topic_does_not_take_spoils_no_other() {
    let Some(broker) = shared() else { return };
    let log = open(&topic_on(&broker)).await;
    // What compression cannot make small.
    let noise: Vec<u8> = (0..3_000_000).map(|_| rand::random()).collect();
    let long = Record {
        key: "k".into(),
        value: noise.into(),
    };
    let (refused, taken) = tokio::join!(
        log.append(0, vec![long]),
        log.append(0, vec![record("k", "short")])
    );
    assert!(matches!(refused, Err(LogError::BadRecord(_))), "{refused:?}");
    assert_eq!(fetch_all(&*log, 0, taken.unwrap()).await[0].value, "short");
    assert_eq!(log.health(), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_where_kafkas_own_partitioner_puts_them() {
    let Some(broker) = shared() else { return };
    let config = config::Kafka {
        partitions: 7,
        ..topic_on(&broker)
    };
    let log = open(&config).await;
    let keys: Vec<_> = (0..200)
        .map(|number| {
            format!(
                "{}{number}",
                ["u-", "ü", "a-rather-long-anonymous-id-"][number % 3]
            )
        })
        .collect();
    let lines: String = keys.iter().map(|key| format!("{key}\tx\n")).collect();
    console_produce(&config, &["parse.key=true", "key.separator=\t"], &lines).await;
    let mut seen = 0;
    for partition in 0..7 {
        for record in fetch_all(&*log, partition, 0).await {
            assert_eq!(partition_for(&record.key, 7, 0), partition, "{:?}", record.key);
            seen += 1;
        }
    }
    assert_eq!(seen, keys.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_or_stands_still_costs_nothing_that_was_acknowledged() {
    let Some(mut broker) = Broker::start() else {
        shared();
        return;
    };
    let log = open(&topic_on(&broker.address())).await;
    let mut acknowledged = vec!["before".to_owned()];
    log.append(0, vec![record("k", "before")]).await.unwrap();

    broker.kill();
    let waiting = log.clone();
    let bridged = tokio::spawn(async move { waiting.append(0, vec![record("k", "bridged")]).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    tokio::task::block_in_place(|| broker.start_again());
    let start = began.elapsed();
    let bridged = bridged.await.unwrap();
    println!("bridged over a start of {start:.1?}: {bridged:?}");
    if let Err(refused) = bridged {
        // The machine is busy, and patience ended: the caller comes again.
        assert!(matches!(refused, LogError::Unavailable(_)), "{refused:?}");
        until_appended(&log, "bridged").await;
    }
    acknowledged.push("bridged".to_owned());

    broker.signal(Signal::STOP);
    let began = Instant::now();
    let refused = log.append(0, vec![record("k", "lost or late")]).await;
    let whole_patience = began.elapsed();
    assert!(matches!(refused, Err(LogError::Unavailable(_))), "{refused:?}");
    assert!(log.health().is_err());
    let began = Instant::now();
    let again = log.append(0, vec![record("k", "lost or late")]).await;
    assert!(matches!(again, Err(LogError::Unavailable(_))), "{again:?}");
    // Which is ten times as much.
    assert!(began.elapsed() < whole_patience, "later calls fail early");
    let read = log.fetch(0, 0, 1 << 20, Duration::ZERO).await;
    assert!(matches!(read, Err(LogError::Unavailable(_))), "{read:?}");
    broker.signal(Signal::CONT);

    // Its own controller has given it up meanwhile, and takes it back.
    until("the log is healthy again", async || log.health().is_ok()).await;
    until_appended(&log, "after").await;
    acknowledged.push("after".to_owned());
    until("it can be read", async || {
        log.fetch(0, 0, 1, Duration::ZERO).await.is_ok()
    })
    .await;
    let read = fetch_all(&*log, 0, 0).await;
    for value in acknowledged {
        // More than once where a try arrived whose answer did not.
        assert!(read.iter().any(|record| record.value == value), "{value} is lost");
    }
}

async fn until_appended(log: &KafkaLog, value: &str) {
    until(&format!("{value} is appended"), async || {
        log.append(0, vec![record("k", value)]).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_noticed_and_is_another_log() {
    let Some(broker) = shared() else { return };
    let config = topic_on(&broker);
    let log = open(&config).await;
    log.append(0, vec![record("k", "old")]).await.unwrap();
    let running = tokio::spawn({
        let log = log.clone();
        async move { log.run(std::future::pending(), Duration::ZERO).await }
    });
    topics(&broker, &["--delete", "--topic", &config.topic]).await;
    until("the topic is gone", async || {
        momsflow::broker::kafka::look(&config, Needs::all(MAX_EVENT))
            .await
            .unwrap()
            .is_none()
    })
    .await;
    let anew = open(&config).await;
    assert_ne!(anew.log_id(), log.log_id());
    let ended = tokio::time::timeout(PATIENCE, running).await;
    let reason = ended.unwrap().unwrap().unwrap_err();
    assert!(reason.contains("made anew"), "{reason}");
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Said(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// On one thread, for which alone the log is kept.
#[tokio::test]
async fn a_clock_that_differs_from_kafkas_is_said_once() {
    let Some(broker) = shared() else { return };
    let config = topic_on(&broker);
    let found = prepare(&config, Needs::all(MAX_EVENT)).await.unwrap();
    let said = Said::default();
    let writer = said.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let now = jiff::Timestamp::now();
    let count = || {
        let said = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
        said.matches("ahead of Kafka's").count()
    };
    for (hours, expected) in [(0, 0), (2, 1), (-3, 2)] {
        let clock = Clock::manual(now + jiff::SignedDuration::from_hours(hours));
        let log = KafkaLog::open(&config, &found, &clock).unwrap();
        for partition in [0, 1, 0] {
            log.append(partition, vec![record("k", "v")]).await.unwrap();
        }
        assert_eq!(count(), expected, "{hours}");
    }
}
