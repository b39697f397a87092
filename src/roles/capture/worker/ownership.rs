//! Taking a partition over.

use std::time::Duration;

use deadpool_postgres::PoolError;
use metrics::counter;
use tracing::{info, warn};

use super::super::sorting;
use super::super::trouble::Trouble;
use super::{Owned, Worker};
use crate::store::lease::{self, Acquired, Lease};
use crate::store::sqlstate::describe;
use crate::telemetry::metric;

impl Worker {
    /// Where a partition begins of which nothing was stored yet.
    pub(super) async fn first_offset(&self) -> Result<i64, Trouble> {
        let asked = async { Ok(self.capture.log.offsets(self.partition).await?.earliest) };
        self.patience().with_the_log().within(asked).await
    }

    /// Takes the partition's lease; `None` while somebody else holds it. A new position begins at `first`.
    pub(super) async fn take_lease(&self, log: i32, first: i64) -> Result<Option<Owned>, Trouble> {
        let capture = &self.capture;
        let mut client = capture
            .pool
            .get()
            .await
            .map_err(|error| Trouble::Transient(no_connection(&error)))?;
        let now = capture.clock.now();
        let acquired = lease::acquire(
            &mut client,
            &capture.owner,
            log,
            self.partition,
            first,
            capture.config.lease,
            now,
        )
        .await?;
        match acquired {
            Acquired::HeldBy(owner) => {
                info!(partition = self.partition, owner, "another host was quicker");
                Ok(None)
            }
            Acquired::Owned {
                lease,
                position,
                taken_from,
            } => {
                self.tell_take_over(&lease, taken_from);
                self.shares.hold(self.partition, lease.epoch);
                capture.log.release(self.partition, position.next_offset);
                Ok(Some(Owned {
                    client,
                    lease,
                    next_offset: position.next_offset,
                    fingerprint: position.fingerprint,
                }))
            }
        }
    }

    fn tell_take_over(&self, lease: &Lease, taken_from: Option<String>) {
        let (partition, epoch) = (self.partition, lease.epoch);
        match taken_from {
            Some(from) => {
                counter!(metric::CAPTURE_TAKE_OVERS_TOTAL, "partition" => partition.to_string()).increment(1);
                warn!(
                    partition,
                    epoch, from, "took the partition over, its owner let the lease expire"
                );
            }
            None => info!(partition, epoch, "partition is this host's"),
        }
    }

    /// Compares the record before the position with what it was, so that a log made anew is not taken for the old.
    pub(super) async fn check_fingerprint(&self, position: &Owned) -> Result<(), Trouble> {
        let range = self.capture.log.offsets(self.partition).await?;
        let before = position.next_offset - 1;
        if position.next_offset > range.end {
            return Err(Trouble::Paused(format!(
                "partition {} ends at {}, but {} was stored: the log was made anew or restored from an old copy",
                self.partition, range.end, position.next_offset
            )));
        }
        let (Some(fingerprint), true) = (&position.fingerprint, before >= range.earliest) else {
            return Ok(());
        };
        let records = self
            .capture
            .log
            .fetch(self.partition, before, 1, Duration::ZERO)
            .await?;
        match records.first() {
            Some(record)
                if record.offset == before && sorting::fingerprint(&record.value) != *fingerprint =>
            {
                Err(Trouble::Paused(format!(
                    "offset {before} of partition {} holds another record than the one stored: the log was made anew",
                    self.partition
                )))
            }
            _ => Ok(()),
        }
    }
}

/// The pool's own words name no cause.
pub(super) fn no_connection(error: &PoolError) -> String {
    match error {
        PoolError::Backend(cause) => format!("no connection to PostgreSQL: {}", describe(cause)),
        other => format!("no connection to PostgreSQL: {other}"),
    }
}
