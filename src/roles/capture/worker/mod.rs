//! The worker of one log partition.

mod draining;
mod ownership;
mod storing;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use deadpool_postgres::Client;
use metrics::gauge;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::catalog::Catalog;
use super::guilt::Allowance;
use super::patience::Patience;
use super::shares::Shares;
use super::trouble::Trouble;
use super::{Capture, PartitionState};
use crate::broker::{LogError, StoredRecord};
use crate::retry::Backoff;
use crate::store::Names;
use crate::store::lease::{self, Lease};
use crate::telemetry::metric;

/// How long it may take to find out that another host was quicker.
const REPLANNING: Duration = Duration::from_secs(1);

/// Moves one partition.
pub(super) struct Worker {
    capture: Capture,
    shares: Shares,
    partition: i32,
    /// Its log is a former one, beside the one that events go to now.
    is_draining: bool,
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
    pub(super) fn new(
        capture: Capture,
        shares: Shares,
        partition: i32,
        catalogued: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            capture,
            shares,
            partition,
            is_draining: false,
            names: Names::default(),
            catalog: Catalog::new(catalogued),
            allowance: Allowance::new(),
            probes_left: 0,
        }
    }

    /// Runs until the token is cancelled and the partition is given up; no failure ends it.
    pub(super) async fn run(mut self, token: CancellationToken) -> Result<(), String> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            let log = tokio::select! {
                log = self.stand_by() => log,
                () = token.cancelled() => return Ok(()),
            };
            let begun = Instant::now();
            match self.own_partition(log, &token).await {
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

    /// Waits until this host shall have the partition; gives `logs.id`.
    async fn stand_by(&self) -> i32 {
        self.shares.decided().await;
        if !self.shares.is_wanted(self.partition) {
            self.set_state(PartitionState::Standby, None);
            // Its owner shows it.
            gauge!(metric::CAPTURE_LAG_RECORDS, "partition" => self.partition.to_string()).set(0.0);
        }
        self.shares.wanted(self.partition).await
    }

    /// Takes the lease and moves the partition for as long as all goes well and this host shall have it.
    async fn own_partition(&mut self, log: i32, token: &CancellationToken) -> Result<(), Trouble> {
        let Some(mut owned) = self.patience().within(self.take_lease(log)).await? else {
            // The plan was made before that other host took it.
            self.shares.look_anew();
            let replanned = self.shares.unwanted(self.partition);
            let _ = tokio::time::timeout(REPLANNING, replanned).await;
            return Ok(());
        };
        let mut moved = self.move_partition(&mut owned, token).await;
        if moved.is_ok() {
            moved = self.patience().within(self.hand_over(&mut owned)).await;
        }
        self.shares.let_go(self.partition);
        if moved.is_err() {
            // Not back into the pool: it may hang, or be in the middle of a transaction.
            drop(Client::take(owned.client));
        }
        moved
    }

    async fn hand_over(&mut self, owned: &mut Owned) -> Result<(), Trouble> {
        self.store_counts(owned).await?;
        lease::give_up(&owned.client, &owned.lease).await?;
        info!(partition = self.partition, "partition is given up");
        Ok(())
    }

    /// Moves the partition until it is time to hand it over, which is after a commit.
    async fn move_partition(&mut self, owned: &mut Owned, token: &CancellationToken) -> Result<(), Trouble> {
        let max_bytes = self.capture.config.max_batch.as_u64() as usize;
        let mut wait = Duration::ZERO;
        let mut last = None;
        loop {
            if last.is_none() {
                last = self.last_offset(owned, token).await;
            }
            if last.is_some_and(|last| owned.next_offset >= last) {
                return Ok(());
            }
            let is_ending = last.is_some();
            let wait_now = if is_ending { Duration::ZERO } else { wait };
            let log = self.capture.log.clone();
            let fetch = log.fetch(self.partition, owned.next_offset, max_bytes, wait_now);
            let records = tokio::select! {
                records = fetch => records,
                () = token.cancelled(), if !is_ending => continue,
                () = self.shares.unwanted(self.partition), if !is_ending => continue,
            };
            if records.is_ok() {
                self.shares.log_answers();
            }
            if is_ending && records.as_ref().is_ok_and(Vec::is_empty) {
                return Ok(());
            }
            self.take_in(owned, records).await?;
            wait = owned.lease.ttl / 3;
        }
    }

    /// Stores what a fetch brought, and shows how far the partition is.
    async fn take_in(
        &mut self,
        owned: &mut Owned,
        fetched: Result<Vec<StoredRecord>, LogError>,
    ) -> Result<(), Trouble> {
        let patience = self.patience();
        match fetched {
            Ok(records) if records.is_empty() => patience.within(self.store_counts(owned)).await?,
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
        Ok(())
    }

    /// The offset up to which this host stores before it hands over; `None` while it goes on.
    async fn last_offset(&self, owned: &Owned, token: &CancellationToken) -> Option<i64> {
        if token.is_cancelled() && self.shares.is_alone() {
            // Not until the log is empty: others may go on writing to it.
            let range = self.capture.log.offsets(self.partition).await;
            return Some(range.map_or(owned.next_offset, |range| range.end));
        }
        let is_over = token.is_cancelled() || !self.shares.is_wanted(self.partition);
        is_over.then_some(owned.next_offset)
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
            let gauge = match self.is_draining {
                true => metric::FORMER_LOG_RECORDS,
                false => metric::CAPTURE_LAG_RECORDS,
            };
            gauge!(gauge, "partition" => self.partition.to_string()).set(status.lag as f64);
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
        let of = if self.is_draining {
            " of the former log"
        } else {
            ""
        };
        format!("capture of partition {}{of}", self.partition)
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
