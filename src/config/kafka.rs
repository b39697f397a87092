mod sasl;
mod tls;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Fault;

pub use sasl::{KafkaMechanism, KafkaSasl};
pub use tls::KafkaTls;

/// Kafka as the event log, in place of the embedded one; needed as soon as roles run in more than one process.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Kafka {
    /// Where to ask for the cluster, `["kafka-1:9092", "kafka-2:9092"]`. Naming one switches the embedded event
    /// log off. Kafka 2.8 or later.
    pub brokers: Vec<String>,
    /// The topic that the events are in.
    pub topic: String,
    /// Whether to make the topic when it is missing, with what follows here.
    pub create_topic: bool,
    /// Partitions of a new topic; an existing one keeps its own. More partitions let more events be moved at once.
    pub partitions: i32,
    /// Copies of each partition, on as many brokers. 1 where there is only one broker.
    pub replication: i16,
    /// How many copies must have an event before it is acknowledged. One less than `replication` lets one broker
    /// be away.
    pub min_insync_replicas: i16,
    /// How long events stay in the topic. An outage of PostgreSQL or of capture must be shorter.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub retention: Duration,
    /// How events are packed on their way to Kafka and in it: `none`, `gzip`, `snappy` or `lz4`.
    pub compression: KafkaCompression,
    pub tls: KafkaTls,
    pub sasl: KafkaSasl,
}

/// A compression that every Kafka since 0.11 reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KafkaCompression {
    None,
    Gzip,
    Snappy,
    #[default]
    Lz4,
}

impl Kafka {
    /// Whether Kafka is the event log.
    pub fn is_used(&self) -> bool {
        !self.brokers.is_empty()
    }

    /// Collects every fault of the section.
    pub(super) fn validate(&self, env: &HashMap<String, String>, faults: &mut Vec<Fault>) {
        self.validate_brokers(faults);
        self.validate_topic(faults);
        self.tls.validate(faults);
        self.sasl.validate(env, faults);
    }

    fn validate_brokers(&self, faults: &mut Vec<Fault>) {
        for broker in &self.brokers {
            let port = broker.rsplit_once(':').and_then(|(host, port)| {
                let port: u16 = port.parse().ok()?;
                (!host.is_empty() && port != 0).then_some(port)
            });
            if port.is_none() {
                faults.push(Fault::new(
                    "kafka.brokers",
                    format!("must be host:port, which `{broker}` is not"),
                    "brokers = [\"kafka-1:9092\"]",
                ));
            }
        }
    }

    fn validate_topic(&self, faults: &mut Vec<Fault>) {
        let is_topic = (1..=249).contains(&self.topic.len())
            && ![".", ".."].contains(&self.topic.as_str())
            && self
                .topic
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !is_topic {
            faults.push(Fault::new(
                "kafka.topic",
                "must be 1 to 249 letters, digits, `.`, `_` and `-`",
                "topic = \"momsflow.events\"",
            ));
        }
        if !(1..=1024).contains(&self.partitions) {
            faults.push(Fault::new(
                "kafka.partitions",
                "must be 1 to 1024",
                "partitions = 6",
            ));
        }
        if self.replication < 1 {
            faults.push(Fault::new(
                "kafka.replication",
                "must be at least 1",
                "replication = 3",
            ));
        }
        if !(1..=self.replication.max(1)).contains(&self.min_insync_replicas) {
            faults.push(Fault::new(
                "kafka.min_insync_replicas",
                "must be 1 to kafka.replication",
                "min_insync_replicas = 2 with replication = 3; 1 with a single broker",
            ));
        }
        if self.retention.as_secs() < 3600 {
            faults.push(Fault::new(
                "kafka.retention",
                "must be at least 1h: it bounds how long PostgreSQL may be away",
                "retention = \"7days\"",
            ));
        }
    }
}

/// A fault where there is no such file. One that cannot be read now may be meant for another user of this machine.
pub(super) fn missing(field: &str, file: &Path) -> Option<Fault> {
    let error = std::fs::metadata(file).err()?;
    (error.kind() == ErrorKind::NotFound).then(|| {
        Fault::new(
            field,
            format!("there is no file {}", file.display()),
            "a relative path starts at the working folder",
        )
    })
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            topic: "momsflow.events".to_owned(),
            create_topic: true,
            partitions: 6,
            replication: 3,
            min_insync_replicas: 2,
            retention: Duration::from_secs(7 * 24 * 3600),
            compression: KafkaCompression::default(),
            tls: KafkaTls::default(),
            sasl: KafkaSasl::default(),
        }
    }
}
