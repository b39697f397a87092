//! What the cluster says about the topic, and making it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kafka_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::metadata_response::{MetadataResponse, MetadataResponsePartition};
use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::CALL_TIMEOUT;
use super::access::Access;
use super::connection::Connection;
use super::finding::Trouble;
use super::rights::{self, Rights};
use crate::config;

/// With topic ids, and known to every Kafka since 2.8.
const METADATA_VERSION: i16 = 12;
const CREATE_TOPICS_VERSION: i16 = 7;
const DESCRIBE_CONFIGS_VERSION: i16 = 4;
/// The resource type that means a topic.
const TOPIC_RESOURCE: i8 = 2;

/// The topic as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) cluster: String,
    /// Given anew whenever a topic is made. Nil where the cluster has none.
    pub(super) id: Uuid,
    /// By number.
    pub(super) partitions: Vec<Partition>,
    pub(super) rights: Rights,
}

/// Where a partition lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Partition {
    /// Address of the leader, while there is one.
    pub(super) leader: Option<String>,
    pub(super) replicas: usize,
    pub(super) in_sync: usize,
}

/// Why a topic was not made.
#[derive(Debug)]
pub(super) enum CreateError {
    /// No answer, or one that means "later".
    Unavailable(Trouble),
    Refused {
        error: ResponseError,
        message: String,
    },
}

/// Asks the cluster for the topic; `None` where it has none of this name.
///
/// # Errors
/// A sentence, when no broker answers or the cluster refuses to tell.
pub(super) async fn describe(access: &Arc<Access>, topic: &str) -> Result<Option<Topic>, Trouble> {
    let mut connection = Connection::open_any(access).await?;
    let metadata = metadata(&mut connection, topic).await?;
    let Some(found) = metadata.topics.first() else {
        return Err(Trouble::Passing(
            "the cluster said nothing of the topic".to_owned(),
        ));
    };
    match ResponseError::try_from_code(found.error_code) {
        None => {}
        Some(ResponseError::UnknownTopicOrPartition) => return Ok(None),
        Some(ResponseError::TopicAuthorizationFailed) => {
            return Err(Trouble::Setup(rights::not_visible(topic, access)));
        }
        Some(error) => return Err(Trouble::Passing(format!("topic {topic}: {error}"))),
    }
    let mut partitions = vec![Partition::default(); found.partitions.len()];
    for partition in &found.partitions {
        let place = usize::try_from(partition.partition_index).unwrap_or(usize::MAX);
        if let Some(place) = partitions.get_mut(place) {
            *place = Partition {
                leader: leader(&metadata, partition),
                replicas: partition.replica_nodes.len(),
                in_sync: partition.isr_nodes.len(),
            };
        }
    }
    Ok(Some(Topic {
        cluster: metadata
            .cluster_id
            .as_deref()
            .map(str::to_owned)
            .unwrap_or_default(),
        id: found.topic_id,
        partitions,
        rights: Rights::of(found.topic_authorized_operations),
    }))
}

/// Makes the topic as the config wants it, or only asks whether it could be made.
///
/// # Errors
/// See [`CreateError`].
pub(super) async fn create(
    access: &Arc<Access>,
    config: &config::Kafka,
    only_asks: bool,
) -> Result<(), CreateError> {
    let mut connection = Connection::open_any(access)
        .await
        .map_err(CreateError::Unavailable)?;
    let metadata = metadata(&mut connection, &config.topic)
        .await
        .map_err(CreateError::Unavailable)?;
    // Before KRaft only the controller makes topics; since then every broker passes it on.
    if let Some(controller) = address(&metadata, metadata.controller_id) {
        connection = Connection::open(&controller, access)
            .await
            .map_err(CreateError::Unavailable)?;
    }
    let request = CreateTopicsRequest::default()
        .with_topics(vec![new_topic(config)])
        .with_validate_only(only_asks)
        .with_timeout_ms(CALL_TIMEOUT.as_millis() as i32);
    let answer = connection
        .call(&request, CREATE_TOPICS_VERSION, CALL_TIMEOUT)
        .await
        .map_err(CreateError::Unavailable)?;
    let Some(result) = answer.topics.first() else {
        let reason = "the cluster did not say whether it made the topic";
        return Err(CreateError::Unavailable(Trouble::Passing(reason.to_owned())));
    };
    match ResponseError::try_from_code(result.error_code) {
        // Another host was faster.
        None | Some(ResponseError::TopicAlreadyExists) => Ok(()),
        Some(error) if error.is_retriable() => {
            Err(CreateError::Unavailable(Trouble::Passing(error.to_string())))
        }
        Some(error) => Err(CreateError::Refused {
            error,
            message: result.error_message.as_deref().unwrap_or_default().to_owned(),
        }),
    }
}

fn new_topic(config: &config::Kafka) -> CreatableTopic {
    let setting = |name: &'static str, value: String| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value)))
    };
    CreatableTopic::default()
        .with_name(name_of(&config.topic))
        .with_num_partitions(config.partitions)
        .with_replication_factor(config.replication)
        .with_configs(vec![
            setting("cleanup.policy", "delete".to_owned()),
            setting("compression.type", "producer".to_owned()),
            // Retention goes by a record's timestamp. With the producer's, history would be deleted as it comes.
            setting("message.timestamp.type", "LogAppendTime".to_owned()),
            setting("min.insync.replicas", config.min_insync_replicas.to_string()),
            setting("retention.ms", config.retention.as_millis().to_string()),
        ])
}

/// The topic's settings in force, the cluster's defaults among them.
///
/// # Errors
/// A sentence; a client may lack the right to see them.
pub(super) async fn settings(access: &Arc<Access>, topic: &str) -> Result<BTreeMap<String, String>, Trouble> {
    let mut connection = Connection::open_any(access).await?;
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(StrBytes::from_string(topic.to_owned()))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let answer = connection
        .call(&request, DESCRIBE_CONFIGS_VERSION, Duration::ZERO)
        .await?;
    let Some(result) = answer.results.into_iter().next() else {
        let reason = "the cluster said nothing of the topic's settings";
        return Err(Trouble::Passing(reason.to_owned()));
    };
    if let Some(error) = ResponseError::try_from_code(result.error_code) {
        return Err(Trouble::Passing(error.to_string()));
    }
    let settings = result
        .configs
        .into_iter()
        .filter_map(|config| Some((config.name.to_string(), config.value?.to_string())));
    Ok(settings.collect())
}

async fn metadata(connection: &mut Connection, topic: &str) -> Result<MetadataResponse, Trouble> {
    let topic = MetadataRequestTopic::default().with_name(Some(name_of(topic)));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(false)
        .with_include_topic_authorized_operations(true);
    connection.call(&request, METADATA_VERSION, Duration::ZERO).await
}

pub(super) fn name_of(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

fn leader(metadata: &MetadataResponse, partition: &MetadataResponsePartition) -> Option<String> {
    address(metadata, partition.leader_id)
}

fn address(metadata: &MetadataResponse, id: BrokerId) -> Option<String> {
    let broker = metadata.brokers.iter().find(|broker| broker.node_id == id)?;
    Some(format!("{}:{}", broker.host.as_str(), broker.port))
}
