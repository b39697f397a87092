//! The event log in a Kafka topic.
//!
//! ```text
//! append ─► budget (bytes) ─► a batcher for each partition: one request on its way, the rest gathers ─► answers
//! fetch  ─► batches ─► what is in them, one after the other ─► records
//! ```
//! The client library, rskafka, knows the partitions' ends; each call of it has a deadline here, and `failure` alone says
//! which errors are tried again. Appends, which it does slowly, fetches, of which it gives the whole up where it cannot read a
//! part, and what it has no calls for (a topic's settings, its id) go over plain connections of our own.

mod access;
mod admin;
mod batcher;
mod clients;
mod connection;
mod diagnosis;
mod failure;
mod fetcher;
mod finding;
mod header;
mod hot_keys;
mod leader;
mod packing;
mod preflight;
mod producer;
mod reader;
mod record_batch;
mod rights;
mod sasl;
mod shelf;
mod state;
mod tls;
mod unpacking;
mod verdict;
mod watch;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Semaphore, oneshot};
use tracing::{info, warn};
use uuid::Uuid;

use self::batcher::{Pending, size_of};
use self::clients::Clients;
use self::shelf::{Common, Partition, Shelf};
use self::state::State;
use self::watch::Watch;
use super::{EventLog, HotKey, LogError, OffsetRange, Record, StoredRecord};
use crate::clock::Clock;
use crate::config;
use crate::lifecycle::{Stop, Tasks, deadline_in};

pub use finding::Finding;
pub use preflight::{Preflight, PreflightError, look, prepare};
pub use rights::Needs;

const CLIENT_ID: &str = "momsflow";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For calls that a broker answers at once.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// Bytes of appends that wait; above it, appends wait before they queue.
const QUEUE_BYTES: usize = 32 << 20;
/// What a batch takes beside its records.
const BATCH_OVERHEAD: u64 = 256;

/// An [`EventLog`] in a Kafka topic, which any number of processes may share.
///
/// Beyond the contract: records of a call that takes more than one batch (the topic's `max.message.bytes`) may have
/// those of another process between them. Retention is the topic's own.
#[derive(Debug)]
pub struct KafkaLog {
    log_id: Uuid,
    shelf: Arc<Shelf>,
    state: Arc<State>,
    budget: Arc<Semaphore>,
    tasks: Mutex<Option<Tasks>>,
}

impl KafkaLog {
    /// Opens the topic that [`prepare`] has looked at, within a tokio runtime.
    ///
    /// # Errors
    /// [`LogError::Fatal`] with the remedies where the topic is not fit to keep events.
    pub fn open(config: &config::Kafka, found: &Preflight, clock: &Clock) -> Result<Arc<Self>, LogError> {
        refuse_unfit(config, found)?;
        let state = Arc::new(State::default());
        let shelf = Arc::new(Shelf::new(Common {
            clients: Arc::new(Clients::new(found.access.clone(), config.topic.clone())),
            state: state.clone(),
            clock: clock.clone(),
            compression: config.compression,
            max_batch: found.max_message.saturating_sub(BATCH_OVERHEAD) as usize,
        }));
        let mut tasks = Tasks::new("event log");
        shelf.grow(found.partitions, &mut tasks);
        let watch = Watch {
            access: found.access.clone(),
            topic: config.topic.clone(),
            log_id: found.log_id,
            shelf: shelf.clone(),
            min_insync: found.min_insync,
            needs: found.needs,
            state: state.clone(),
        };
        let token = tasks.token();
        tasks.spawn("watch over Kafka", watch.run(token));
        info!(topic = config.topic, log_id = %found.log_id, "event log open");
        Ok(Arc::new(Self {
            log_id: found.log_id,
            shelf,
            state,
            budget: Arc::new(Semaphore::new(QUEUE_BYTES)),
            tasks: Mutex::new(Some(tasks)),
        }))
    }

    /// Runs until `stop` resolves, then answers the appends that wait, within `deadline`. For one call.
    ///
    /// # Errors
    /// When the topic was made anew, or a task died.
    pub async fn run(&self, stop: impl Future<Output = ()>, deadline: Duration) -> Result<(), String> {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut tasks) = tasks else { return Ok(()) };
        tokio::select! {
            () = stop => {}
            died = tasks.died() => if let Stop::Died { task, reason } = died {
                return Err(format!("{task}: {reason}"));
            }
        }
        tasks.stop(deadline_in(deadline)).await;
        Ok(())
    }

    fn partition(&self, partition: i32) -> Result<Arc<Partition>, LogError> {
        self.shelf
            .get(partition)
            .ok_or_else(|| LogError::Fatal(format!("there is no partition {partition}")))
    }
}

fn refuse_unfit(config: &config::Kafka, found: &Preflight) -> Result<(), LogError> {
    let topic = &config.topic;
    let mut fatal = Vec::new();
    for Finding {
        fault,
        remedy,
        is_fatal,
    } in &found.findings
    {
        if *is_fatal {
            fatal.push(format!("topic {topic}: {fault} ({remedy})"));
        } else {
            warn!(topic, fault, remedy, "the topic is not as configured");
        }
    }
    if found.partitions == 0 {
        fatal.push(format!("topic {topic} has no partitions"));
    }
    match fatal.is_empty() {
        true => Ok(()),
        false => Err(LogError::Fatal(fatal.join("; "))),
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    fn log_id(&self) -> Uuid {
        self.log_id
    }

    fn kind(&self) -> &'static str {
        "kafka"
    }

    fn partitions(&self) -> i32 {
        self.shelf.len()
    }

    async fn append(&self, partition: i32, records: Vec<Record>) -> Result<i64, LogError> {
        let found = self.partition(partition)?;
        if records.is_empty() {
            return Ok(found.reader.offsets().await?.end);
        }
        let bytes = records.iter().map(size_of).sum::<usize>();
        // A call larger than the whole budget takes all of it, rather than waiting for ever.
        let permits = u32::try_from(bytes.min(QUEUE_BYTES)).unwrap_or(u32::MAX);
        let permit = self.budget.clone().acquire_many_owned(permits).await;
        let (answer, answered) = oneshot::channel();
        let pending = Pending {
            records,
            bytes,
            answer,
            _permit: permit.map_err(|_| stopped())?,
        };
        found.queue.send(pending).map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    async fn fetch(
        &self,
        partition: i32,
        offset: i64,
        max_bytes: usize,
        max_wait: Duration,
    ) -> Result<Vec<StoredRecord>, LogError> {
        let found = self.partition(partition)?;
        found.reader.fetch(offset, max_bytes, max_wait).await
    }

    async fn appended_at(&self, partition: i32, offset: i64) -> Result<Option<Timestamp>, LogError> {
        self.partition(partition)?.reader.appended_at(offset).await
    }

    async fn offsets(&self, partition: i32) -> Result<OffsetRange, LogError> {
        self.partition(partition)?.reader.offsets().await
    }

    /// Does nothing: a topic has a retention of its own.
    fn release(&self, _partition: i32, _offset: i64) {}

    fn health(&self) -> Result<(), String> {
        self.state.health()
    }

    fn hot_keys(&self) -> Vec<HotKey> {
        self.state.hot_keys()
    }
}

fn stopped() -> LogError {
    LogError::Unavailable("it has stopped".to_owned())
}
