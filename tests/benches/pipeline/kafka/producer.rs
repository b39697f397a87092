//! The peer of ingest: Kafka's own `ProducerPerformance`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use momsflow::config;

use super::broker::{Broker, run};
use crate::traffic::Traffic;

/// What every producer of the bench does.
const ALIKE: [&str; 2] = ["acks=all", "compression.type=lz4"];
/// What makes it fastest here, found by trying: batches as large as momsflow's.
pub const TUNED: [&str; 3] = ["batch.size=131072", "linger.ms=10", "buffer.memory=67108864"];

/// Payloads that it sends, in random order, one a line.
pub struct Payloads {
    file: PathBuf,
}

impl Payloads {
    /// The JSON of distinct events, as clients send them.
    pub fn of_events(folder: &Path, count: usize) -> Self {
        let mut traffic = Traffic::new(771);
        let at = Timestamp::now();
        let lines = (0..count).map(|_| {
            let id = traffic.id();
            traffic.event(id, at).into_bytes()
        });
        Self::write(folder.join("events.json"), lines)
    }

    pub fn write(file: PathBuf, payloads: impl Iterator<Item = Vec<u8>>) -> Self {
        let mut out = BufWriter::new(File::create(&file).unwrap());
        for payload in payloads {
            assert!(!payload.contains(&b'\n'));
            out.write_all(&payload).unwrap();
            out.write_all(b"\n").unwrap();
        }
        out.into_inner().unwrap();
        Self { file }
    }
}

/// Produces so many records, after `warm_up` others; gives records a second without those.
pub fn perform(
    broker: &Broker,
    topic: &config::Kafka,
    payloads: &Payloads,
    (records, warm_up): (usize, usize),
    tuning: &[&str],
) -> f64 {
    let mut tool = broker.tool("org.apache.kafka.tools.ProducerPerformance");
    tool.args(["--bootstrap-server", &broker.address()])
        .args(["--topic", &topic.topic, "--throughput", "-1"])
        .args(["--num-records", &(records + warm_up).to_string()]);
    if warm_up > 0 {
        tool.args(["--warmup-records", &warm_up.to_string()]);
    }
    let output = run(tool
        .arg("--payload-file")
        .arg(&payloads.file)
        .arg("--command-property")
        .args(ALIKE)
        .args(tuning));
    let sent = match warm_up {
        0 => "records sent, ",
        _ => "steady state records sent, ",
    };
    rate(&output, sent).unwrap_or_else(|| panic!("no rate in {output}"))
}

/// The last one, from `1200000 steady state records sent, 127456.186936 records/sec (…)`.
fn rate(output: &str, sent: &str) -> Option<f64> {
    let rate = output.rsplit_once(sent)?.1;
    rate.split_once(" records/sec")?.0.parse().ok()
}
