//! The parts that need a real Kafka, which all share one broker.

mod broker;
mod capture;
mod debezium;
mod ingest;
mod lag;
mod producer;

use std::time::Duration;

use broker::Broker;

use crate::Sizes;
use crate::process::Folder;
use crate::report::Report;

/// Of every topic: three for two cores.
const PARTITIONS: i32 = 3;
/// For what is in a topic already.
const MAX_WAIT: Duration = Duration::from_secs(5);

pub async fn measure(sizes: &Sizes, report: &mut Report, wanted: impl Fn(&str) -> bool) {
    let folder = Folder::new();
    let Some(broker) = Broker::start(&folder) else {
        eprintln!("skipped: no Kafka here (scripts/fetch-kafka.sh fetches it, and needs Java and Maven)");
        return;
    };
    if wanted("kafka-ingest") {
        ingest::measure(sizes, &broker, folder.path(), report).await;
    }
    if wanted("kafka-capture") {
        capture::measure(sizes, &broker, &folder, report).await;
    }
    if wanted("kafka-lag") {
        lag::measure(sizes, &broker, &folder, report).await;
    }
    if wanted("kafka-debezium") {
        debezium::measure(sizes, &broker, &folder, report).await;
    }
}
