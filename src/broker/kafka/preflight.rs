//! Compares the topic with the config before anything is sent to it.

use std::collections::BTreeMap;

use tracing::info;
use uuid::Uuid;

use super::admin::{self, CreateError, Topic};
use crate::config;

/// Namespace of the log ids that are made of a cluster's and a topic's id.
const LOG_IDS: Uuid = Uuid::from_u128(0x2f6d_1a8e_53c7_4b0f_9a41_6c0d_7e5b_92f3);
/// What a batch takes beside its records, and a record beside its event.
const BATCH_ROOM: u64 = 4096;

/// What is wrong with the topic, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub fault: String,
    pub remedy: String,
    /// Whether events would be lost or refused, so that serve does not start.
    pub is_fatal: bool,
}

/// Why there is no topic to look at.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PreflightError {
    /// Kafka does not answer; it may later.
    #[error("Kafka cannot be reached: {0}")]
    Unreachable(String),
    /// The topic is missing and is not made.
    #[error("{}; {}", .0.fault, .0.remedy)]
    NoTopic(Finding),
}

/// A topic that was looked at.
#[derive(Clone, Debug)]
pub struct Preflight {
    /// Names the topic; one made anew under the old name has another id.
    pub log_id: Uuid,
    pub partitions: i32,
    /// Bytes of a batch at the most.
    pub(super) max_message: u64,
    pub(super) min_insync: usize,
    pub findings: Vec<Finding>,
}

/// Looks at the topic, and makes it first where it is missing and may be made.
///
/// # Errors
/// See [`PreflightError`].
pub async fn prepare(config: &config::Kafka, max_event: u64) -> Result<Preflight, PreflightError> {
    if let Some(found) = look(config, max_event).await? {
        return Ok(found);
    }
    if !config.create_topic {
        return Err(PreflightError::NoTopic(Finding {
            fault: format!("the topic {} does not exist", config.topic),
            remedy: "make it, or set kafka.create_topic = true".to_owned(),
            is_fatal: true,
        }));
    }
    admin::create(config)
        .await
        .map_err(|error| not_created(config, error))?;
    info!(topic = config.topic, partitions = config.partitions, "topic made");
    // A broker may hear of it a moment later.
    look(config, max_event).await?.ok_or_else(|| {
        PreflightError::Unreachable(format!("the new topic {} is not there yet", config.topic))
    })
}

/// Looks at the topic and changes nothing; `None` where it is missing.
///
/// # Errors
/// When Kafka does not answer.
pub async fn look(config: &config::Kafka, max_event: u64) -> Result<Option<Preflight>, PreflightError> {
    let topic = admin::describe(&config.brokers, &config.topic)
        .await
        .map_err(PreflightError::Unreachable)?;
    let Some(topic) = topic else { return Ok(None) };
    let settings = admin::settings(&config.brokers, &config.topic).await;
    Ok(Some(judge(config, &topic, settings, max_event)))
}

fn not_created(config: &config::Kafka, error: CreateError) -> PreflightError {
    use kafka_protocol::ResponseError as Code;
    let (error, message) = match error {
        CreateError::Unavailable(reason) => return PreflightError::Unreachable(reason),
        CreateError::Refused { error, message } => (error, message),
    };
    let remedy = match error {
        Code::InvalidReplicationFactor => {
            "set kafka.replication (and kafka.min_insync_replicas) to what the number of brokers allows"
        }
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            "allow this client to create it, or have it made for you"
        }
        _ => "make it by hand, or change the [kafka] section to what the cluster allows",
    };
    let detail = if message.is_empty() {
        error.to_string()
    } else {
        message
    };
    PreflightError::NoTopic(Finding {
        fault: format!("the topic {} cannot be made: {detail}", config.topic),
        remedy: remedy.to_owned(),
        is_fatal: true,
    })
}

/// Names the log, so that offsets of a topic made anew are not taken for those of the old one.
pub(super) fn log_id(topic: &Topic, name: &str) -> Uuid {
    let identity = match topic.id.is_nil() {
        true => name.to_owned(),
        false => topic.id.to_string(),
    };
    Uuid::new_v5(&LOG_IDS, format!("{}/{identity}", topic.cluster).as_bytes())
}

fn judge(
    config: &config::Kafka,
    topic: &Topic,
    settings: Result<BTreeMap<String, String>, String>,
    max_event: u64,
) -> Preflight {
    let mut findings = Findings::default();
    let partitions = topic.partitions.len();
    if partitions as i64 != i64::from(config.partitions) {
        findings.warn(
            format!("it has {partitions} partitions, kafka.partitions says {}", config.partitions),
            format!("set kafka.partitions = {partitions}; to have more, add them with Kafka's own tools and restart"),
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
    let min_insync = number(&settings, "min.insync.replicas");
    judge_settings(&settings, config, max_event, &mut findings);
    Preflight {
        log_id: log_id(topic, &config.topic),
        partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
        max_message,
        min_insync: min_insync.unwrap_or(1) as usize,
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

/// A setting that is a number; those that mean "no limit" are negative, so none.
fn number(settings: &BTreeMap<String, String>, name: &str) -> Option<u64> {
    settings.get(name)?.parse().ok()
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn warn(&mut self, fault: String, remedy: String) {
        self.0.push(Finding {
            fault,
            remedy,
            is_fatal: false,
        });
    }

    fn refuse(&mut self, fault: String, remedy: String) {
        self.0.push(Finding {
            fault,
            remedy,
            is_fatal: true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_topic_made_anew_is_another_log() {
        let first = topic(1, 1);
        let second = Topic {
            id: Uuid::from_u128(8),
            ..first.clone()
        };
        assert_ne!(log_id(&first, "t"), log_id(&second, "t"));
        assert_eq!(log_id(&first, "t"), log_id(&topic(3, 3), "t"));
    }
}
