//! HTTP to Kafka, against a producer of Kafka's own that has its events in memory.

use std::path::Path;

use momsflow::clock::Clock;
use momsflow::config;
use momsflow::telemetry::metric;

use super::broker::{Broker, environment};
use super::producer::{Payloads, TUNED, perform};
use super::{MAX_WAIT, PARTITIONS};
use crate::Sizes;
use crate::load::{Load, Outcome, Posts};
use crate::process::{Process, own_cpu};
use crate::report::{Goal, Report, Series};
use crate::visible::until_ready;

const POSTS: Posts = Posts::Batch(100);
const CONNECTIONS: usize = 64;
/// Of half the load, as elsewhere.
const HALF_CONNECTIONS: usize = 16;
/// How often ingest is loaded before it counts.
const WARMING_UP: usize = 4;
const MB: f64 = 1e6;

#[derive(Default)]
struct Measured {
    ours: Series,
    p99: Series,
    server_cpu: Series,
    client_cpu: Series,
    broker_cpu: Series,
    cold: Series,
    plain: Series,
    tuned: Series,
    tuned_records: Series,
}

/// The topics and payloads of the peer.
struct Peer {
    topic: config::Kafka,
    events: Payloads,
    records: Payloads,
    count: usize,
}

pub async fn measure(sizes: &Sizes, broker: &Broker, folder: &Path, report: &mut Report) {
    eprintln!("kafka-ingest");
    let topic = broker.topic("ours", PARTITIONS);
    let server = serve(&folder.join("ingest"), &topic).await;
    // Also warms the broker up, whose code is compiled as it runs.
    for _ in 0..sizes.rounds.min(WARMING_UP) {
        load(sizes, &server, CONNECTIONS, None).run().await;
    }
    let peer = Peer {
        topic: broker.topic("theirs", PARTITIONS),
        events: Payloads::of_events(folder, sizes.kafka_payloads),
        records: log_records(broker, &topic, folder, sizes.kafka_payloads).await,
        count: sizes.kafka_records,
    };
    broker.open(&peer.topic, &Clock::system()).await;
    peer.produce(broker, &peer.events, &TUNED);
    server.forget_peak();
    let mut measured = Measured::default();
    for _ in 0..sizes.rounds {
        round(sizes, broker, &server, &peer, &mut measured).await;
    }
    measured.report(report);
    half(sizes, &server, measured.ours.median() / 2.0, report).await;
    let peak = server.memory().1 as f64 / MB;
    report.add(
        "HTTP to Kafka, resident at the most",
        peak,
        "MB",
        Goal::AtMost(150.0),
    );
    let metrics = server.metrics().await;
    let spooled = metrics
        .lines()
        .filter(|line| line.starts_with(metric::SPOOL_RECORDS_TOTAL))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .fold(0.0, std::ops::Add::add);
    // Else the figures are the spool's.
    report.add("HTTP to Kafka, spooled", spooled, "events", Goal::AtMost(0.0));
    server.stop();
}

async fn serve(data_dir: &Path, topic: &config::Kafka) -> Process {
    let mut env = environment(topic);
    env.push(("MOMSFLOW_ROLES", "ingest".to_owned()));
    let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Process::serve(data_dir, &env);
    until_ready(&server).await;
    server
}

async fn round(sizes: &Sizes, broker: &Broker, server: &Process, peer: &Peer, measured: &mut Measured) {
    let before = (server.cpu(), own_cpu(), broker.cpu());
    let mut outcome: Outcome = load(sizes, server, CONNECTIONS, None).run().await;
    let seconds = outcome.took.as_secs_f64();
    measured.ours.push(outcome.events_per_second(POSTS));
    measured.p99.push(outcome.percentile(99));
    measured.server_cpu.push((server.cpu() - before.0) / seconds);
    measured.client_cpu.push((own_cpu() - before.1) / seconds);
    measured.broker_cpu.push((broker.cpu() - before.2) / seconds);
    measured.cold.push(peer.produce_cold(broker));
    measured.plain.push(peer.produce(broker, &peer.events, &[]));
    measured.tuned.push(peer.produce(broker, &peer.events, &TUNED));
    measured
        .tuned_records
        .push(peer.produce(broker, &peer.records, &TUNED));
}

/// The acknowledgement's latency at half of what ingest takes.
async fn half(sizes: &Sizes, server: &Process, pace: f64, report: &mut Report) {
    let (mut reached, mut p50, mut p99) = (Series::default(), Series::default(), Series::default());
    for _ in 0..sizes.rounds.min(3) {
        let mut outcome = load(sizes, server, HALF_CONNECTIONS, Some(pace)).run().await;
        reached.push(outcome.events_per_second(POSTS) / (2.0 * pace));
        p50.push(outcome.percentile(50));
        p99.push(outcome.percentile(99));
    }
    let name = |what: &str| format!("HTTP to Kafka, half of it: {what}");
    report.add(&name("load reached ÷ maximum"), reached, "×", Goal::AtLeast(0.45));
    report.add(&name("p50"), p50, "ms", Goal::None);
    report.add(&name("p99"), p99, "ms", Goal::AtMost(50.0));
}

fn load(sizes: &Sizes, server: &Process, connections: usize, pace: Option<f64>) -> Load {
    Load {
        address: server.address,
        key: crate::process::KEY.to_owned(),
        posts: POSTS,
        connections,
        pace,
        window: sizes.window,
        may_refuse: false,
    }
}

impl Peer {
    fn produce(&self, broker: &Broker, payloads: &Payloads, tuning: &[&str]) -> f64 {
        let counts = (self.count, self.count / 5);
        tokio::task::block_in_place(|| perform(broker, &self.topic, payloads, counts, tuning))
    }

    /// As its documentation shows it, without a warm-up.
    fn produce_cold(&self, broker: &Broker) -> f64 {
        let counts = (self.count, 0);
        tokio::task::block_in_place(|| perform(broker, &self.topic, &self.events, counts, &[]))
    }
}

/// What momsflow itself has put into its topic.
async fn log_records(broker: &Broker, topic: &config::Kafka, folder: &Path, count: usize) -> Payloads {
    let log = broker.open(topic, &Clock::system()).await;
    let mut payloads = Vec::new();
    for partition in 0..log.partitions() {
        let mut next = log.offsets(partition).await.unwrap().earliest;
        while payloads.len() < count * (partition as usize + 1) / PARTITIONS as usize {
            let fetched = log.fetch(partition, next, 1 << 20, MAX_WAIT).await.unwrap();
            let Some(last) = fetched.last() else { break };
            next = last.offset + 1;
            payloads.extend(fetched.into_iter().map(|record| record.value.to_vec()));
        }
    }
    assert!(!payloads.is_empty());
    Payloads::write(folder.join("records.json"), payloads.into_iter())
}

impl Measured {
    fn report(&self, report: &mut Report) {
        let mut add = |what: &str, series: &Series, unit| {
            report.add(what, series.clone(), unit, Goal::None);
        };
        add("HTTP to Kafka, batches of 100", &self.ours, "events/s");
        add("HTTP to Kafka, p99", &self.p99, "ms");
        add("HTTP to Kafka, server", &self.server_cpu, "cores");
        add("HTTP to Kafka, load generator", &self.client_cpu, "cores");
        add("HTTP to Kafka, broker", &self.broker_cpu, "cores");
        add(
            "ProducerPerformance, as it comes, not warmed up",
            &self.cold,
            "records/s",
        );
        add("ProducerPerformance, as it comes", &self.plain, "records/s");
        add("ProducerPerformance, large batches", &self.tuned, "records/s");
        add(
            "the same, log records as payloads",
            &self.tuned_records,
            "records/s",
        );
        report.add(
            "HTTP to Kafka ÷ ProducerPerformance",
            self.ours.ratios(&self.plain),
            "×",
            Goal::AtLeast(1.0),
        );
        report.add(
            "HTTP to Kafka ÷ the same, not warmed up",
            self.ours.ratios(&self.cold),
            "×",
            Goal::None,
        );
        report.add(
            "HTTP to Kafka ÷ the same, large batches",
            self.ours.ratios(&self.tuned),
            "×",
            Goal::None,
        );
        report.add(
            "HTTP to Kafka ÷ the same, log records",
            self.ours.ratios(&self.tuned_records),
            "×",
            Goal::None,
        );
    }
}
