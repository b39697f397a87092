//! The one task that appends to a partition: what comes while a request is on its way goes into the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use metrics::gauge;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::failure::Failure;
use super::hot_keys::HotKeys;
use super::packing;
use super::producer::Producer;
use super::state::State;
use crate::broker::{LogError, Record};
use crate::clock::Clock;
use crate::config::KafkaCompression;
use crate::retry::Backoff;
use crate::telemetry::metric;

/// How long one request may take; a leader that is about to move does not answer.
const PRODUCE_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a batch is tried: over the time that a cluster takes to choose a new leader.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a batch is tried while the last one has failed: callers learn early that they should come later.
const PATIENCE_WHILE_REFUSED: Duration = Duration::from_secs(2);

/// Seconds by which this host's clock may differ from the brokers', a batch's time on the way included.
const CLOCK_TOLERANCE: i64 = 60;

/// Records of one caller that wait to be appended.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) records: Vec<Record>,
    pub(super) bytes: usize,
    pub(super) answer: oneshot::Sender<Result<i64, LogError>>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// Appends to one partition, one request at a time, so that the order is kept.
pub(super) struct Batcher {
    pub(super) partition: i32,
    pub(super) producer: Producer,
    pub(super) queue: mpsc::UnboundedReceiver<Pending>,
    pub(super) state: Arc<State>,
    pub(super) clock: Clock,
    pub(super) compression: KafkaCompression,
    /// Bytes of one batch as it is sent.
    pub(super) max_batch: usize,
    pub(super) room: Room,
    /// Came behind a batch that was full.
    pub(super) next: Option<Pending>,
    pub(super) hot_keys: HotKeys,
}

/// What a record takes beside its key and value: lengths, offset, time, headers.
pub(super) const RECORD_OVERHEAD: usize = 128;

/// The bytes that a record takes in a batch, at the most.
pub(super) fn size_of(record: &Record) -> usize {
    record.key.len() + record.value.len() + RECORD_OVERHEAD
}

impl Batcher {
    /// Runs until the token is cancelled and what waits is appended, or the log is dropped.
    pub(super) async fn run(mut self, token: CancellationToken) -> Result<(), String> {
        loop {
            let first = match self.next.take() {
                Some(pending) => Some(pending),
                None => tokio::select! {
                    pending = self.queue.recv() => pending,
                    () = token.cancelled(), if !self.queue.is_closed() => {
                        self.queue.close();
                        continue;
                    }
                },
            };
            let Some(first) = first else { return Ok(()) };
            let batch = self.fill(first);
            self.deliver(batch).await;
        }
    }

    /// Adds what waits, up to a full batch. A caller's records are never torn apart for it.
    fn fill(&mut self, first: Pending) -> Vec<Pending> {
        let mut bytes = first.bytes;
        let mut batch = vec![first];
        while let Ok(pending) = self.queue.try_recv() {
            bytes += pending.bytes;
            if bytes > self.room.bytes() {
                self.next = Some(pending);
                break;
            }
            batch.push(pending);
        }
        batch
    }

    /// Appends a batch and answers each caller.
    async fn deliver(&mut self, batch: Vec<Pending>) {
        self.look_at_keys(&batch);
        let Some(batch) = self.append_and_answer(batch).await else {
            return;
        };
        for pending in batch {
            self.append_and_answer(vec![pending]).await;
        }
    }

    /// Gives the batch back unanswered where a record of one of several callers spoils it for the others.
    async fn append_and_answer(&self, batch: Vec<Pending>) -> Option<Vec<Pending>> {
        let records: Vec<_> = batch.iter().flat_map(|pending| &pending.records).collect();
        match self.append(&records).await {
            Ok(offsets) => {
                self.state.recover(self.partition);
                let mut first = 0;
                for pending in batch {
                    let base = offsets.get(first).copied();
                    first += pending.records.len();
                    let lost = || LogError::Unavailable("Kafka did not say where the records are".to_owned());
                    let _ = pending.answer.send(base.ok_or_else(lost));
                }
            }
            Err(Failure::BadRecord(_)) if batch.len() > 1 => return Some(batch),
            Err(failure) => {
                let mut error = failure.into_append_error();
                if matches!(error, LogError::Unavailable(_)) {
                    // The client library says less of why: not who was not let in, nor what to do.
                    if let Some(reason) = self.state.cluster() {
                        error = LogError::Unavailable(reason);
                    }
                    self.state.refuse(self.partition, error.to_string());
                }
                for pending in batch {
                    let _ = pending.answer.send(Err(error.clone()));
                }
            }
        }
        None
    }

    /// Names the persons who make much of this partition, in the log and to [`State`], once a window.
    fn look_at_keys(&mut self, batch: &[Pending]) {
        for record in batch.iter().flat_map(|pending| &pending.records) {
            self.hot_keys.see(&record.key);
        }
        let Some(hot) = self.hot_keys.close(Instant::now()) else {
            return;
        };
        let partition = self.partition.to_string();
        gauge!(metric::LOG_HOT_KEYS, "partition" => partition).set(hot.len() as f64);
        for one in self.state.set_hot_keys(self.partition, hot) {
            let key = String::from_utf8_lossy(&one.key);
            let percent = (one.share * 100.0).round();
            warn!(
                partition = self.partition,
                ?key,
                percent,
                "much of a partition's events come from one person, whom more partitions cannot spread"
            );
        }
    }

    /// Appends records in as many requests as their size takes; gives each one's offset.
    async fn append(&self, records: &[&Record]) -> Result<Vec<i64>, Failure> {
        let mut chunks: VecDeque<_> = chunks(records, self.room.bytes()).into();
        let mut offsets = Vec::with_capacity(records.len());
        while let Some(chunk) = chunks.pop_front() {
            match self.produce(chunk).await {
                Ok(appended) => offsets.extend(appended),
                // The topic allows less than it did when this process began, or one of many is at fault.
                Err(Failure::BadRecord(_)) if chunk.len() > 1 => {
                    let (head, tail) = chunk.split_at(chunk.len() / 2);
                    chunks.push_front(tail);
                    chunks.push_front(head);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(offsets)
    }

    /// One request, repeated until it is answered for good or patience ends.
    async fn produce(&self, records: &[&Record]) -> Result<Vec<i64>, Failure> {
        let patience = match self.state.is_refused(self.partition) {
            true => PATIENCE_WHILE_REFUSED,
            false => PATIENCE,
        };
        let until = Instant::now() + patience;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let deadline = PRODUCE_TIMEOUT.min(left.max(PATIENCE_WHILE_REFUSED));
            let produced = self.producer.send(self.pack(records)?, deadline).await;
            let reason = match produced {
                Err(Failure::Retry(reason)) => reason,
                Ok(appended) => {
                    self.compare_clocks(appended.at);
                    if backoff.attempts() > 0 {
                        info!(partition = self.partition, "Kafka takes events again");
                    }
                    return Ok((appended.base..).take(records.len()).collect());
                }
                Err(refused) => return Err(refused),
            };
            let wait = backoff.next_wait();
            if Instant::now() + wait >= until {
                return Err(Failure::Retry(reason));
            }
            let partition = self.partition;
            // Once an outage: status and health go on saying it.
            if backoff.attempts() == 1 && !self.state.is_refused(partition) {
                warn!(partition, reason, "appending to Kafka is tried again");
            } else {
                debug!(partition, reason, "appending to Kafka is tried again");
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// A wrong clock shows nowhere else, and puts wrong times on all that this host takes.
    fn compare_clocks(&self, theirs: Option<i64>) {
        let ahead = theirs.map_or(0, |theirs| self.clock.now().as_millisecond() - theirs) / 1000;
        let is_off = ahead.abs() > CLOCK_TOLERANCE;
        if self.state.set_clock_off(is_off) && is_off {
            warn!(
                ahead,
                "this host's clock is so many seconds ahead of Kafka's: events get wrong times, and from a day on they \
                 become dead letters; set the clock"
            );
        }
    }

    /// The records' time is when they are produced, never when the events were: Kafka deletes by it.
    fn pack(&self, records: &[&Record]) -> Result<Bytes, Failure> {
        let now = self.clock.now().as_millisecond();
        let packed = packing::pack(records, self.compression, now)
            .map_err(|error| Failure::Refuse(error.to_string()))?;
        let unpacked = records.iter().map(|record| size_of(record)).sum();
        self.room.learn(unpacked, packed.len(), self.max_batch);
        if packed.len() > self.max_batch && records.len() > 1 {
            return Err(Failure::BadRecord(
                "the batch packs worse than the last ones".to_owned(),
            ));
        }
        Ok(packed)
    }
}

/// The bytes of records that are likely to make a full batch once they are compressed: few large requests cost the
/// broker and both ends less than many small ones.
#[derive(Debug)]
pub(super) struct Room(AtomicUsize);

impl Room {
    /// What a batch is never supposed to exceed: whoever reads it unpacks it whole.
    const MOST_PACKING: usize = 4;

    pub(super) fn new(max_batch: usize) -> Self {
        Self(AtomicUsize::new(max_batch))
    }

    fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Learns from a batch that was large enough to tell; a quarter is left for ones that pack worse.
    fn learn(&self, unpacked: usize, packed: usize, max_batch: usize) {
        if unpacked >= max_batch / 4 {
            let fitting = max_batch / 4 * 3 * unpacked / packed.max(1);
            let room = fitting.clamp(max_batch, Self::MOST_PACKING * max_batch);
            self.0.store(room, Ordering::Relaxed);
        }
    }
}

/// Cuts records into runs of at most `max` bytes, each of at least one record.
fn chunks<'a, 'b>(mut records: &'a [&'b Record], max: usize) -> Vec<&'a [&'b Record]> {
    let mut chunks = Vec::new();
    while !records.is_empty() {
        let mut bytes = 0;
        let fitting = records.iter().take_while(|record| {
            bytes += size_of(record);
            bytes <= max
        });
        let (chunk, rest) = records.split_at(fitting.count().max(1));
        chunks.push(chunk);
        records = rest;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_full_and_in_order() {
        let records: Vec<_> = [10, 10, 500, 10, 10]
            .iter()
            .map(|length| Record {
                key: "k".into(),
                value: vec![0; *length].into(),
            })
            .collect();
        let references: Vec<_> = records.iter().collect();
        let lengths = |max| -> Vec<_> { chunks(&references, max).iter().map(|chunk| chunk.len()).collect() };
        assert_eq!(lengths(300), [2, 1, 2]);
        assert_eq!(lengths(1), [1, 1, 1, 1, 1]);
        assert_eq!(lengths(10_000), [5]);
        assert_eq!(chunks(&[], 10).len(), 0);
    }

    #[test]
    fn a_batch_takes_as_much_as_is_likely_to_fit_once_it_is_packed() {
        let room = Room::new(1000);
        room.learn(100, 10, 1000);
        assert_eq!(room.bytes(), 1000, "too few to tell");
        room.learn(900, 450, 1000);
        assert_eq!(room.bytes(), 1500);
        room.learn(1500, 100, 1000);
        assert_eq!(room.bytes(), 4000);
        room.learn(4000, 4100, 1000);
        assert_eq!(room.bytes(), 1000);
    }
}
