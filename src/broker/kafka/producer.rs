//! Sends batches to a partition's leader.
//!
//! Not by the client library, which leaves Nagle's algorithm on and writes a request's length before the rest: the end
//! of each request then waits for the acknowledgement of its beginning, which the broker's kernel delays by 40 ms.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use rskafka::client::error::ProtocolError;
use tokio::time::timeout;

use super::admin::name_of;
use super::failure::Failure;
use super::leader::{Leader, Leaders};

/// Known to every Kafka since 2.4.
const PRODUCE_VERSION: i16 = 9;
/// All copies that are in sync must have it.
const ACKS_ALL: i16 = -1;

/// Where a batch is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appended {
    /// The offset of its first record.
    pub(super) base: i64,
    /// When, in milliseconds by the broker's clock, where the topic goes by that.
    pub(super) at: Option<i64>,
}

/// Appends to one partition over a connection of its own.
#[derive(Debug)]
pub(super) struct Producer(Leader);

impl Producer {
    pub(super) fn new(leaders: Arc<Leaders>, partition: i32) -> Self {
        Self(Leader::new(leaders, partition))
    }

    /// Sends a batch and tells where it is.
    ///
    /// # Errors
    /// As [`Failure`] says. The batch may have been appended all the same.
    pub(super) async fn send(&self, batch: Bytes, deadline: Duration) -> Result<Appended, Failure> {
        let request = self.request(batch, deadline);
        let sent = self.0.call(&request, PRODUCE_VERSION, Duration::ZERO, judge);
        timeout(deadline, sent).await.unwrap_or_else(|_| {
            let seconds = deadline.as_secs_f32();
            Err(Failure::Retry(format!(
                "Kafka has not answered within {seconds:.1} s"
            )))
        })
    }

    fn request(&self, batch: Bytes, deadline: Duration) -> ProduceRequest {
        let partition = PartitionProduceData::default()
            .with_index(self.0.partition)
            .with_records(Some(batch));
        let topic = TopicProduceData::default()
            .with_name(name_of(&self.0.leaders.topic))
            .with_partition_data(vec![partition]);
        ProduceRequest::default()
            .with_acks(ACKS_ALL)
            .with_timeout_ms(i32::try_from(deadline.as_millis()).unwrap_or(i32::MAX))
            .with_topic_data(vec![topic])
    }
}

fn judge(answer: ProduceResponse) -> Result<Appended, Failure> {
    let mut partitions = answer
        .responses
        .into_iter()
        .flat_map(|topic| topic.partition_responses);
    let Some(partition) = partitions.next() else {
        return Err(Failure::Retry("Kafka's answer is empty".to_owned()));
    };
    match ProtocolError::new(partition.error_code) {
        None => Ok(Appended {
            base: partition.base_offset,
            at: (partition.log_append_time_ms >= 0).then_some(partition.log_append_time_ms),
        }),
        Some(ProtocolError::TopicAuthorizationFailed) => Err(Failure::Refuse(
            "this client may not write to the topic; allow it Write on it".to_owned(),
        )),
        Some(code) => Err(Failure::of_code(code)),
    }
}
