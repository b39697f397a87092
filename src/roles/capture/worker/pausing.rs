//! Sitting out what is wrong without giving the partition away.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{Owned, Trouble, Worker};
use crate::retry::Backoff;
use crate::store::lease;

const FIRST_REST: Duration = Duration::from_millis(100);
/// After so long it is tried again whether what was wrong has been mended.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// The rests of an owner, which begin anew once it has moved on.
pub(super) struct Rests {
    backoff: Backoff,
    offset: i64,
}

impl Rests {
    pub(super) fn new(owned: &Owned) -> Self {
        Self {
            backoff: Backoff::new(FIRST_REST, LONGEST_REST),
            offset: owned.next_offset,
        }
    }

    fn next(&mut self, owned: &Owned) -> Duration {
        if self.offset != owned.next_offset {
            self.backoff.reset();
        }
        self.offset = owned.next_offset;
        self.backoff.next_wait()
    }
}

impl Worker {
    /// Moves the partition, whatever is wrong in between that leaves the lease alone; `Ok` when it is time to hand over.
    pub(super) async fn keep_moving(
        &mut self,
        owned: &mut Owned,
        token: &CancellationToken,
    ) -> Result<(), Trouble> {
        let mut rests = Rests::new(owned);
        loop {
            match self.move_partition(owned, token).await {
                Ok(()) => return Ok(()),
                Err(trouble) => {
                    if !self.sit_out(owned, trouble, &mut rests, token).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Rests, and finds out where the partition stands; `false` when it is time to hand over. A lease that was given up
    /// and taken again at every try would end backends, raise epochs and tell other hosts, for nothing.
    ///
    /// # Errors
    /// The trouble itself where it may have cost the lease.
    pub(super) async fn sit_out(
        &mut self,
        owned: &mut Owned,
        trouble: Trouble,
        rests: &mut Rests,
        token: &CancellationToken,
    ) -> Result<bool, Trouble> {
        if !trouble.leaves_the_lease() {
            return Err(trouble);
        }
        self.report(&trouble);
        let until = Instant::now() + rests.next(owned);
        let rest = async {
            // It may be the log that does not answer.
            let _ = timeout_at(until, self.show_lag()).await;
            sleep_until(until).await;
        };
        tokio::select! {
            () = rest => {}
            () = token.cancelled() => return Ok(false),
            () = self.shares.unwanted(self.partition), if !self.is_draining => return Ok(false),
        }
        self.patience().within(self.look_again(owned)).await?;
        Ok(true)
    }

    /// Reads the position anew: whoever mended what was wrong may have changed it.
    async fn look_again(&self, owned: &mut Owned) -> Result<(), Trouble> {
        let Some(position) = lease::position(&owned.client, &owned.lease).await? else {
            return Err(Trouble::Fenced);
        };
        owned.next_offset = position.next_offset;
        owned.fingerprint = position.fingerprint;
        Ok(())
    }
}
