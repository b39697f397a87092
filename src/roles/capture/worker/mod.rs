//! The worker of one log partition.

mod ownership;
mod patience;
mod storing;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use deadpool_postgres::Client;
use metrics::gauge;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::patience::Patience;
use self::trouble::Trouble;
use super::catalog::Catalog;
use super::guilt::Allowance;
use super::{Capture, PartitionState};
use crate::broker::LogError;
use crate::retry::Backoff;
use crate::store::Names;
use crate::store::lease::{self, Lease};
use crate::telemetry::metric;

/// Moves one partition.
pub(super) struct Worker {
    capture: Capture,
    partition: i32,
    names: Names,
    catalog: Catalog,
    allowance: Allowance,
    /// Batches for which every id is still looked up.
    probes_left: u32,
}

/// A partition that this worker owns, and the connection that its lease belongs to.
struct Owned {
    client: Client,
    lease: Lease,
    next_offset: i64,
}

impl Worker {
    /// `catalogued` counts the property keys that all partitions keep.
    pub(super) fn new(capture: Capture, partition: i32, catalogued: Arc<AtomicUsize>) -> Self {
        Self {
            capture,
            partition,
            names: Names::default(),
            catalog: Catalog::new(catalogued),
            allowance: Allowance::new(),
            probes_left: 0,
        }
    }

    /// Runs until the token is cancelled and the log is drained; no failure ends it.
    pub(super) async fn run(mut self, token: CancellationToken) -> Result<(), String> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            let begun = Instant::now();
            match self.own_partition(&token).await {
                Ok(()) if token.is_cancelled() => return Ok(()),
                Ok(()) => backoff.reset(),
                Err(trouble) => {
                    if begun.elapsed() > Duration::from_secs(30) {
                        backoff.reset();
                    }
                    self.report(&trouble);
                    self.show_lag().await;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                // What is not stored yet is safe in the log: no reason to hold a shutdown up.
                () = token.cancelled() => return Ok(()),
            }
        }
    }

    /// Takes the lease and moves the partition for as long as all goes well.
    async fn own_partition(&mut self, token: &CancellationToken) -> Result<(), Trouble> {
        let Some(mut owned) = self.patience().within(self.take_lease()).await? else {
            self.set_state(PartitionState::Standby, None);
            tokio::select! {
                () = tokio::time::sleep(self.capture.config.lease / 3) => {}
                () = token.cancelled() => {}
            }
            return Ok(());
        };
        let moved = self.move_partition(&mut owned, token).await;
        if moved.is_err() {
            // Not back into the pool: it may hang, or be in the middle of a transaction.
            drop(Client::take(owned.client));
        }
        moved
    }

    async fn move_partition(&mut self, owned: &mut Owned, token: &CancellationToken) -> Result<(), Trouble> {
        let max_bytes = self.capture.config.max_batch.as_u64() as usize;
        let mut wait = Duration::ZERO;
        let patience = self.patience();
        loop {
            let fetch = self
                .capture
                .log
                .fetch(self.partition, owned.next_offset, max_bytes, wait);
            let records = tokio::select! {
                records = fetch => records,
                () = token.cancelled(), if !wait.is_zero() => {
                    wait = Duration::ZERO;
                    continue;
                }
            };
            match records {
                Ok(records) if records.is_empty() => {
                    let kept = patience
                        .within(async { Ok(lease::renew(&owned.client, &owned.lease).await?) })
                        .await?;
                    if !kept {
                        return Err(Trouble::Fenced);
                    }
                    patience.within(self.store_counts(owned)).await?;
                    if token.is_cancelled() {
                        return patience
                            .within(async { Ok(lease::give_up(&owned.client, &owned.lease).await?) })
                            .await;
                    }
                }
                Ok(records) => patience.within(self.store(owned, &records)).await?,
                Err(LogError::OutOfRange { offset, range, .. }) if offset < range.earliest => {
                    patience.within(self.record_gap(owned, range.earliest)).await?;
                }
                Err(error) => return Err(error.into()),
            }
            // Only now PostgreSQL has shown that it works.
            self.set_state(PartitionState::Running, None);
            self.show_place(owned.next_offset).await;
            if self.catalog.is_due() {
                patience.within(self.store_counts(owned)).await?;
            }
            wait = if token.is_cancelled() {
                Duration::ZERO
            } else {
                owned.lease.ttl / 3
            };
        }
    }

    async fn show_place(&self, next_offset: i64) {
        self.capture
            .status
            .update(self.partition, |status| status.next_offset = next_offset);
        self.show_lag().await;
    }

    /// Also while PostgreSQL is away, when it matters.
    async fn show_lag(&self) {
        let Ok(range) = self.capture.log.offsets(self.partition).await else {
            return;
        };
        self.capture.status.update(self.partition, |status| {
            status.lag = (range.end - status.next_offset.max(range.earliest)).max(0);
            gauge!(metric::CAPTURE_LAG_RECORDS, "partition" => self.partition.to_string())
                .set(status.lag as f64);
        });
    }

    fn report(&self, trouble: &Trouble) {
        let partition = self.partition;
        match trouble {
            Trouble::Fenced => {
                info!(partition, "lost the partition to another owner");
                self.set_state(PartitionState::Standby, None);
            }
            Trouble::Transient(reason) => {
                warn!(partition, reason, "capture waits and tries again");
                self.set_state(PartitionState::Retrying, Some(reason));
            }
            Trouble::Paused(reason) => {
                error!(partition, reason, "capture is paused, nothing is lost");
                self.set_state(PartitionState::Paused, Some(reason));
            }
        }
    }

    /// Its name in the health of the process.
    fn part(&self) -> String {
        format!("capture of partition {}", self.partition)
    }

    fn patience(&self) -> Patience {
        Patience::new(self.capture.health.clone(), self.part())
    }

    fn set_state(&self, state: PartitionState, reason: Option<&String>) {
        let part = self.part();
        match reason {
            Some(reason) if state == PartitionState::Paused => {
                self.capture.health.fail(&part, format!("paused: {reason}"));
            }
            Some(reason) => self.capture.health.fail(&part, reason.as_str()),
            None => self.capture.health.recover(&part),
        }
        self.capture.status.update(self.partition, |status| {
            status.state = state;
            if let Some(reason) = reason {
                status.last_error = Some(reason.clone());
                status.last_error_at = Some(self.capture.clock.now());
            }
        });
    }
}
