//! Kafka to PostgreSQL against a single `psql \copy` of the same rows into the same table.

use std::sync::Arc;

use momsflow::clock::Clock;

use super::PARTITIONS;
use super::broker::Broker;
use crate::Sizes;
use crate::drain::drain;
use crate::event_store::Cluster;
use crate::filled_log::{FilledLog, Filling, START};
use crate::process::Folder;
use crate::psql_copy::PsqlCopy;
use crate::report::{Goal, Report, Series};

/// Enough that batches in Kafka are as large as under load.
const BATCHES_AT_ONCE: usize = 32;

/// How often the topic is drained before it counts.
const WARMING_UP: usize = 4;

pub async fn measure(sizes: &Sizes, broker: &Broker, folder: &Folder, report: &mut Report) {
    eprintln!("kafka-capture");
    let filled = fill(broker, "filled", sizes.capture_events).await;
    let mut cluster = Cluster::start(&folder.path().join("capture")).await;
    let mut copy = PsqlCopy::new(folder);
    // The broker's JVM translates what it runs while it serves the first fetches: these do not count.
    for _ in 0..sizes.rounds.min(WARMING_UP) {
        let store = cluster.event_store().await;
        drain(&filled, &store).await;
        cluster.drop(store).await;
    }
    let mut rate = Series::default();
    for _ in 0..sizes.rounds {
        let store = cluster.event_store().await;
        rate.push(drain(&filled, &store).await);
        assert_eq!(store.rows().await, filled.records().await);
        copy.take(&cluster, &store).await;
        cluster.drop(store).await;
        copy.round(&mut cluster).await;
    }
    cluster.stop().await;
    copy.report(report);
    report.add(
        "Kafka to PostgreSQL, 3 partitions",
        rate.clone(),
        "rows/s",
        Goal::None,
    );
    report.add(
        r"Kafka to PostgreSQL ÷ \copy as it comes, text",
        rate.ratios(copy.plain()),
        "×",
        Goal::AtLeast(1.2),
    );
    let (peer, name) = copy.faster();
    report.add(
        &format!(r"Kafka to PostgreSQL ÷ the faster \copy, {name}"),
        rate.ratios(peer),
        "×",
        Goal::None,
    );
}

/// A topic that ingest has filled.
pub async fn fill(broker: &Broker, topic: &str, events: usize) -> FilledLog {
    let clock = Clock::manual(START);
    let log = broker.open(&broker.topic(topic, PARTITIONS), &clock).await;
    let filling = Filling {
        events,
        partitions: PARTITIONS,
        duplicates: 0,
        at_once: BATCHES_AT_ONCE,
    };
    FilledLog::fill(Arc::clone(&log), clock, filling).await
}
