//! What the running serve says of itself.

use std::time::Duration;

use futures_util::future::join_all;

use super::former_log::FormerLog;
use super::message::{LogPartition, LogStatus, Status};
use super::server::Control;
use crate::broker::spool::SpoolStatus;
use crate::roles::capture::PartitionStatus;
use crate::store::gaps::{self, Gaps};

/// How long status waits for the log.
const LOG_PATIENCE: Duration = Duration::from_secs(2);
/// How long it waits for the event store.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

impl Control {
    /// Also while the log does not answer: that is when people ask.
    pub(super) async fn log_status(&self) -> LogStatus {
        let Some(log) = self.log() else {
            return LogStatus {
                kind: "not reached yet".to_owned(),
                log_id: None,
                partitions: Vec::new(),
                hot_keys: Vec::new(),
            };
        };
        let captures = self.capture.snapshot();
        let partitions = (0..log.partitions()).map(async |partition| {
            let offsets = tokio::time::timeout(LOG_PATIENCE, log.offsets(partition)).await;
            let range = offsets.ok().and_then(Result::ok);
            LogPartition {
                partition,
                earliest: range.map(|range| range.earliest),
                end: range.map(|range| range.end),
                capture: captures.get(&partition).map(|capture| PartitionStatus {
                    // The worker's own count stands still while it is stuck.
                    lag: range.map_or(capture.lag, |range| (range.end - capture.next_offset).max(0)),
                    ..capture.clone()
                }),
            }
        });
        LogStatus {
            kind: log.kind().to_owned(),
            log_id: Some(log.log_id()),
            partitions: join_all(partitions).await,
            hot_keys: log.hot_keys(),
        }
    }

    /// What the log knows by now says more than the first append that it did not take in time.
    fn with_reason(&self, spool: SpoolStatus) -> SpoolStatus {
        let known = self.log().and_then(|log| log.health().err());
        SpoolStatus {
            reason: spool.reason.map(|first| known.unwrap_or(first)),
            ..spool
        }
    }

    /// What the event store knows to be lost.
    async fn gaps(&self) -> Option<Gaps> {
        let databases = self.databases.borrow().clone()?;
        let read = async {
            let client = databases.pool.get().await.ok()?;
            gaps::list(&client).await.ok()
        };
        tokio::time::timeout(STORE_PATIENCE, read).await.ok().flatten()
    }

    /// What runs, and how it is.
    pub(super) async fn status(&self) -> Status {
        let (log, gaps) = tokio::join!(self.log_status(), self.gaps());
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: self.started_at,
            now: self.clock.now(),
            roles: self.roles.clone(),
            http: self.http,
            admin: self.admin.get().copied(),
            faults: self.health.faults(),
            rates: self.meter.rates(&log),
            log,
            gaps,
            spool: match self.intake.spool() {
                Some(spool) => Some(self.with_reason(spool.status().await)),
                None => None,
            },
            former_log: self.former_log.as_ref().map(FormerLog::status),
            capture_hosts: self.capture.hosts(),
            dead_letters: self.capture.dead_letters(),
            event_store: match &*self.databases.borrow() {
                Some(databases) => databases.describe(),
                // Nobody will tell: no role of this process needs one.
                None if self.databases.has_changed().is_err() => "none in this process".to_owned(),
                None => "embedded PostgreSQL, starting".to_owned(),
            },
        }
    }
}
