//! Transactions of producers that others run.

use bytes::Bytes;
use jiff::Timestamp;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, ProduceRequest,
    ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::Record;
use momsflow::broker::EventLog;
use momsflow::config;

use super::broker::{shared, topic_on};
use super::call::call;
use super::raw_producer::{batch, record as raw_record};
use super::reading::fetch_all_with_holes;
use super::{open, record};
use crate::serve::until;

/// A transactional producer to partition 0 of a topic.
struct Producer<'a> {
    config: &'a config::Kafka,
    name: TransactionalId,
    id: ProducerId,
    epoch: i16,
    sequence: i32,
}

impl<'a> Producer<'a> {
    async fn new(config: &'a config::Kafka) -> Self {
        let broker = &config.brokers[0];
        let name = StrBytes::from_string(config.topic.clone());
        let find = FindCoordinatorRequest::default()
            .with_key_type(1)
            .with_coordinator_keys(vec![name.clone()]);
        until("there is a coordinator", async || {
            call(broker, &find, 4).await.coordinators[0].error_code == 0
        })
        .await;
        let init = InitProducerIdRequest::default()
            .with_transactional_id(Some(name.clone().into()))
            .with_transaction_timeout_ms(60_000)
            .with_producer_epoch(-1)
            .with_producer_id(ProducerId(-1));
        let mut made = None;
        until("the coordinator gives an id", async || {
            let answer = call(broker, &init, 4).await;
            made = (answer.error_code == 0).then_some((answer.producer_id, answer.producer_epoch));
            made.is_some()
        })
        .await;
        let (id, epoch) = made.unwrap();
        Self {
            config,
            name: name.into(),
            id,
            epoch,
            sequence: 0,
        }
    }

    fn topic(&self) -> TopicName {
        TopicName(StrBytes::from_string(self.config.topic.clone()))
    }

    async fn send(&mut self, value: &str) {
        let broker = &self.config.brokers[0];
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(self.topic())
            .with_partitions(vec![0]);
        let add = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.name.clone())
            .with_v3_and_below_producer_id(self.id)
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![topic]);
        until("the transaction has the partition", async || {
            let answer = call(broker, &add, 3).await;
            let results = &answer.results_by_topic_v3_and_below;
            results[0].results_by_partition[0].partition_error_code == 0
        })
        .await;
        let record = Record {
            transactional: true,
            producer_id: *self.id,
            producer_epoch: self.epoch,
            sequence: self.sequence,
            ..raw_record(0, value, Timestamp::now().as_millisecond(), None)
        };
        self.sequence += 1;
        let data = PartitionProduceData::default().with_records(Some(batch(&[record], b"", b"")));
        let topic = TopicProduceData::default()
            .with_name(self.topic())
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(Some(self.name.clone()))
            .with_acks(-1)
            .with_timeout_ms(10_000)
            .with_topic_data(vec![topic]);
        let answer = call(broker, &request, 9).await;
        let code = answer.responses[0].partition_responses[0].error_code;
        assert_eq!(code, 0, "{answer:?}");
    }

    async fn end(&self, is_committed: bool) {
        let request = EndTxnRequest::default()
            .with_transactional_id(self.name.clone())
            .with_producer_id(self.id)
            .with_producer_epoch(self.epoch)
            .with_committed(is_committed);
        until("the transaction has ended", async || {
            call(&self.config.brokers[0], &request, 3).await.error_code == 0
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_wrote_is_read_once_it_is_committed_and_never_where_it_was_aborted() {
    let Some(broker) = shared() else { return };
    let config = topic_on(&broker);
    let log = open(&config).await;
    let mut producer = Producer::new(&config).await;
    log.append(0, vec![record("k", "before")]).await.unwrap();
    producer.send("aborted").await;
    producer.send("aborted too").await;
    log.append(0, vec![record("k", "between")]).await.unwrap();
    // Nothing is read behind the beginning of a transaction that is open.
    assert_eq!(fetch_all_with_holes(&*log, 0).await, [(0, "before".to_owned())]);
    producer.end(false).await;
    until("the end is noted", async || {
        log.offsets(0).await.unwrap().end == 5
    })
    .await;
    producer.send("committed").await;
    producer.end(true).await;
    until("this end too", async || log.offsets(0).await.unwrap().end == 7).await;
    log.append(0, vec![record("k", "after")]).await.unwrap();
    let expected = [(0, "before"), (3, "between"), (5, "committed"), (7, "after")];
    let read = fetch_all_with_holes(&*log, 0).await;
    assert_eq!(read, expected.map(|(offset, value)| (offset, value.to_owned())));
    // From within the aborted transaction on, too.
    let rest = log.fetch(0, 2, 10_000, std::time::Duration::ZERO).await.unwrap();
    let values: Vec<_> = rest.iter().map(|record| record.value.clone()).collect();
    assert_eq!(values, ["between", "committed", "after"].map(Bytes::from));
}
