//! Writes records that no well-behaved producer writes.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use momsflow::config;

use super::call::call;

const VERSION: i16 = 9;
/// Where a batch keeps its checksum, and what it is of begins.
const CHECKSUM: std::ops::Range<usize> = 17..21;

/// A record at an offset within its batch, with this time and header.
pub fn record(
    offset: i64,
    value: &str,
    timestamp: i64,
    header: Option<(&'static str, Option<&'static str>)>,
) -> Record {
    let header = header.map(|(name, value)| {
        let value = value.map(|text| Bytes::from_static(text.as_bytes()));
        (StrBytes::from_static_str(name), value)
    });
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        // Else the encoder makes a batch of each.
        sequence: offset as i32 - 1,
        timestamp,
        key: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: header.into_iter().collect::<IndexMap<_, _>>(),
    }
}

/// Packs records into a batch, in which every `from` is then replaced by `to`, of the same length.
pub fn batch(records: &[Record], from: &[u8], to: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    RecordBatchEncoder::encode(&mut bytes, records, &options).unwrap();
    assert_eq!(from.len(), to.len());
    for start in 0..bytes.len() {
        if !from.is_empty() && bytes[start..].starts_with(from) {
            bytes[start..start + to.len()].copy_from_slice(to);
        }
    }
    let checksum = crc32c::crc32c(&bytes[CHECKSUM.end..]);
    bytes[CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
    bytes.freeze()
}

/// Appends a batch to a partition; gives the error code and the first offset.
pub async fn produce(config: &config::Kafka, partition: i32, batch: Bytes) -> (i16, i64) {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_string(config.topic.clone())))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic]);
    let response = call(&config.brokers[0], &request, VERSION).await;
    let done = &response.responses[0].partition_responses[0];
    (done.error_code, done.base_offset)
}
