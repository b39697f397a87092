use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::Ingest;
use crate::broker::{LogError, Record, partitioner};
use crate::event::{Event, Rejection, wire};

/// How long an append may take before the client is sent away to come again.
const APPEND_TIMEOUT: Duration = Duration::from_secs(30);

/// A request's records by partition.
pub(super) type Records = Vec<Vec<Record>>;

impl Ingest {
    pub(super) fn no_records(&self) -> Records {
        vec![Vec::new(); usize::try_from(self.log.partitions()).unwrap_or(1)]
    }

    /// Appends records of events that were taken before, each to its person's partition. Durable when it returns.
    ///
    /// # Errors
    /// The log's refusal; some may have been appended.
    pub async fn append_again(&self, again: Vec<Record>) -> Result<(), LogError> {
        let mut records = self.no_records();
        for record in again {
            self.push(&mut records, record.key, record.value);
        }
        self.append(records).await
    }

    pub(super) fn push_event(&self, records: &mut Records, event: &Event<'_>) {
        let key = Bytes::copy_from_slice(event.person_key().as_bytes());
        self.push(records, key, wire::encode_event(event));
    }

    pub(super) fn push_rejection(&self, records: &mut Records, rejection: &Rejection) {
        self.push(records, Bytes::new(), wire::encode_rejection(rejection));
    }

    fn push(&self, records: &mut Records, key: Bytes, value: impl Into<Bytes>) {
        let spread = if key.is_empty() {
            self.spread.fetch_add(1, Ordering::Relaxed)
        } else {
            0
        };
        // Not what the log says by now: it may have grown since the list was made.
        let partitions = i32::try_from(records.len()).unwrap_or(i32::MAX);
        let partition = partitioner::partition_for(&key, partitions, spread);
        if let Some(records) = usize::try_from(partition).ok().and_then(|n| records.get_mut(n)) {
            records.push(Record {
                key,
                value: value.into(),
            });
        }
    }

    /// Appends to all partitions at once and returns when all of it is durable.
    pub(super) async fn append(&self, records: Records) -> Result<(), LogError> {
        let appends = (0..)
            .zip(records)
            .filter(|(_, records)| !records.is_empty())
            .map(|(partition, records)| self.log.append(partition, records));
        let outcome = tokio::time::timeout(APPEND_TIMEOUT, try_join_all(appends)).await;
        outcome
            .unwrap_or_else(|_| Err(LogError::Unavailable("the append took too long".to_owned())))
            .map(drop)
            .inspect_err(|error| self.refusals.take(error, self.clock.now()))
    }
}
