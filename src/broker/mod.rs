//! The event log: the durable, partitioned, ordered line between ingest and capture.
//!
//! [`EventLog`] is the seam; [`embedded`] keeps it on the local disk, [`kafka`] in a Kafka topic. Producers go through
//! an [`intake`], which may have a [`spool`] for the time in which the log cannot be reached.

pub mod embedded;
pub mod fake;
pub mod intake;
pub mod kafka;
pub mod partitioner;
pub mod spool;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A record on its way into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The person's id; [`partitioner::partition_for`] derives the partition from it. May be empty.
    pub key: Bytes,
    pub value: Bytes,
}

/// A record as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub offset: i64,
    /// When it was produced, by the log's clock; never the time of the event.
    pub appended_at: Timestamp,
    pub key: Bytes,
    pub value: Bytes,
}

/// The offsets that a partition holds: `earliest` is the first one still there, `end` the next to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    pub earliest: i64,
    pub end: i64,
}

/// A person whose events are a large part of a partition, as seen by the process that appends them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HotKey {
    pub partition: i32,
    pub key: String,
    /// Of the partition's records in the last minute, 0 to 1.
    pub share: f64,
}

/// Why the log did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The log takes no appends for now (disk full, shutting down, unreachable). Nothing of the call was
    /// acknowledged; a retry later may succeed. A part of it may have been written all the same.
    #[error("the event log takes no events now: {0}")]
    Unavailable(String),
    /// The offset is older than what the log still holds, or beyond its end.
    #[error("offset {offset} is out of the log's range {}..{} of partition {partition}", range.earliest, range.end)]
    OutOfRange {
        partition: i32,
        offset: i64,
        range: OffsetRange,
    },
    /// One of the records is at fault: too long for the log, or not valid to it. Others of the call may have been
    /// written; sent without it, they are taken.
    #[error("the event log does not take a record: {0}")]
    BadRecord(String),
    /// A fault that needs a person: a corrupt store, a wrong configuration.
    #[error("the event log failed: {0}")]
    Fatal(String),
}

/// A durable log of numbered partitions.
///
/// # Contract
/// - **Durable.** When [`append`](Self::append) returns `Ok`, its records survive the death of the process and
///   the loss of power. When it returns an error, or its future is dropped, they may or may not be there.
/// - **Duplicates.** A caller that retries after an error may write a record twice; readers dedupe by event id.
/// - **Order.** Records of one call stand one after the other at consecutive offsets, in the order given.
///   Concurrent calls on a partition are ordered somehow. Offsets rise by one a record and are never reused.
/// - **Visible.** `fetch` returns only durable records, so that nothing that was read can be lost from the log.
/// - **Identity.** [`log_id`](Self::log_id) stays the same for as long as the offsets mean the same records.
#[async_trait]
pub trait EventLog: std::fmt::Debug + Send + Sync + 'static {
    /// Names this log; a log made anew has another id.
    fn log_id(&self) -> Uuid;

    /// What kind of log this is, for people: `embedded` or `kafka`.
    fn kind(&self) -> &'static str;

    /// The number of partitions, numbered from 0. It may rise and never falls; keys have other partitions then.
    fn partitions(&self) -> i32;

    /// Appends records to a partition and returns the offset of the first.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] is retryable.
    async fn append(&self, partition: i32, records: Vec<Record>) -> Result<i64, LogError>;

    /// Appends records to several partitions, at most once each, and returns when all of it is durable.
    ///
    /// # Errors
    /// As [`append`](Self::append); a part may have been appended.
    async fn append_all(&self, parts: Vec<(i32, Vec<Record>)>) -> Result<(), LogError> {
        let appends = parts
            .into_iter()
            .map(|(partition, records)| self.append(partition, records));
        try_join_all(appends).await.map(drop)
    }

    /// Reads records from `offset` on, up to about `max_bytes` of values but at least one record if there is one.
    /// Waits up to `max_wait` for the first record; an empty answer means that none came.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] where `offset` is before the earliest or after the end.
    async fn fetch(
        &self,
        partition: i32,
        offset: i64,
        max_bytes: usize,
        max_wait: Duration,
    ) -> Result<Vec<StoredRecord>, LogError>;

    /// When the first record from `offset` on was appended; `None` where none is. Costs a reader of the partition nothing
    /// of what it has read ahead.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    async fn appended_at(&self, partition: i32, offset: i64) -> Result<Option<Timestamp>, LogError> {
        let records = self.fetch(partition, offset, 1, Duration::ZERO).await?;
        Ok(records.first().map(|record| record.appended_at))
    }

    /// The offsets that a partition holds now.
    async fn offsets(&self, partition: i32) -> Result<OffsetRange, LogError>;

    /// Says that everything before `offset` is in the event store, so that retention may delete it.
    /// A log with a retention of its own ignores it.
    fn release(&self, partition: i32, offset: i64);

    /// `Err` with the reason while appends would be refused.
    fn health(&self) -> Result<(), String>;

    /// Whose events crowd a partition; none where partitions share one disk and it makes no difference.
    fn hot_keys(&self) -> Vec<HotKey> {
        Vec::new()
    }
}
