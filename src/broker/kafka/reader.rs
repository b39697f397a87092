//! Reads one partition.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rskafka::client::partition::OffsetAt;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::CALL_TIMEOUT;
use super::clients::{Clients, Slot};
use super::failure::Failure;
use super::fetcher::Fetcher;
use super::record_batch::Batches;
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
    fetcher: Arc<Fetcher>,
    /// Apart from `fetcher`, which waits, as are those below.
    questions: Slot,
    /// For times that are asked for.
    glances: Fetcher,
    held: Mutex<Held>,
}

/// What was fetched last.
#[derive(Debug, Default)]
struct Held {
    /// From where on records were handed out, and when the first of them was appended.
    handed_out: Option<(i64, Timestamp)>,
    ahead: Ahead,
    /// What is behind it, on its way while those that were handed out are at work.
    coming: Option<Coming>,
    /// Offsets that hold no record, the last ones that were seen: else they would be fetched again and again.
    void: std::ops::Range<i64>,
}

/// What was not handed out yet, and from which offset on.
#[derive(Debug, Default)]
struct Ahead {
    from: i64,
    /// Batches come whole, and unpacked they may be large.
    records: Vec<StoredRecord>,
    batches: Batches,
}

/// A request that is on its way.
#[derive(Debug)]
struct Coming {
    offset: i64,
    answer: AbortOnDropHandle<Result<Batches, Failure>>,
}

impl Ahead {
    /// Takes records off until they have `max_bytes` of values, but one at least where there is any.
    fn take(&mut self, max_bytes: usize) -> Vec<StoredRecord> {
        let mut records = std::mem::take(&mut self.records);
        let mut bytes: usize = records.iter().map(|record| record.value.len()).sum();
        while bytes < max_bytes || records.is_empty() {
            let Some(more) = self.batches.take(self.from) else {
                break;
            };
            bytes += more.iter().map(|record| record.value.len()).sum::<usize>();
            records.extend(more);
        }
        let mut bytes = 0;
        let fitting = records.iter().take_while(|record| {
            let fits = bytes < max_bytes;
            bytes += record.value.len();
            fits
        });
        self.records = records.split_off(fitting.count().max(1).min(records.len()));
        self.from = records.last().map_or(self.from, |record| record.offset + 1);
        records
    }
}

impl Held {
    fn appended_at(&self, offset: i64) -> Option<Timestamp> {
        let handed_out = self.handed_out.filter(|(from, _)| *from == offset);
        let ahead = || self.ahead.records.first().filter(|_| self.ahead.from == offset);
        handed_out
            .map(|(_, appended_at)| appended_at)
            .or_else(|| Some(ahead()?.appended_at))
    }
}

impl Reader {
    pub(super) fn new(clients: &Arc<Clients>, partition: i32) -> Self {
        Self {
            partition,
            fetcher: Arc::new(clients.fetcher(partition)),
            questions: Slot::new(clients.clone(), partition),
            glances: clients.fetcher(partition),
            held: Mutex::default(),
        }
    }

    /// See [`EventLog::fetch`](crate::broker::EventLog::fetch).
    pub(super) async fn fetch(
        &self,
        offset: i64,
        max_bytes: usize,
        max_wait: Duration,
    ) -> Result<Vec<StoredRecord>, LogError> {
        let bytes = (max_bytes / USUAL_PACKING).clamp(LEAST_FETCH, MOST_FETCH) as i32;
        let until = Instant::now() + max_wait;
        let mut ahead = self.take_ahead(offset);
        let mut is_asked = false;
        loop {
            let records = ahead.take(max_bytes);
            if !records.is_empty() {
                self.hold(offset, &records, ahead);
                return Ok(records);
            }
            // Transaction markers: what is behind them is there already, if anything is.
            let next = self.note_void(offset, ahead.batches.next());
            if is_asked && next == ahead.from && Instant::now() >= until {
                return Ok(Vec::new());
            }
            let left = until.saturating_duration_since(Instant::now());
            let batches = match self.request(next, bytes, left.min(LONGEST_POLL)).await {
                Err(Failure::OutOfRange) => return Err(self.out_of_range(offset).await?),
                fetched => fetched.map_err(Failure::into_log_error)?,
            };
            if let Some(more) = batches.more() {
                self.request_ahead(more, bytes);
            }
            is_asked = true;
            ahead = Ahead {
                from: next,
                batches,
                records: Vec::new(),
            };
        }
    }

    /// Gives what comes already, or asks for it.
    async fn request(&self, offset: i64, bytes: i32, wait: Duration) -> Result<Batches, Failure> {
        let coming = self.held().coming.take();
        if let Some(coming) = coming.filter(|coming| coming.offset == offset)
            && let Ok(Ok(batches)) = coming.answer.await
            && !batches.is_empty()
        {
            return Ok(batches);
        }
        // Where that failed or was put off by a quota, it was a while ago.
        self.fetcher.fetch(offset, bytes, wait).await
    }

    fn request_ahead(&self, offset: i64, bytes: i32) {
        let fetcher = self.fetcher.clone();
        let answer = tokio::spawn(async move { fetcher.fetch(offset, bytes, Duration::ZERO).await });
        self.held().coming = Some(Coming {
            offset,
            answer: AbortOnDropHandle::new(answer),
        });
    }

    /// Notes up to where there is no record from `offset` on, and gives the first offset that may have one.
    fn note_void(&self, offset: i64, next: Option<i64>) -> i64 {
        let void = &mut self.held().void;
        if void.start != offset {
            *void = offset..offset;
        }
        void.end = void.end.max(next.unwrap_or(offset));
        void.end
    }

    /// See [`EventLog::appended_at`](crate::broker::EventLog::appended_at). Whoever reads the partition mostly has the
    /// record in hand; else a request of its own brings the batch, and what was read ahead stays.
    pub(super) async fn appended_at(&self, offset: i64) -> Result<Option<Timestamp>, LogError> {
        if let Some(appended_at) = self.held().appended_at(offset) {
            return Ok(Some(appended_at));
        }
        match self
            .glances
            .fetch(offset, LEAST_FETCH as i32, Duration::ZERO)
            .await
        {
            Err(Failure::OutOfRange) => Err(self.out_of_range(offset).await?),
            Err(failure) => Err(failure.into_log_error()),
            Ok(mut batches) => {
                let records = batches.take(offset).unwrap_or_default();
                Ok(records.first().map(|record| record.appended_at))
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

    fn take_ahead(&self, offset: i64) -> Ahead {
        let ahead = std::mem::take(&mut self.held().ahead);
        if ahead.from == offset {
            ahead
        } else {
            Ahead {
                from: offset,
                ..Ahead::default()
            }
        }
    }

    fn hold(&self, offset: i64, handed_out: &[StoredRecord], ahead: Ahead) {
        let mut held = self.held();
        held.handed_out = handed_out.first().map(|record| (offset, record.appended_at));
        held.ahead = ahead;
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
