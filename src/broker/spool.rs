//! The spool: an embedded log of one partition that stands in for a log which cannot be reached.
//!
//! ```text
//! append fails ─► stands in ─► all appends go to the spool ─┐
//!     ▲                                                      ▼
//!     └── no longer stands in ◄── the log took a batch ◄── replay, in order, until the spool is empty
//! ```
//! Records may reach the log twice: one whose append only seemed to fail, and those that were sent again after a
//! kill, since how far a replay came is not kept. Readers dedupe by event id.

use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::embedded::EmbeddedLog;
use super::intake::{Log, append_by_key};
use super::{EventLog, LogError, Record};
use crate::clock::Clock;
use crate::config;
use crate::retry::Backoff;
use crate::telemetry::metric;

const PARTITION: i32 = 0;
/// Bytes of values that are sent to the log at once.
const REPLAY_BYTES: usize = 1 << 20;
const REPLAY_TIMEOUT: Duration = Duration::from_secs(30);
/// After so long without anything to replay the log itself is tried again.
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// No more than what an empty log takes.
const EMPTY_BYTES: u64 = 256;
/// How often what the spool holds is written into the metrics.
const TICK: Duration = Duration::from_secs(1);

/// What makes of a record the one that is sent to the log.
pub type Mark = fn(Bytes) -> Bytes;

/// The local stand-in for a log.
#[derive(Debug)]
pub struct Spool {
    log: Arc<EmbeddedLog>,
    clock: Clock,
    max_bytes: u64,
    mark: Mark,
    state: Mutex<State>,
    appended: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Since when it stands in for the log, and why.
    stands_in: Option<(Instant, String)>,
    /// The offset of the first record that the log does not have.
    next: i64,
    /// When that one was spooled.
    oldest: Option<Timestamp>,
}

/// What a spool holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolStatus {
    /// Records that the log does not have yet.
    pub records: i64,
    pub bytes: u64,
    pub oldest: Option<Timestamp>,
    /// Why it stands in for the log, while it does.
    pub reason: Option<String>,
}

impl Spool {
    /// Opens the spool of a folder, or makes one. Records of an earlier run are still to be replayed.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub async fn open(
        folder: &Path,
        config: &config::Spool,
        clock: Clock,
        mark: Mark,
    ) -> Result<Arc<Self>, LogError> {
        let settings = config::EventLog {
            partitions: 1,
            // What was replayed goes at once.
            retention: Duration::ZERO,
            retention_size: config.max_size,
            min_free_disk: config.min_free_disk,
        };
        let log = EmbeddedLog::open(folder, &settings, clock.clone())?;
        let range = log.offsets(PARTITION).await?;
        let first = log.fetch(PARTITION, range.earliest, 1, Duration::ZERO).await?;
        let state = State {
            stands_in: None,
            next: range.earliest,
            oldest: first.first().map(|record| record.appended_at),
        };
        if let Some(since) = state.oldest {
            info!(records = range.end - range.earliest, %since, "the spool holds events of an earlier run");
        }
        Ok(Arc::new(Self {
            log,
            clock,
            max_bytes: config.max_size.as_u64(),
            mark,
            state: Mutex::new(state),
            appended: Notify::new(),
        }))
    }

    /// Whether appends go here because the log does not take them.
    pub fn stands_in(&self) -> bool {
        self.state().stands_in.is_some()
    }

    /// Stands in for the log from now on, until the log takes something again.
    pub(super) fn stand_in(&self, reason: &str) {
        let mut state = self.state();
        if state.stands_in.is_none() {
            warn!(
                reason,
                "the event log does not take events; they are spooled on the local disk"
            );
            state.stands_in = Some((Instant::now(), reason.to_owned()));
            self.appended.notify_one();
        }
    }

    /// Appends records; on the disk when it returns.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the spool or its disk is full.
    pub(super) async fn append(&self, records: Vec<Record>) -> Result<(), LogError> {
        self.room().map_err(LogError::Unavailable)?;
        let count = records.len() as u64;
        self.log.append(PARTITION, records).await?;
        counter!(metric::SPOOL_RECORDS_TOTAL).increment(count);
        self.state().oldest.get_or_insert_with(|| self.clock.now());
        self.appended.notify_one();
        Ok(())
    }

    /// `Err` with the reason while appends would be refused.
    pub(super) fn health(&self) -> Result<(), String> {
        self.room().and_then(|()| self.log.health())
    }

    /// What it holds now.
    pub async fn status(&self) -> SpoolStatus {
        let end = self.log.offsets(PARTITION).await.map_or(0, |range| range.end);
        let state = self.state();
        SpoolStatus {
            records: end - state.next,
            bytes: self.log.bytes(),
            oldest: state.oldest,
            reason: state.stands_in.as_ref().map(|(_, reason)| reason.clone()),
        }
    }

    /// Sends what is spooled to the log as soon as it is there and takes it, for ever.
    pub async fn keep_replaying(&self, mut log: Log) {
        let spread = AtomicU32::new(rand::random());
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            self.measure().await;
            let Some(found) = log.borrow_and_update().clone() else {
                let _ = tokio::time::timeout(TICK, log.changed()).await;
                continue;
            };
            match self.replay_some(&*found, &spread).await {
                Ok(0) => {
                    self.probe_if_due();
                    self.tidy().await;
                    let _ = tokio::time::timeout(TICK, self.appended.notified()).await;
                }
                Ok(_) => backoff.reset(),
                Err(error) => {
                    self.stand_in(&error.to_string());
                    tokio::time::sleep(backoff.next_wait()).await;
                }
            }
        }
    }

    /// Sends the next records; returns how many.
    async fn replay_some(&self, log: &dyn EventLog, spread: &AtomicU32) -> Result<usize, LogError> {
        let next = self.state().next;
        let stored = self
            .log
            .fetch(PARTITION, next, REPLAY_BYTES, Duration::ZERO)
            .await?;
        let Some(last) = stored.last() else { return Ok(0) };
        let (count, next) = (stored.len(), last.offset + 1);
        self.state().oldest = stored.first().map(|record| record.appended_at);
        let mark = |record: super::StoredRecord| Record {
            key: record.key,
            value: (self.mark)(record.value),
        };
        let records = stored.into_iter().map(mark).collect();
        append_by_key(log, records, spread, REPLAY_TIMEOUT).await?;
        counter!(metric::SPOOL_REPLAYED_TOTAL).increment(count as u64);
        self.replayed(next).await;
        Ok(count)
    }

    /// The log has everything before `next`.
    async fn replayed(&self, next: i64) {
        let end = self.log.offsets(PARTITION).await.map_or(next, |range| range.end);
        {
            let mut state = self.state();
            state.next = next;
            if next == end {
                state.oldest = None;
            }
            if let Some((since, _)) = state.stands_in.take() {
                let seconds = since.elapsed().as_secs();
                info!(
                    seconds,
                    left = end - next,
                    "the event log takes events again; the spool is replayed"
                );
            }
        }
        self.log.release(PARTITION, next);
        self.tidy().await;
    }

    /// Deletes what was replayed a while ago.
    async fn tidy(&self) {
        if self.log.bytes() > EMPTY_BYTES
            && let Err(error) = self.log.retain().await
        {
            warn!(%error, "what was replayed from the spool could not be deleted; will try again");
        }
    }

    /// With nothing to replay, only a new append can tell whether the log is back.
    fn probe_if_due(&self) {
        let mut state = self.state();
        if state
            .stands_in
            .as_ref()
            .is_some_and(|(since, _)| since.elapsed() >= PROBE_AFTER)
        {
            state.stands_in = None;
        }
    }

    async fn measure(&self) {
        let status = self.status().await;
        let age = status.oldest.map_or(0.0, |oldest| {
            self.clock.now().duration_since(oldest).as_secs_f64()
        });
        gauge!(metric::SPOOL_RECORDS).set(status.records as f64);
        gauge!(metric::SPOOL_BYTES).set(status.bytes as f64);
        gauge!(metric::SPOOL_OLDEST_SECONDS).set(age.max(0.0));
    }

    fn room(&self) -> Result<(), String> {
        let bytes = self.log.bytes();
        if bytes >= self.max_bytes {
            let max = self.max_bytes;
            return Err(format!(
                "the spool is full: {bytes} bytes of spool.max_size = {max}"
            ));
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the appends that are queued, and closes the folder.
    pub async fn close(&self) {
        self.log.close().await;
    }
}
