//! Fetches batches as they are. The client library fails a whole fetch at a batch that it cannot read, and tells nothing
//! of aborted transactions.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchResponse};
use rskafka::client::error::ProtocolError;
use tokio::time::Instant;

use super::CALL_TIMEOUT;
use super::admin::name_of;
use super::failure::Failure;
use super::leader::{Leader, Leaders};
use super::record_batch::{Aborted, Batches};

/// The last version that names topics by their name; from 10 on batches packed with zstd are served.
const FETCH_VERSION: i16 = 12;
/// What consumers say in place of a replica's number.
const NO_REPLICA: BrokerId = BrokerId(-1);
/// Up to where no transaction is open.
const READ_COMMITTED: i8 = 1;
/// No session, so that each request says all.
const NO_SESSION_EPOCH: i32 = -1;

/// Fetches from one partition over a connection of its own.
#[derive(Debug)]
pub(super) struct Fetcher(Leader);

impl Fetcher {
    pub(super) fn new(leaders: Arc<Leaders>, partition: i32) -> Self {
        Self(Leader::new(leaders, partition))
    }

    /// The batches from the one that holds `offset` on; empty when none comes within `max_wait`.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub(super) async fn fetch(
        &self,
        offset: i64,
        max_bytes: i32,
        max_wait: Duration,
    ) -> Result<Batches, Failure> {
        let request = self.request(offset, max_bytes, max_wait);
        let since = Instant::now();
        let mut fetched = self.0.call(&request, FETCH_VERSION, max_wait, judge).await;
        // Brokers close connections that were idle, or whose log-in has run out. A late answer is no such thing.
        if matches!(fetched, Err(Failure::Retry(_))) && since.elapsed() < CALL_TIMEOUT {
            fetched = self.0.call(&request, FETCH_VERSION, max_wait, judge).await;
        }
        let (batches, throttled) = fetched?;
        // The broker reads nothing from this connection until then.
        tokio::time::sleep(throttled).await;
        Ok(batches)
    }

    fn request(&self, offset: i64, max_bytes: i32, max_wait: Duration) -> FetchRequest {
        let partition = FetchPartition::default()
            .with_partition(self.0.partition)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(max_bytes);
        let topic = FetchTopic::default()
            .with_topic(name_of(&self.0.leaders.topic))
            .with_partitions(vec![partition]);
        FetchRequest::default()
            .with_replica_id(NO_REPLICA)
            .with_max_wait_ms(i32::try_from(max_wait.as_millis()).unwrap_or(i32::MAX))
            .with_min_bytes(1)
            .with_max_bytes(max_bytes)
            .with_isolation_level(READ_COMMITTED)
            .with_session_epoch(NO_SESSION_EPOCH)
            .with_topics(vec![topic])
    }
}

/// The batches, or none and for how long a quota wants this client to be silent.
fn judge(answer: FetchResponse) -> Result<(Batches, Duration), Failure> {
    let mut partitions = answer.responses.into_iter().flat_map(|topic| topic.partitions);
    let Some(partition) = partitions.next() else {
        let throttled = Duration::from_millis(answer.throttle_time_ms.max(0).unsigned_abs().into());
        return match ProtocolError::new(answer.error_code) {
            Some(code) => Err(Failure::of_code(code)),
            None if throttled.is_zero() => Err(Failure::Retry("Kafka's answer is empty".to_owned())),
            None => Ok((Batches::default(), throttled.min(CALL_TIMEOUT))),
        };
    };
    match ProtocolError::new(partition.error_code) {
        None => {
            let aborted = partition.aborted_transactions.unwrap_or_default();
            let aborted = aborted.iter().map(|one| (one.first_offset, *one.producer_id));
            let bytes = partition.records.unwrap_or_default();
            let batches = Batches::new(bytes, Aborted::new(aborted), partition.last_stable_offset);
            Ok((batches, Duration::ZERO))
        }
        Some(ProtocolError::TopicAuthorizationFailed) => Err(Failure::Refuse(
            "this client may not read the topic; allow it Read on it".to_owned(),
        )),
        Some(code) => Err(Failure::of_code(code)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_quota_is_no_failure() {
        let throttled = judge(FetchResponse::default().with_throttle_time_ms(700));
        assert_eq!(throttled.unwrap().1, Duration::from_millis(700));
        let empty = judge(FetchResponse::default());
        assert!(matches!(empty, Err(Failure::Retry(_))));
    }
}
