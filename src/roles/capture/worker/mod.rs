//! The worker of one log partition.

mod draining;
mod ownership;
mod pausing;
mod showing;
mod storing;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytesize::ByteSize;
use deadpool_postgres::Client;
use metrics::gauge;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::catalog::Catalog;
use super::guilt::Allowance;
use super::patience::Patience;
use super::shares::Shares;
use super::trouble::Trouble;
use super::{Capture, PartitionState};
use crate::broker::{LogError, StoredRecord};
use crate::retry::Backoff;
use crate::store::Memory;
use crate::store::lease::{self, Lease};
use crate::telemetry::metric;

/// How long it may take to find out that another host was quicker.
const REPLANNING: Duration = Duration::from_secs(1);

/// The records of the batches of all partitions of a host: many partitions have smaller ones. At work a record takes
/// two to three times its bytes, and all of it counts in the bound of memory under overload (docs/benchmarks.md).
const BATCHES_BYTES: ByteSize = ByteSize::mib(8);

/// Moves one partition.
pub(super) struct Worker {
    capture: Capture,
    shares: Shares,
    partition: i32,
    /// Its log is a former one, beside the one that events go to now.
    is_draining: bool,
    memory: Memory,
    catalog: Catalog,
    allowance: Allowance,
    /// Batches for which every id is still looked up.
    probes_left: u32,
    /// When the log was asked for its end.
    end_asked_at: Option<Instant>,
}

/// A partition that this worker owns, and the connection that its lease belongs to.
struct Owned {
    client: Client,
    lease: Lease,
    next_offset: i64,
    /// Of the record before it when the position was read.
    fingerprint: Option<Vec<u8>>,
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
            memory: Memory::default(),
            catalog: Catalog::new(catalogued),
            allowance: Allowance::new(),
            probes_left: 0,
            end_asked_at: None,
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
        let first = self.first_offset().await?;
        let Some(mut owned) = self.patience().within(self.take_lease(log, first)).await? else {
            // The plan was made before that other host took it.
            self.shares.look_anew();
            let replanned = self.shares.unwanted(self.partition);
            let _ = tokio::time::timeout(REPLANNING, replanned).await;
            return Ok(());
        };
        let mut moved = self.keep_moving(&mut owned, token).await;
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
        match self.store_counts(owned).await {
            // What is refused now is worth less than a lease that others would have to wait for.
            Ok(()) | Err(Trouble::Paused(_)) => {}
            Err(trouble) => return Err(trouble),
        }
        lease::give_up(&owned.client, &owned.lease).await?;
        info!(partition = self.partition, "partition is given up");
        Ok(())
    }

    /// Moves the partition until it is time to hand it over, which is after a commit.
    async fn move_partition(&mut self, owned: &mut Owned, token: &CancellationToken) -> Result<(), Trouble> {
        let mut wait = Duration::ZERO;
        let mut last = None;
        tokio::select! {
            checked = self.check_fingerprint(owned) => checked?,
            () = self.shares.unwanted(self.partition) => return Ok(()),
        }
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
            let max_bytes = batch_bytes(self.capture.config.max_batch, self.shares.count());
            let fetch = log.fetch(self.partition, owned.next_offset, max_bytes, wait_now);
            let records = tokio::select! {
                records = fetch => records,
                () = token.cancelled(), if !is_ending => continue,
                () = self.shares.unwanted(self.partition), if !is_ending => continue,
            };
            if records.is_ok() {
                self.shares.log_answers();
            }
            // A log that is away now keeps what is in it for the next owner.
            if is_ending && records.as_ref().map_or_else(is_away, Vec::is_empty) {
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

    fn patience(&self) -> Patience {
        Patience::new(self.capture.health.clone(), self.part())
    }
}

fn batch_bytes(max_batch: ByteSize, partitions: usize) -> usize {
    let share = BATCHES_BYTES.as_u64() as usize / partitions.max(1);
    share.min(max_batch.as_u64() as usize)
}

fn is_away(error: &LogError) -> bool {
    matches!(error, LogError::Unavailable(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_partitions_share_the_memory_of_batches() {
        let bytes = |partitions| batch_bytes(ByteSize::mib(8), partitions) / (1 << 20);
        assert_eq!([0, 1, 2, 8].map(bytes), [8, 8, 4, 1]);
        assert_eq!(batch_bytes(ByteSize::kib(64), 1), 64 << 10);
    }
}
