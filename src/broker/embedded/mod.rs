//! The event log on the local disk: numbered files, the segments, each with frames of all partitions.
//!
//! ```text
//! append ─► budget (bytes) ─► queue ─► writer thread: one write, one fdatasync ─► ends move ─► answers
//! fetch  ─► waits for the end to move ─► index ─► reads frames on a blocking thread
//! ```
//! One thread writes, so that concurrent appends share an fsync and offsets need no lock. A record is written
//! once, where it stays until its segment is deleted whole.
//! Readers see a partition only up to the end that the writer published after its fsync.

mod active;
mod builder;
mod disk;
mod frame;
mod index;
mod read;
mod recovery;
mod remains;
mod retention;
mod salvage;
mod segment;
mod shared;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use metrics::gauge;
use tokio::sync::{Semaphore, oneshot};
use tracing::{info, warn};
use uuid::Uuid;

use self::active::Active;
pub(super) use self::recovery::Damage;
use self::shared::{Partition, Shared, lock};
use self::writer::{Append, Command, Content, Part, Writer};
use super::{EventLog, LogError, OffsetRange, Record, StoredRecord};
use crate::clock::Clock;
use crate::config;
use crate::telemetry::metric;

/// Bytes of appends that wait for the writer; above it, appends wait before they queue.
const QUEUE_BYTES: usize = 8 << 20;
/// How often it is looked whether the writer lives.
const WRITER_CHECK: Duration = Duration::from_secs(1);
/// What a record takes in the queue beside its bytes.
const RECORD_OVERHEAD: usize = 64;
/// The longest record; far above what ingest lets through, and what a frame can hold.
const MAX_RECORD: usize = 16 << 20;

/// An [`EventLog`] in a folder of this machine, for one process at a time.
///
/// [`retain`](Self::retain) is called now and then by its owner; [`close`](Self::close), or else dropping it,
/// ends the writer thread and frees the folder for the next one to open it.
#[derive(Debug)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    queue: Mutex<Option<Sender<Command>>>,
    budget: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedLog {
    /// Opens the log of a folder, or makes one.
    ///
    /// Blocks for as long as verifying the last segment takes. The number of partitions of an existing log stays
    /// as it was made, whatever `config` says.
    ///
    /// # Errors
    /// [`LogError::Fatal`] where the folder is in use, cannot be written or holds no readable log.
    pub fn open(folder: &Path, config: &config::EventLog, clock: Clock) -> Result<Arc<Self>, LogError> {
        Self::open_with(folder, config, clock, Damage::Refuse)
    }

    pub(super) fn open_with(
        folder: &Path,
        config: &config::EventLog,
        clock: Clock,
        damage: Damage<'_>,
    ) -> Result<Arc<Self>, LogError> {
        let lock = disk::lock(folder)?;
        let recovered = recovery::recover(folder, config.partitions, damage)?;
        let identity = recovered.identity;
        if identity.partitions != config.partitions {
            warn!(
                kept = identity.partitions,
                configured = config.partitions,
                "the event log keeps the number of partitions that it was made with"
            );
        }
        let active = Active::open(&recovered)?;
        let shared = Arc::new(Shared::new(
            folder.to_owned(),
            config.clone(),
            clock,
            identity,
            recovered.segments,
            &recovered.ends,
        ));
        let (queue, commands) = channel();
        let writer = spawn(
            Writer::new(shared.clone(), active, recovered.ends),
            lock,
            commands,
        )?;
        info!(folder = %folder.display(), log_id = %identity.log_id, "event log open");
        Ok(Arc::new(Self {
            shared,
            queue: Mutex::new(Some(queue)),
            budget: Arc::new(Semaphore::new(QUEUE_BYTES)),
            writer: Mutex::new(Some(writer)),
        }))
    }

    /// Deletes the segments that are expired and released; for a call every minute or so.
    ///
    /// # Errors
    /// When a file could not be deleted, or the log cannot write. A later call may succeed.
    pub async fn retain(&self) -> Result<(), LogError> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Retain { answer })?;
        answered.await.map_err(|_| shutting_down())?
    }

    /// Calls [`retain`](Self::retain) every `period`, for ever. A failure is logged and tried again.
    pub async fn keep_retaining(&self, period: Duration) {
        loop {
            gauge!(metric::LOG_DISK_BYTES).set(self.bytes() as f64);
            tokio::time::sleep(period).await;
            if let Err(error) = self.retain().await {
                warn!(%error, "deleting expired events from the log failed; will try again");
            }
        }
    }

    /// Bytes that the log takes on the disk.
    pub fn bytes(&self) -> u64 {
        self.shared
            .segments()
            .iter()
            .map(|segment| segment.durable())
            .sum()
    }

    /// Resolves when the writer thread ended although nobody closed the log. Pends for ever after a close.
    pub async fn writer_died(&self) {
        loop {
            tokio::time::sleep(WRITER_CHECK).await;
            if lock(&self.writer).as_ref().is_some_and(JoinHandle::is_finished) {
                return;
            }
        }
    }

    /// Answers the appends that are queued, and closes the folder. Later appends are refused.
    pub async fn close(&self) {
        let writer = self.take_writer();
        let _ = tokio::task::spawn_blocking(move || writer.map(JoinHandle::join)).await;
    }

    /// Hangs up, upon which the writer ends behind what is queued.
    fn take_writer(&self) -> Option<JoinHandle<()>> {
        lock(&self.queue).take();
        lock(&self.writer).take()
    }

    /// Hands records of some partitions to the writer; returns the offset of the first record of the lowest one.
    async fn submit(&self, parts: Vec<(usize, Vec<Record>)>) -> Result<i64, LogError> {
        let size_of = |record: &Record| record.key.len() + record.value.len();
        let records = || parts.iter().flat_map(|(_, records)| records);
        if records().any(|record| size_of(record) > MAX_RECORD) {
            return Err(LogError::BadRecord(format!(
                "a record is longer than {MAX_RECORD} bytes"
            )));
        }
        let bytes = records()
            .map(|record| size_of(record) + RECORD_OVERHEAD)
            .sum::<usize>();
        // A call larger than the whole budget takes all of it, rather than waiting for ever.
        let permits = u32::try_from(bytes.min(QUEUE_BYTES)).unwrap_or(u32::MAX);
        let permit = self.budget.clone().acquire_many_owned(permits).await;
        let parts = parts.into_iter().map(|(partition, records)| Part {
            partition,
            content: Content::of(records),
        });
        let (answer, answered) = oneshot::channel();
        self.send(Command::Append(Append {
            parts: parts.collect(),
            bytes,
            answer,
            permit: permit.map_err(|_| shutting_down())?,
        }))?;
        answered.await.map_err(|_| shutting_down())?
    }

    fn send(&self, command: Command) -> Result<(), LogError> {
        let queue = lock(&self.queue);
        let queue = queue.as_ref().ok_or_else(shutting_down)?;
        queue.send(command).map_err(|_| shutting_down())
    }

    fn partition(&self, partition: i32) -> Result<(usize, &Partition), LogError> {
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        match self.shared.partitions.get(index) {
            Some(found) => Ok((index, found)),
            None => Err(LogError::Fatal(format!("there is no partition {partition}"))),
        }
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    fn log_id(&self) -> Uuid {
        self.shared.identity.log_id
    }

    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn partitions(&self) -> i32 {
        self.shared.identity.partitions
    }

    async fn append(&self, partition: i32, records: Vec<Record>) -> Result<i64, LogError> {
        let (index, found) = self.partition(partition)?;
        if records.is_empty() {
            return Ok(found.range.borrow().end);
        }
        self.submit(vec![(index, records)]).await
    }

    async fn append_all(&self, parts: Vec<(i32, Vec<Record>)>) -> Result<(), LogError> {
        let index = |(partition, records)| Ok((self.partition(partition)?.0, records));
        let parts: Vec<_> = parts.into_iter().map(index).collect::<Result<_, LogError>>()?;
        if parts.is_empty() {
            return Ok(());
        }
        self.submit(parts).await.map(drop)
    }

    async fn fetch(
        &self,
        partition: i32,
        offset: i64,
        max_bytes: usize,
        max_wait: Duration,
    ) -> Result<Vec<StoredRecord>, LogError> {
        let number = partition;
        let (partition, found) = self.partition(partition)?;
        let mut range = found.range.subscribe();
        let in_range = |range: OffsetRange| match (range.earliest..=range.end).contains(&offset) {
            true => Ok(range.end),
            false => Err(LogError::OutOfRange {
                partition: number,
                offset,
                range,
            }),
        };
        let mut end = in_range(*range.borrow_and_update())?;
        if offset == end {
            let moved = range.wait_for(|range| range.end > offset);
            let Ok(Ok(_)) = tokio::time::timeout(max_wait, moved).await else {
                return Ok(Vec::new());
            };
            end = in_range(*range.borrow())?;
        }
        let shared = self.shared.clone();
        let read = blocking(move || shared.read(partition, offset, end, max_bytes)).await;
        // Retention may have overtaken the read.
        read.or_else(|error| in_range(*range.borrow()).and(Err(error)))
    }

    async fn offsets(&self, partition: i32) -> Result<OffsetRange, LogError> {
        Ok(*self.partition(partition)?.1.range.borrow())
    }

    fn release(&self, partition: i32, offset: i64) {
        if let Ok((_, partition)) = self.partition(partition) {
            let end = partition.range.borrow().end;
            partition.released.fetch_max(offset.min(end), Ordering::AcqRel);
        }
    }

    fn health(&self) -> Result<(), String> {
        match lock(&self.shared.refusal).clone() {
            Some(reason) => Err(reason),
            None => self.shared.room(0),
        }
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        if let Some(writer) = self.take_writer() {
            let _ = writer.join();
        }
    }
}

/// Starts the writer's thread, which holds the folder's lock.
fn spawn(writer: Writer, lock: File, commands: Receiver<Command>) -> Result<JoinHandle<()>, LogError> {
    std::thread::Builder::new()
        .name("event-log".to_owned())
        .spawn(move || {
            writer.run(&commands);
            drop(lock);
        })
        .map_err(|error| LogError::Fatal(format!("no thread for the event log: {error}")))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(LogError::Fatal(format!("reading failed: {error}"))))
}

fn shutting_down() -> LogError {
    LogError::Unavailable("it has stopped".to_owned())
}
