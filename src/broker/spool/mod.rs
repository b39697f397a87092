//! The spool: an embedded log of one partition that stands in for a log which cannot be reached.
//!
//! ```text
//! append fails ─► stands in ─► all appends go to the spool ─┐
//!     ▲                                                      ▼
//!     └── no longer stands in ◄── the log took a batch ◄── replay, in order, until the spool is empty
//! ```
//! What cannot be replayed is set aside and does not hold up the rest: a record that the log does not take, in a file of
//! its own, and the file of a segment that is damaged; of one that is missing, a note.
//!
//! Records may reach the log twice: one whose append only seemed to fail, and those that were sent again after a
//! kill, since how far a replay came is not kept. Readers dedupe by event id.

mod aside;
mod replay;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::{info, warn};

use self::aside::Aside;
pub use self::aside::SetAside;
use super::embedded::{Damage, EmbeddedLog};
use super::{EventLog, LogError, Record};
use crate::clock::Clock;
use crate::config;
use crate::telemetry::metric;

const PARTITION: i32 = 0;
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
    aside: Aside,
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
    set_aside: Option<SetAside>,
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
    /// What cannot be sent, if there is anything.
    #[serde(default)]
    pub set_aside: Option<SetAside>,
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
        let aside = Aside::new(folder);
        let damage = Damage::Keep(aside.path());
        let log = EmbeddedLog::open_with(folder, &settings, clock.clone(), damage)?;
        let range = log.offsets(PARTITION).await?;
        // One that cannot be read is passed by the replay.
        let first = log.fetch(PARTITION, range.earliest, 1, Duration::ZERO).await;
        let first = first.unwrap_or_default();
        let state = State {
            stands_in: None,
            next: range.earliest,
            oldest: first.first().map(|record| record.appended_at),
            set_aside: None,
        };
        if let Some(since) = state.oldest {
            info!(records = range.end - range.earliest, %since, "the spool holds events of an earlier run");
        }
        let spool = Self {
            log,
            clock,
            max_bytes: config.max_size.as_u64(),
            mark,
            aside,
            state: Mutex::new(state),
            appended: Notify::new(),
        };
        spool.look_aside();
        Ok(Arc::new(spool))
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
            set_aside: state.set_aside.clone(),
        }
    }

    /// Writes into the metrics what it holds, for ever.
    async fn keep_measuring(&self) {
        loop {
            self.measure().await;
            tokio::time::sleep(TICK).await;
        }
    }

    /// Takes note of what was set aside, which takes room as well.
    fn look_aside(&self) {
        match self.aside.look() {
            Ok(found) => self.state().set_aside = found,
            Err(error) => warn!(%error, "cannot see what the spool has set aside"),
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
        let aside = status
            .set_aside
            .map_or(0, |aside| aside.records + aside.damaged_files);
        gauge!(metric::SPOOL_SET_ASIDE).set(aside as f64);
    }

    fn room(&self) -> Result<(), String> {
        let aside = self.state().set_aside.as_ref().map_or(0, |aside| aside.bytes);
        let bytes = self.log.bytes() + aside;
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
