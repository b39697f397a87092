//! Where producers put their records: the log, or while it does not take them the spool on the local disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use tokio::sync::watch;

use super::spool::Spool;
use super::{EventLog, LogError, Record, partitioner};
use crate::telemetry::metric;

/// How long an append may take before the producer is told to come again.
const APPEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an append may take before its records are spooled; they may be in the log all the same.
const SPOOL_AFTER: Duration = Duration::from_secs(3);

/// A log that may not have been reached yet.
pub type Log = watch::Receiver<Option<Arc<dyn EventLog>>>;

/// Where records are once they are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Logged,
    /// On the disk of this host, to be sent to the log as soon as it takes them.
    Spooled,
}

/// Puts records into the log's partitions by their keys. Shared by all producers of a process.
#[derive(Debug)]
pub struct Intake {
    log: Log,
    spool: Option<Arc<Spool>>,
    /// Shares out records without a key over the partitions.
    spread: AtomicU32,
}

impl Intake {
    /// An intake before a log, with a spool where there is one.
    pub fn new(log: Log, spool: Option<Arc<Spool>>) -> Self {
        Self {
            log,
            spool,
            spread: AtomicU32::new(rand::random()),
        }
    }

    /// An intake before a log that is there.
    pub fn of(log: Arc<dyn EventLog>) -> Self {
        Self::new(watch::Sender::new(Some(log)).subscribe(), None)
    }

    /// Appends records, each to the partition of its key; durable when it returns. Those of one partition keep
    /// their order.
    ///
    /// # Errors
    /// The refusal of the log, or of the spool in its place. Some records may have been written.
    pub async fn append(&self, records: Vec<Record>) -> Result<Durability, LogError> {
        let Some(spool) = &self.spool else {
            return self.append_to_log(records, APPEND_TIMEOUT).await;
        };
        if !spool.stands_in() {
            match self.append_to_log(records.clone(), SPOOL_AFTER).await {
                Err(LogError::Unavailable(reason)) => spool.stand_in(&reason),
                answered => return answered,
            }
        }
        spool.append(records).await.map(|()| Durability::Spooled)
    }

    /// `Err` with the reason while appends would be refused.
    pub fn health(&self) -> Result<(), String> {
        let log = match &*self.log.borrow() {
            Some(log) => log.health(),
            None => Err("the event log has not been reached yet".to_owned()),
        };
        match &self.spool {
            Some(spool) if log.is_err() || spool.stands_in() => spool.health(),
            _ => log,
        }
    }

    /// The spool, where there is one.
    pub fn spool(&self) -> Option<&Arc<Spool>> {
        self.spool.as_ref()
    }

    async fn append_to_log(&self, records: Vec<Record>, timeout: Duration) -> Result<Durability, LogError> {
        let log = self.log.borrow().clone();
        let log = log.ok_or_else(|| LogError::Unavailable("it has not been reached yet".to_owned()))?;
        let start = Instant::now();
        let appended = append_by_key(&*log, records, &self.spread, timeout).await;
        histogram!(metric::LOG_APPEND_SECONDS).record(start.elapsed().as_secs_f64());
        appended.map(|()| Durability::Logged)
    }
}

/// Appends to all partitions at once and returns when all of it is durable.
///
/// # Errors
/// The log's refusal; [`LogError::Unavailable`] after `timeout`.
pub(super) async fn append_by_key(
    log: &dyn EventLog,
    records: Vec<Record>,
    spread: &AtomicU32,
    timeout: Duration,
) -> Result<(), LogError> {
    // Read once: a topic may grow in between.
    let count = log.partitions();
    let mut partitions = vec![Vec::new(); usize::try_from(count).unwrap_or(1)];
    for record in records {
        let spread = if record.key.is_empty() {
            spread.fetch_add(1, Ordering::Relaxed)
        } else {
            0
        };
        let partition = partitioner::partition_for(&record.key, count, spread);
        if let Some(records) = usize::try_from(partition)
            .ok()
            .and_then(|at| partitions.get_mut(at))
        {
            records.push(record);
        }
    }
    let parts: Vec<_> = (0..)
        .zip(partitions)
        .filter(|(_, records)| !records.is_empty())
        .collect();
    let counts: Vec<_> = parts
        .iter()
        .map(|(partition, records)| (*partition, records.len() as u64))
        .collect();
    tokio::time::timeout(timeout, log.append_all(parts))
        .await
        .unwrap_or_else(|_| Err(LogError::Unavailable("the append took too long".to_owned())))?;
    for (partition, records) in counts {
        counter!(metric::LOG_APPENDED_TOTAL, "partition" => partition.to_string()).increment(records);
    }
    Ok(())
}
