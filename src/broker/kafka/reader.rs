//! Reads one partition.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rskafka::client::partition::OffsetAt;
use rskafka::record::RecordAndOffset;
use tokio::time::Instant;
use tracing::warn;

use super::CALL_TIMEOUT;
use super::clients::{Clients, Slot};
use super::failure::Failure;
use super::raw::RawFetcher;
use super::record_batch;
use crate::broker::{LogError, OffsetRange, StoredRecord};

/// How long one request waits for records; a broker that has gone is noticed that much later.
const LONGEST_POLL: Duration = Duration::from_secs(5);
/// Limits are of packed bytes, of which lz4 makes about four times as many.
const USUAL_PACKING: usize = 4;
const LEAST_FETCH: usize = 64 << 10;
const MOST_FETCH: usize = 64 << 20;

/// Fetches from a partition and knows its ends.
#[derive(Debug)]
pub(super) struct Reader {
    partition: i32,
    fetches: Slot,
    /// Apart from `fetches`, which wait.
    questions: Slot,
    raw: RawFetcher,
    /// The client library cannot read this topic at all.
    only_raw: AtomicBool,
    ahead: Mutex<Ahead>,
}

/// What was fetched and not handed out yet: batches come whole, and unpacked they may be large.
#[derive(Debug, Default)]
struct Ahead {
    from: i64,
    records: Vec<StoredRecord>,
}

/// What a request brought.
enum Polled {
    Records(Vec<StoredRecord>),
    /// None, but the next may be at this offset.
    Nothing {
        next: i64,
    },
}

impl Reader {
    pub(super) fn new(clients: &Arc<Clients>, partition: i32) -> Self {
        Self {
            partition,
            fetches: Slot::new(clients.clone(), partition),
            questions: Slot::new(clients.clone(), partition),
            raw: clients.raw_fetcher(partition),
            only_raw: AtomicBool::new(false),
            ahead: Mutex::default(),
        }
    }

    /// See [`EventLog::fetch`](crate::broker::EventLog::fetch).
    pub(super) async fn fetch(
        &self,
        offset: i64,
        max_bytes: usize,
        max_wait: Duration,
    ) -> Result<Vec<StoredRecord>, LogError> {
        let ahead = self.take_ahead(offset);
        if !ahead.is_empty() {
            return Ok(self.hand_out(ahead, max_bytes));
        }
        let until = Instant::now() + max_wait;
        let mut next = offset;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let polled = match self.poll(next, max_bytes, left.min(LONGEST_POLL)).await {
                Err(Failure::OutOfRange) => return Err(self.out_of_range(offset).await?),
                polled => polled.map_err(Failure::into_log_error)?,
            };
            match polled {
                Polled::Records(records) => return Ok(self.hand_out(records, max_bytes)),
                // Transaction markers: what is behind them is there already, if anything is.
                Polled::Nothing { next: further } if further > next => next = further,
                Polled::Nothing { .. } if Instant::now() >= until => return Ok(Vec::new()),
                Polled::Nothing { .. } => {}
            }
        }
    }

    /// The partition's ends.
    pub(super) async fn offsets(&self) -> Result<OffsetRange, LogError> {
        self.ask().await.map_err(Failure::into_log_error)
    }

    async fn ask(&self) -> Result<OffsetRange, Failure> {
        self.questions
            .call(CALL_TIMEOUT, async |client| {
                Ok(OffsetRange {
                    earliest: client.get_offset(OffsetAt::Earliest).await?,
                    end: client.get_offset(OffsetAt::Latest).await?,
                })
            })
            .await
    }

    async fn poll(&self, offset: i64, max_bytes: usize, wait: Duration) -> Result<Polled, Failure> {
        let bytes = (max_bytes / USUAL_PACKING).clamp(LEAST_FETCH, MOST_FETCH) as i32;
        if self.only_raw.load(Ordering::Relaxed) {
            return self.poll_raw(offset, bytes, wait).await;
        }
        let wait_ms = wait.as_millis() as i32;
        let fetched = self
            .fetches
            .call(CALL_TIMEOUT + wait, async |client| {
                client.fetch_records(offset, 1..bytes, wait_ms).await
            })
            .await;
        match fetched {
            // Something is there, but no record.
            Ok((records, end)) if records.is_empty() && end > offset => {
                self.poll_raw(offset, bytes, wait).await
            }
            Ok((records, _)) if records.is_empty() => Ok(Polled::Nothing { next: offset }),
            Ok((records, _)) => Ok(Polled::Records(records.into_iter().map(stored).collect())),
            Err(Failure::Unreadable(reason)) => {
                warn!(
                    partition = self.partition,
                    offset, reason, "records that others wrote are read one by one"
                );
                if reason.contains("UnsupportedCompressionType") {
                    self.only_raw.store(true, Ordering::Relaxed);
                }
                self.poll_raw(offset, bytes, wait).await
            }
            Err(failure) => Err(failure),
        }
    }

    async fn poll_raw(&self, offset: i64, bytes: i32, wait: Duration) -> Result<Polled, Failure> {
        let batches = record_batch::read(self.raw.fetch(offset, bytes, wait).await?, offset);
        if batches.records.is_empty() {
            let next = batches.next.unwrap_or(offset).max(offset);
            return Ok(Polled::Nothing { next });
        }
        Ok(Polled::Records(batches.records))
    }

    /// Tells what the offset is out of. It may be within again: the ends move.
    async fn out_of_range(&self, offset: i64) -> Result<LogError, LogError> {
        let range = self.offsets().await?;
        if (range.earliest..=range.end).contains(&offset) {
            return Err(LogError::Unavailable(format!(
                "Kafka did not have offset {offset} of partition {} a moment ago",
                self.partition
            )));
        }
        Ok(LogError::OutOfRange {
            partition: self.partition,
            offset,
            range,
        })
    }

    fn take_ahead(&self, offset: i64) -> Vec<StoredRecord> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let records = std::mem::take(&mut ahead.records);
        if ahead.from == offset { records } else { Vec::new() }
    }

    /// Cuts records off at `max_bytes` of values and keeps the others for the next call.
    fn hand_out(&self, mut records: Vec<StoredRecord>, max_bytes: usize) -> Vec<StoredRecord> {
        let mut bytes = 0;
        let fitting = records.iter().take_while(|record| {
            let fits = bytes < max_bytes;
            bytes += record.value.len();
            fits
        });
        let rest = records.split_off(fitting.count().max(1).min(records.len()));
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = Ahead {
            from: records.last().map_or(0, |record| record.offset + 1),
            records: rest,
        };
        records
    }
}

fn stored(record: RecordAndOffset) -> StoredRecord {
    StoredRecord {
        offset: record.offset,
        appended_at: record_batch::timestamp(record.record.timestamp.timestamp_millis()),
        key: record.record.key.map(Bytes::from).unwrap_or_default(),
        value: record.record.value.map(Bytes::from).unwrap_or_default(),
    }
}
