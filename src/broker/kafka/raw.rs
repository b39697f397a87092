//! Fetches batches as they are, for those that the client library cannot read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use tokio::sync::Mutex;

use super::access::Access;
use super::admin::{self, name_of};
use super::connection::Connection;
use super::failure::Failure;
use super::finding::Trouble;

/// The last version that names topics by their name; from 10 on batches packed with zstd are served.
const FETCH_VERSION: i16 = 12;
/// What consumers say in place of a replica's number.
const NO_REPLICA: BrokerId = BrokerId(-1);
const READ_COMMITTED: i8 = 1;
/// No session, so that each request says all.
const NO_SESSION_EPOCH: i32 = -1;

/// Fetches from one partition over a connection of its own.
#[derive(Debug)]
pub(super) struct RawFetcher {
    access: Arc<Access>,
    topic: String,
    partition: i32,
    connection: Mutex<Option<Connection>>,
}

impl RawFetcher {
    pub(super) fn new(access: Arc<Access>, topic: String, partition: i32) -> Self {
        Self {
            access,
            topic,
            partition,
            connection: Mutex::new(None),
        }
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
    ) -> Result<Bytes, Failure> {
        let mut slot = self.connection.lock().await;
        // Taken out, so that a call that is given up takes it along.
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let request = self.request(offset, max_bytes, max_wait);
        let answer = connection.call(&request, FETCH_VERSION, max_wait).await?;
        let partition = answer
            .responses
            .into_iter()
            .flat_map(|topic| topic.partitions)
            .next();
        let code = partition
            .as_ref()
            .map_or(answer.error_code, |partition| partition.error_code);
        match ResponseError::try_from_code(code) {
            None => {
                *slot = Some(connection);
                Ok(partition
                    .and_then(|partition| partition.records)
                    .unwrap_or_default())
            }
            Some(ResponseError::OffsetOutOfRange) => Err(Failure::OutOfRange),
            Some(error) if error.is_retriable() => Err(Failure::Retry(error.to_string())),
            Some(error) => Err(Failure::Refuse(error.to_string())),
        }
    }

    async fn connect(&self) -> Result<Connection, Trouble> {
        let topic = admin::describe(&self.access, &self.topic).await?;
        let place = usize::try_from(self.partition).unwrap_or(usize::MAX);
        let leader = topic
            .as_ref()
            .and_then(|topic| topic.partitions.get(place)?.leader.as_ref());
        match leader {
            Some(leader) => Connection::open(leader, &self.access).await,
            None => Err(Trouble::Passing(format!(
                "partition {} has no leader",
                self.partition
            ))),
        }
    }

    fn request(&self, offset: i64, max_bytes: i32, max_wait: Duration) -> FetchRequest {
        let partition = FetchPartition::default()
            .with_partition(self.partition)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(max_bytes);
        let topic = FetchTopic::default()
            .with_topic(name_of(&self.topic))
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
