//! Compares the topic with the config before anything is sent to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tracing::info;
use uuid::Uuid;

use super::CALL_TIMEOUT;
use super::access::Access;
use super::admin::{self, CreateError, Topic};
use super::connection::Connection;
use super::finding::{Finding, Trouble};
use super::rights::Needs;
use super::verdict::judge;
use crate::config;

/// Namespace of the log ids that are made of a cluster's and a topic's id.
const LOG_IDS: Uuid = Uuid::from_u128(0x2f6d_1a8e_53c7_4b0f_9a41_6c0d_7e5b_92f3);

/// Why there is no topic to look at.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PreflightError {
    /// Kafka does not answer; it may later.
    #[error("Kafka cannot be reached: {0}")]
    Unreachable(String),
    /// Kafka does not let this client in, or is spoken to in the wrong way.
    #[error("{}; {}", .0.fault, .0.remedy)]
    Refused(Finding),
    /// The topic is missing and is not made.
    #[error("{}; {}", .0.fault, .0.remedy)]
    NoTopic(Finding),
}

impl From<Trouble> for PreflightError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Passing(reason) => Self::Unreachable(reason),
            Trouble::Setup(finding) => Self::Refused(finding),
        }
    }
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
    pub(super) access: Arc<Access>,
    pub(super) needs: Needs,
    pub findings: Vec<Finding>,
}

/// Looks at the topic, and makes it first where it is missing and may be made.
///
/// # Errors
/// See [`PreflightError`].
pub async fn prepare(config: &config::Kafka, needs: Needs) -> Result<Preflight, PreflightError> {
    let access = access(config)?;
    if let Some(found) = look_over(&access, config, needs).await? {
        return Ok(found);
    }
    if !config.create_topic {
        return Err(PreflightError::NoTopic(Finding {
            fault: format!("the topic {} does not exist", config.topic),
            remedy: "make it, or set kafka.create_topic = true".to_owned(),
            is_fatal: true,
        }));
    }
    admin::create(&access, config, false)
        .await
        .map_err(|error| not_created(config, error))?;
    info!(topic = config.topic, partitions = config.partitions, "topic made");
    // A broker hears of it a moment later.
    let until = Instant::now() + CALL_TIMEOUT;
    loop {
        if let Some(found) = look_over(&access, config, needs).await? {
            return Ok(found);
        }
        if Instant::now() >= until {
            let reason = format!("the new topic {} is not there yet", config.topic);
            return Err(PreflightError::Unreachable(reason));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Looks at the topic and changes nothing; `None` where it is missing, and could be made if it shall.
///
/// # Errors
/// When Kafka does not answer, or would not make the topic.
pub async fn look(config: &config::Kafka, needs: Needs) -> Result<Option<Preflight>, PreflightError> {
    let access = access(config)?;
    let found = look_over(&access, config, needs).await?;
    if found.is_none() && config.create_topic {
        admin::create(&access, config, true)
            .await
            .map_err(|error| not_created(config, error))?;
    }
    Ok(found)
}

fn access(config: &config::Kafka) -> Result<Arc<Access>, PreflightError> {
    Access::load(config)
        .map(Arc::new)
        .map_err(PreflightError::Refused)
}

async fn look_over(
    access: &Arc<Access>,
    config: &config::Kafka,
    needs: Needs,
) -> Result<Option<Preflight>, PreflightError> {
    let Some(topic) = admin::describe(access, &config.topic).await? else {
        return Ok(None);
    };
    let settings = admin::settings(access, &config.topic).await;
    let mut findings = reach_leaders(access, &topic).await?;
    let verdict = judge(
        config,
        &topic,
        settings.map_err(|trouble| trouble.to_string()),
        needs.max_event,
    );
    findings.extend(topic.rights.lacking(needs, &config.topic, access));
    findings.extend(verdict.findings);
    Ok(Some(Preflight {
        log_id: log_id(&topic, &config.topic),
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        max_message: verdict.max_message,
        min_insync: verdict.min_insync,
        access: access.clone(),
        needs,
        findings,
    }))
}

/// Events go to the addresses that the brokers advertise, which may be others than those of the config.
async fn reach_leaders(access: &Arc<Access>, topic: &Topic) -> Result<Vec<Finding>, Trouble> {
    let leaders = topic
        .partitions
        .iter()
        .filter_map(|partition| partition.leader.as_deref());
    let leaders: BTreeSet<_> = leaders.collect();
    let attempts = leaders.into_iter().map(|leader| Connection::open(leader, access));
    let mut findings = Vec::new();
    for attempt in join_all(attempts).await {
        match attempt {
            Err(Trouble::Passing(reason)) => findings.push(Finding::warning(
                format!("a broker that leads it cannot be reached: {reason}"),
                "see that the brokers' advertised.listeners are addresses that this host reaches",
            )),
            Err(setup) => return Err(setup),
            Ok(_) => {}
        }
    }
    Ok(findings)
}

fn not_created(config: &config::Kafka, error: CreateError) -> PreflightError {
    use kafka_protocol::ResponseError as Code;
    let (error, message) = match error {
        CreateError::Unavailable(trouble) => return trouble.into(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_made_anew_is_another_log() {
        let first = Topic {
            cluster: "c".to_owned(),
            id: Uuid::from_u128(7),
            partitions: vec![admin::Partition::default()],
            rights: super::super::rights::Rights::default(),
        };
        let second = Topic {
            id: Uuid::from_u128(8),
            ..first.clone()
        };
        assert_ne!(log_id(&first, "t"), log_id(&second, "t"));
        let grown = Topic {
            partitions: vec![admin::Partition::default(); 3],
            ..first.clone()
        };
        assert_eq!(log_id(&first, "t"), log_id(&grown, "t"));
    }
}
