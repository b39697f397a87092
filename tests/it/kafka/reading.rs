//! What others write to the topic.

use std::time::Duration;

use jiff::Timestamp;
use momsflow::broker::EventLog;
use momsflow::broker::kafka::Needs;

use super::broker::{Broker, shared, topic_on};
use super::console::{console_produce, tool, topics};
use super::raw_producer::{batch, produce, record as raw_record};
use super::{MAX_EVENT, open, record};
use crate::log_contract::fetch_all;
use crate::serve::PATIENCE;

/// 1998, when momsflow was not there yet.
const LONG_AGO: i64 = 900_000_000_000;

async fn values(log: &dyn EventLog, partition: i32) -> Vec<String> {
    fetch_all_with_holes(log, partition)
        .await
        .into_iter()
        .map(|(_, value)| value)
        .collect()
}

/// As capture reads: from behind the last record of each fetch.
pub(super) async fn fetch_all_with_holes(log: &dyn EventLog, partition: i32) -> Vec<(i64, String)> {
    let mut offset = 0;
    let mut all = Vec::new();
    loop {
        let read = log
            .fetch(partition, offset, 10_000, Duration::ZERO)
            .await
            .unwrap();
        let Some(last) = read.last() else { return all };
        offset = last.offset + 1;
        all.extend(
            read.iter()
                .map(|record| (record.offset, String::from_utf8_lossy(&record.value).into_owned())),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_a_value_or_with_odd_headers_are_read_with_their_neighbours() {
    let Some(broker) = shared() else { return };
    let config = topic_on(&broker);
    let log = open(&config).await;
    log.append(0, vec![record("k", "before")]).await.unwrap();
    let now = Timestamp::now().as_millisecond();
    let odd = [
        raw_record(0, "header without a value", now, Some(("hh", None))),
        raw_record(1, "plain", now, None),
        raw_record(2, "header name that is no text", now, Some(("HH", Some("x")))),
    ];
    let odd = batch(&odd, b"HH", &[0xff, 0xfe]);
    assert_eq!(produce(&config, 0, odd).await, (0, 1));
    log.append(0, vec![record("k", "after")]).await.unwrap();
    assert_eq!(
        values(&*log, 0).await,
        [
            "before",
            "header without a value",
            "plain",
            "header name that is no text",
            "after"
        ]
    );
    console_produce(
        &config,
        &["parse.key=true", "key.separator=:", "null.marker=NULL"],
        "k:NULL\n",
    )
    .await;
    let nulls: Vec<_> = [values(&*log, 0).await, values(&*log, 1).await].concat();
    assert_eq!(nulls.iter().filter(|value| value.is_empty()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_the_broker_packs_with_zstd_is_read() {
    let Some(broker) = shared() else { return };
    let config = topic_on(&broker);
    let made = [
        "--create",
        "--topic",
        &config.topic,
        "--partitions",
        "1",
        "--config",
        "compression.type=zstd",
    ];
    topics(&broker, &made).await;
    let found = momsflow::broker::kafka::prepare(&config, Needs::all(MAX_EVENT))
        .await
        .unwrap();
    assert!(
        found
            .findings
            .iter()
            .any(|finding| finding.fault.contains("zstd"))
    );
    let log =
        momsflow::broker::kafka::KafkaLog::open(&config, &found, &momsflow::clock::Clock::system()).unwrap();
    let sent: Vec<_> = (0..500).map(|number| format!("event {number}")).collect();
    for piece in sent.chunks(100) {
        let records = piece.iter().map(|value| record("k", value)).collect();
        log.append(0, records).await.unwrap();
    }
    assert_eq!(values(&*log, 0).await, sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_markers_are_passed_over() {
    let Some(broker) = shared() else { return };
    let config = config_of_one_partition(&broker);
    let log = open(&config).await;
    let address = format!("bootstrap.servers={broker}");
    let id = format!("transactional.id={}", config.topic);
    let arguments = [
        "--topic",
        &config.topic,
        "--num-records",
        "300",
        "--record-size",
        "50",
        "--throughput",
        "300",
        "--transaction-duration-ms",
        "20",
        "--producer-props",
        &address,
        &id,
    ];
    tool("org.apache.kafka.tools.ProducerPerformance", &arguments, "").await;
    let end = log.offsets(0).await.unwrap().end;
    // A slow machine makes up for lost time, and has fewer.
    assert!(end > 301, "there are several transactions: {end}");
    assert_eq!(values(&*log, 0).await.len(), 300);
    // From the last marker on nothing comes, and a record behind it wakes the fetch.
    let quiet = log
        .fetch(0, end - 1, 1000, Duration::from_millis(300))
        .await
        .unwrap();
    assert!(quiet.is_empty());
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.fetch(0, end - 1, 1000, PATIENCE).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    log.append(0, vec![record("k", "behind")]).await.unwrap();
    let woken = waiting.await.unwrap().unwrap();
    assert_eq!((woken[0].offset, &woken[0].value[..]), (end, &b"behind"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn to_ask_for_a_time_costs_nothing_of_what_was_read_ahead() {
    let Some(mut broker) = Broker::start() else {
        shared();
        return;
    };
    let log = open(&config_of_one_partition(&broker.address())).await;
    let records = (0..100).map(|number| record("k", &format!("{number:>1000}")));
    log.append(0, records.collect()).await.unwrap();
    let first = log.fetch(0, 0, 10_000, Duration::ZERO).await.unwrap();
    let (count, produced_at) = (first.len() as i64, first[0].appended_at);
    // In hand, ahead, and neither.
    for offset in [0, count, count + 20, 99] {
        let appended_at = log.appended_at(0, offset).await.unwrap().unwrap();
        assert!(appended_at >= produced_at && appended_at <= Timestamp::now());
    }
    broker.kill();
    let mut offset = count;
    while offset < 100 {
        assert_eq!(log.appended_at(0, offset).await.unwrap(), Some(produced_at));
        let read = log.fetch(0, offset, 10_000, Duration::ZERO).await.unwrap();
        assert_eq!(read[0].offset, offset, "it was read ahead");
        offset += read.len() as i64;
    }
}

fn config_of_one_partition(broker: &str) -> momsflow::config::Kafka {
    momsflow::config::Kafka {
        partitions: 1,
        ..topic_on(broker)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_survives_the_retention() {
    let Some(broker) = shared() else { return };
    let config = topic_on(&broker);
    let log = open(&config).await;
    let event = r#"{"v":1,"received_at":"1998-07-09T16:00:00Z","source":"history"}"#;
    log.append(0, vec![record("k", event)]).await.unwrap();
    let old = || batch(&[raw_record(0, "old", LONG_AGO, None)], b"", b"");
    assert_eq!(produce(&config, 0, old()).await.0, 0);

    // The same in a topic that goes by the producer's time: there Kafka deletes it, so that the wait is long enough.
    let control = topic_on(&broker);
    let made = [
        "--create",
        "--topic",
        &control.topic,
        "--partitions",
        "1",
        "--config",
        "retention.ms=604800000",
    ];
    topics(&broker, &made).await;
    assert_eq!(produce(&control, 0, old()).await.0, 0);
    let found = momsflow::broker::kafka::prepare(&control, Needs::all(MAX_EVENT))
        .await
        .unwrap();
    let deleted =
        momsflow::broker::kafka::KafkaLog::open(&control, &found, &momsflow::clock::Clock::system()).unwrap();
    crate::serve::until("Kafka has deleted the old record", async || {
        deleted.offsets(0).await.is_ok_and(|range| range.earliest == 1)
    })
    .await;
    let kept = fetch_all(&*log, 0, 0).await;
    assert_eq!(kept.len(), 2);
    let age = Timestamp::now().duration_since(kept[0].appended_at);
    assert!(
        age.as_secs() < 600,
        "{age}: the record's time is that of producing"
    );
    let refused = deleted.fetch(0, 0, 100, Duration::ZERO).await;
    assert!(
        matches!(&refused, Err(momsflow::broker::LogError::OutOfRange { range, .. }) if range.earliest == 1),
        "{refused:?}"
    );
}
