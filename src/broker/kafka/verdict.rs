//! Compares a topic and its settings with the config.

use std::collections::BTreeMap;

use super::admin::Topic;
use super::finding::Finding;
use crate::config;

/// What a batch takes beside its records, and a record beside its event.
const BATCH_ROOM: u64 = 4096;

/// What a topic's settings come to.
pub(super) struct Verdict {
    /// Bytes of a batch at the most.
    pub(super) max_message: u64,
    pub(super) min_insync: usize,
    pub(super) findings: Vec<Finding>,
}

pub(super) fn judge(
    config: &config::Kafka,
    topic: &Topic,
    settings: Result<BTreeMap<String, String>, String>,
    max_event: u64,
) -> Verdict {
    let mut findings = Findings::default();
    let partitions = topic.partitions.len();
    if partitions as i64 != i64::from(config.partitions) {
        findings.warn(
            format!(
                "it has {partitions} partitions, kafka.partitions says {}",
                config.partitions
            ),
            format!("set kafka.partitions = {partitions}; to have more, add them with Kafka's own tools"),
        );
    }
    let replicas = topic.partitions.iter().map(|partition| partition.replicas).min();
    let replicas = replicas.unwrap_or_default();
    if replicas < usize::try_from(config.replication).unwrap_or_default() {
        findings.warn(
            format!(
                "it has {replicas} copies, kafka.replication says {}",
                config.replication
            ),
            "raise its replication by a reassignment, or lower kafka.replication".to_owned(),
        );
    }
    let settings = settings.unwrap_or_else(|reason| {
        findings.warn(
            format!("its settings cannot be seen: {reason}"),
            "allow this client DescribeConfigs on the topic".to_owned(),
        );
        BTreeMap::new()
    });
    let max_message = number(&settings, "max.message.bytes").unwrap_or(1_048_588);
    let min_insync = min_insync(&settings);
    judge_settings(&settings, config, max_event, &mut findings);
    Verdict {
        max_message,
        min_insync: min_insync.unwrap_or(1),
        findings: findings.0,
    }
}

fn judge_settings(
    settings: &BTreeMap<String, String>,
    config: &config::Kafka,
    max_event: u64,
    findings: &mut Findings,
) {
    let policy = settings.get("cleanup.policy").map(String::as_str);
    if policy.is_some_and(|policy| policy != "delete") {
        findings.refuse(
            format!(
                "its cleanup.policy is {}, under which Kafka deletes events that have the same key",
                policy.unwrap_or_default()
            ),
            "set cleanup.policy=delete on the topic".to_owned(),
        );
    }
    if let Some(max) = number(settings, "max.message.bytes")
        && max < max_event + BATCH_ROOM
    {
        findings.refuse(
            format!("its max.message.bytes is {max}, too small for ingest.max_event = {max_event} bytes"),
            format!(
                "raise max.message.bytes to {} at least, or lower ingest.max_event",
                max_event + BATCH_ROOM
            ),
        );
    }
    if settings
        .get("message.timestamp.type")
        .is_some_and(|kind| kind != "LogAppendTime")
    {
        findings.warn(
            "its message.timestamp.type is not LogAppendTime: what others write with old timestamps is deleted early"
                .to_owned(),
            "set message.timestamp.type=LogAppendTime on the topic".to_owned(),
        );
    }
    let packing = settings.get("compression.type").map(String::as_str);
    if packing.is_some_and(|packing| packing != "producer") {
        findings.warn(
            format!(
                "its compression.type is {}: the broker packs every batch again",
                packing.unwrap_or_default()
            ),
            "set compression.type=producer on the topic".to_owned(),
        );
    }
    let wanted = u64::try_from(config.min_insync_replicas).unwrap_or_default();
    if let Some(copies) = number(settings, "min.insync.replicas")
        && copies < wanted
    {
        findings.warn(
            format!(
                "its min.insync.replicas is {copies}: an acknowledged event may be on {copies} broker only"
            ),
            format!("set min.insync.replicas={wanted} on the topic, or lower kafka.min_insync_replicas"),
        );
    }
    judge_retention(settings, config, findings);
}

fn judge_retention(settings: &BTreeMap<String, String>, config: &config::Kafka, findings: &mut Findings) {
    let wanted = config.retention.as_millis();
    // -1 keeps for ever.
    if let Some(kept) = number(settings, "retention.ms")
        && u128::from(kept) < wanted
    {
        findings.warn(
            format!("its retention.ms is {kept}, kafka.retention says {wanted}: events are deleted earlier"),
            format!("set retention.ms={wanted} on the topic, or lower kafka.retention"),
        );
    }
    if let Some(kept) = number(settings, "retention.bytes") {
        findings.warn(
            format!("its retention.bytes is {kept}: events may be deleted before capture has stored them"),
            "set retention.bytes=-1 on the topic, and give the brokers room for its retention".to_owned(),
        );
    }
}

/// How many copies a batch has to be on before Kafka acknowledges it.
pub(super) fn min_insync(settings: &BTreeMap<String, String>) -> Option<usize> {
    number(settings, "min.insync.replicas")?.try_into().ok()
}

/// A setting that is a number; those that mean "no limit" are negative, so none.
fn number(settings: &BTreeMap<String, String>, name: &str) -> Option<u64> {
    settings.get(name)?.parse().ok()
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn warn(&mut self, fault: String, remedy: impl Into<String>) {
        self.0.push(Finding::warning(fault, remedy));
    }

    fn refuse(&mut self, fault: String, remedy: impl Into<String>) {
        self.0.push(Finding::fatal(fault, remedy));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::broker::kafka::admin;

    fn topic(partitions: usize, replicas: usize) -> Topic {
        let partition = admin::Partition {
            leader: None,
            replicas,
            in_sync: replicas,
        };
        Topic {
            cluster: "c".to_owned(),
            id: Uuid::from_u128(7),
            partitions: vec![partition; partitions],
            rights: super::super::rights::Rights::default(),
        }
    }

    fn settings(changed: &[(&str, &str)]) -> BTreeMap<String, String> {
        [
            ("cleanup.policy", "delete"),
            ("compression.type", "producer"),
            ("max.message.bytes", "1048588"),
            ("message.timestamp.type", "LogAppendTime"),
            ("min.insync.replicas", "2"),
            ("retention.bytes", "-1"),
            ("retention.ms", "604800000"),
        ]
        .iter()
        .chain(changed)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
    }

    fn judged(changed: &[(&str, &str)]) -> Vec<Finding> {
        let config = config::Kafka::default();
        judge(&config, &topic(6, 3), Ok(settings(changed)), 262_144).findings
    }

    #[test]
    fn a_topic_as_configured_has_no_fault() {
        assert_eq!(judged(&[]), []);
        assert_eq!(
            judged(&[("retention.ms", "-1"), ("min.insync.replicas", "3")]),
            []
        );
    }

    #[test]
    fn each_fault_is_named_with_its_setting_in_the_remedy() {
        for (name, value, is_fatal) in [
            ("cleanup.policy", "compact", true),
            ("cleanup.policy", "compact,delete", true),
            ("max.message.bytes", "100000", true),
            ("compression.type", "zstd", false),
            ("message.timestamp.type", "CreateTime", false),
            ("min.insync.replicas", "1", false),
            ("retention.ms", "1000", false),
            ("retention.bytes", "1000", false),
        ] {
            let findings = judged(&[(name, value)]);
            assert_eq!(findings.len(), 1, "{name}: {findings:?}");
            assert!(findings[0].remedy.contains(name), "{findings:?}");
            assert_eq!(findings[0].is_fatal, is_fatal, "{name}");
        }
        let config = config::Kafka::default();
        let few = judge(&config, &topic(2, 1), Err("no".to_owned()), 262_144).findings;
        assert_eq!(few.len(), 3, "{few:?}");
    }
}
