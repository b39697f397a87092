//! Requests to a broker for which a JVM would take seconds.

use bytes::{Buf as _, Bytes, BytesMut};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::{RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{
    Decodable as _, HeaderVersion as _, Request, StrBytes, encode_request_header_into_buffer,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const METADATA_VERSION: i16 = 12;
const ALTER_CONFIGS_VERSION: i16 = 1;
/// The resource type that means a topic.
const TOPIC: i8 = 2;
/// The operation that sets a value.
const SET: i8 = 0;

/// Sends a request over a connection of its own.
pub async fn call<R: Request>(broker: &str, request: &R, version: i16) -> R::Response {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version);
    let mut message = BytesMut::new();
    encode_request_header_into_buffer(&mut message, &header).unwrap();
    request.encode(&mut message, version).unwrap();
    let mut stream = TcpStream::connect(broker).await.unwrap();
    stream
        .write_u32(u32::try_from(message.len()).unwrap())
        .await
        .unwrap();
    stream.write_all(&message).await.unwrap();
    let length = stream.read_u32().await.unwrap();
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await.unwrap();
    let mut answer = Bytes::from(answer);
    ResponseHeader::decode(&mut answer, R::Response::header_version(version)).unwrap();
    let response = R::Response::decode(&mut answer, version).unwrap();
    assert!(!answer.has_remaining());
    response
}

/// Each partition's leader, by its node; -1 where there is none.
pub async fn leaders(broker: &str, topic: &str) -> Vec<i32> {
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(name))]))
        .with_allow_auto_topic_creation(false);
    let answer = call(broker, &request, METADATA_VERSION).await;
    let mut partitions = answer.topics[0].partitions.clone();
    partitions.sort_by_key(|partition| partition.partition_index);
    partitions.iter().map(|partition| partition.leader_id.0).collect()
}

/// Changes a setting of a topic.
pub async fn alter_topic(broker: &str, topic: &str, name: &'static str, value: &str) {
    let setting = AlterableConfig::default()
        .with_name(StrBytes::from_static_str(name))
        .with_config_operation(SET)
        .with_value(Some(StrBytes::from_string(value.to_owned())));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(StrBytes::from_string(topic.to_owned()))
        .with_configs(vec![setting]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = call(broker, &request, ALTER_CONFIGS_VERSION).await;
    assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
}
