//! Kafka to PostgreSQL against the Debezium JDBC sink on Kafka Connect.
//!
//! The sink gets the same events into the same table with the same indexes, in the settings that are fastest here, as
//! found by trying: rows unnested from arrays, 2,000 a batch, a task a partition, the schema in the converter. It cannot
//! turn an object into `jsonb`, so that its own topic carries `properties` and `context` as text.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use momsflow::broker::Record;
use momsflow::clock::Clock;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::broker::{Broker, jars, java};
use super::capture::fill;
use super::{MAX_WAIT, PARTITIONS};
use crate::Sizes;
use crate::drain::drain;
use crate::event_store::{Cluster, EventStore, JdbcUrl, connect};
use crate::filled_log::FilledLog;
use crate::process::{Folder, free_address, memory_of};
use crate::report::{Goal, Report, Series};

const TOPIC: &str = "for-debezium";
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// For the JVM, which takes seconds to begin, and for the whole.
const PATIENCE: Duration = Duration::from_secs(300);
const MB: f64 = 1e6;

pub async fn measure(sizes: &Sizes, broker: &Broker, folder: &Folder, report: &mut Report) {
    if jars("peers").is_none() {
        eprintln!("kafka-debezium skipped: `make bench-peers` fetches it");
        return;
    }
    eprintln!("kafka-debezium");
    let filled = fill(broker, "beside-debezium", sizes.capture_events).await;
    copy_as_text(broker, &filled).await;
    let mut cluster = Cluster::start(&folder.path().join("debezium-postgres")).await;
    let (mut ours, mut theirs, mut peak) = (Series::default(), Series::default(), Series::default());
    for round in 0..sizes.rounds {
        let store = cluster.event_store().await;
        ours.push(drain(&filled, &store).await);
        let rows = fingerprint(&store).await;
        cluster.drop(store).await;

        let store = cluster.event_store().await;
        let sink = Sink::start(broker, &cluster, &store, folder.path(), round);
        theirs.push(sink.rate(&store, filled.records().await).await);
        peak.push(memory_of(&sink.process.id().to_string()).1 as f64 / MB);
        drop(sink);
        assert_eq!(fingerprint(&store).await, rows, "both have stored the same");
        cluster.drop(store).await;
    }
    cluster.stop().await;
    report.add(
        "Kafka to PostgreSQL beside it",
        ours.clone(),
        "rows/s",
        Goal::None,
    );
    report.add("Debezium JDBC sink", theirs.clone(), "rows/s", Goal::None);
    report.add("Debezium JDBC sink, resident at the most", peak, "MB", Goal::None);
    report.add(
        "Kafka to PostgreSQL ÷ Debezium JDBC sink",
        ours.ratios(&theirs),
        "×",
        Goal::AtLeast(2.5),
    );
}

/// Puts the records into the sink's topic, in the same partitions and order.
async fn copy_as_text(broker: &Broker, filled: &FilledLog) {
    let log = broker
        .open(&broker.topic(TOPIC, PARTITIONS), &Clock::system())
        .await;
    for partition in 0..PARTITIONS {
        let end = filled.log.offsets(partition).await.unwrap().end;
        let mut next = 0;
        while next < end {
            let fetched = filled.log.fetch(partition, next, 1 << 20, MAX_WAIT).await;
            let records: Vec<_> = fetched
                .unwrap()
                .into_iter()
                .map(|record| Record {
                    key: record.key,
                    value: as_text(&record.value).into(),
                })
                .collect();
            next += records.len() as i64;
            log.append(partition, records).await.unwrap();
        }
    }
}

/// Keeps the text of each member as it is: `jsonb` tells 0.5 from 0.50.
fn as_text(record: &[u8]) -> Vec<u8> {
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(record).unwrap();
    for name in ["properties", "context"] {
        if let Some(value) = members.get_mut(name) {
            *value = to_raw_value(value.get()).unwrap();
        }
    }
    members.insert("log_id".to_owned(), to_raw_value(&1).unwrap());
    serde_json::to_vec(&members).unwrap()
}

/// What the rows hold, but for the order in which they came.
async fn fingerprint(store: &EventStore) -> (i64, String) {
    let query = "SELECT count(*), sum(hashtextextended(row(received_at, event_id, occurred_at, accepted_at, type, event, \
                 user_id, anonymous_id, original_timestamp, sent_at, is_bot, source, trusted, properties, context, \
                 log_partition, log_offset)::text, 0))::text FROM events";
    let row = connect(&store.config).await.query_one(query, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

/// Kafka Connect with one sink.
struct Sink {
    process: Child,
    log: PathBuf,
}

impl Sink {
    fn start(broker: &Broker, cluster: &Cluster, store: &EventStore, folder: &Path, round: usize) -> Self {
        let folder = folder.join(format!("connect-{round}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("worker.properties"), worker(broker)).unwrap();
        fs::write(
            folder.join("sink.properties"),
            sink(&cluster.jdbc_url(store), round),
        )
        .unwrap();
        let log = folder.join("connect.log");
        let output = File::create(&log).unwrap();
        let connect = "org.apache.kafka.connect.cli.ConnectStandalone";
        let process = java(&jars("peers").unwrap(), connect, "-Xmx2g")
            .args(["worker.properties", "sink.properties"])
            .env(
                "JDK_JAVA_OPTIONS",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            )
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { process, log }
    }

    /// Rows a second from a quarter of them on, when the JVM has begun and compiled what it runs.
    async fn rate(&self, store: &EventStore, records: i64) -> f64 {
        let sql = connect(&store.config).await;
        let until = Instant::now() + PATIENCE;
        let (warm, began) = self.stored(&sql, records / 4, until).await;
        let (all, ended) = self.stored(&sql, records, until).await;
        (all - warm) as f64 / (ended - began).as_secs_f64()
    }

    /// Waits until at least so many rows are stored; gives how many there were then.
    async fn stored(&self, sql: &Client, rows: i64, until: Instant) -> (i64, Instant) {
        loop {
            let stored = stored(sql).await;
            if stored >= rows {
                return (stored, Instant::now());
            }
            assert!(
                Instant::now() < until,
                "{stored} rows were stored\n{}",
                fs::read_to_string(&self.log).unwrap_or_default()
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// By the last offsets, which an index knows: a count of the rows would be a load of its own.
async fn stored(sql: &Client) -> i64 {
    let query = "SELECT coalesce(sum((SELECT max(log_offset) + 1 FROM events \
                 WHERE log_id = 1 AND log_partition = partition)), 0)::bigint FROM generate_series(0, $1::int - 1) partition";
    sql.query_one(query, &[&PARTITIONS]).await.unwrap().get(0)
}

fn worker(broker: &Broker) -> String {
    format!(
        "bootstrap.servers={}\n\
         key.converter=org.apache.kafka.connect.storage.StringConverter\n\
         value.converter=org.apache.kafka.connect.json.JsonConverter\n\
         value.converter.schemas.enable=true\n\
         value.converter.schema.content={}\n\
         offset.storage.file.filename=offsets\n\
         listeners=http://{}\n\
         plugin.discovery=only_scan\n",
        broker.address(),
        schema(),
        free_address()
    )
}

fn sink(url: &JdbcUrl, round: usize) -> String {
    format!(
        "name=sink-{round}\n\
         connector.class=io.debezium.connector.jdbc.JdbcSinkConnector\n\
         topics={TOPIC}\n\
         tasks.max={PARTITIONS}\n\
         connection.url={}\nconnection.username={}\nconnection.password={}\n\
         collection.name.format={}\n\
         insert.mode=upsert\nprimary.key.mode=record_value\nprimary.key.fields=event_id\n\
         schema.evolution=none\n\
         batch.size=2000\nconsumer.override.max.poll.records=2000\n\
         dialect.postgres.unnest.insert.enabled=true\n\
         transforms=place\n\
         transforms.place.type=org.apache.kafka.connect.transforms.InsertField$Value\n\
         transforms.place.partition.field=log_partition\ntransforms.place.offset.field=log_offset\n",
        url.url, url.user, url.password, url.table
    )
}

/// The columns, with the names by which Debezium knows PostgreSQL's types.
fn schema() -> Value {
    const TIME: &str = "io.debezium.time.ZonedTimestamp";
    const JSON: &str = "io.debezium.data.Json";
    let column = |name: &str, r#type: &str, semantic: &str, optional: bool| {
        let mut field = json!({"field": name, "type": r#type, "optional": optional});
        if !semantic.is_empty() {
            field["name"] = semantic.into();
        }
        if semantic == JSON {
            field["parameters"] = json!({"__debezium.source.column.type": "JSONB"});
        }
        field
    };
    let required = [
        ("received_at", "string", TIME),
        ("event_id", "string", "io.debezium.data.Uuid"),
        ("occurred_at", "string", TIME),
        ("accepted_at", "string", TIME),
        ("type", "string", ""),
        ("is_bot", "boolean", ""),
        ("source", "string", ""),
        ("trusted", "boolean", ""),
        ("log_id", "int32", ""),
    ];
    let optional = [
        ("event", ""),
        ("name", ""),
        ("user_id", ""),
        ("anonymous_id", ""),
        ("group_id", ""),
        ("previous_id", ""),
        ("original_timestamp", TIME),
        ("sent_at", TIME),
        ("properties", JSON),
        ("traits", JSON),
        ("context", JSON),
    ];
    let required = required.map(|(name, r#type, semantic)| column(name, r#type, semantic, false));
    let optional = optional.map(|(name, semantic)| column(name, "string", semantic, true));
    let fields = [&required[..], &optional[..]].concat();
    json!({"type": "struct", "name": "event", "optional": false, "fields": fields})
}
