//! Storing what is left in a log that takes no more appends.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::ownership::no_connection;
use super::pausing::Rests;
use super::{Owned, Trouble, Worker};
use crate::retry::Backoff;
use crate::store::lease;

impl Worker {
    /// Makes it the worker of a former log.
    pub(in super::super) fn draining(mut self) -> Self {
        self.is_draining = true;
        self
    }

    /// Stores what is left of the partition; no failure ends it. `false` when the token was cancelled before the end.
    pub(in super::super) async fn drain(mut self, token: CancellationToken) -> bool {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        self.show_lag().await;
        loop {
            match self.drain_on(&token).await {
                Ok(is_done) => return is_done,
                Err(trouble) => self.report(&trouble),
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = token.cancelled() => return false,
            }
        }
    }

    /// Goes on from the position, for as long as all goes well.
    async fn drain_on(&mut self, token: &CancellationToken) -> Result<bool, Trouble> {
        let log = self.patience().within(self.register()).await?;
        let first = self.first_offset().await?;
        let Some(mut owned) = self.patience().within(self.take_lease(log, first)).await? else {
            return Err(Trouble::Transient(
                "another installation has this log's lease".to_owned(),
            ));
        };
        self.show_place(owned.next_offset).await;
        let mut drained = self.keep_draining(&mut owned, token).await;
        if drained.is_ok()
            && let Err(trouble) = self.patience().within(self.hand_over(&mut owned)).await
        {
            drained = Err(trouble);
        }
        self.shares.let_go(self.partition);
        if drained.is_err() {
            // As in `own_partition`.
            drop(deadpool_postgres::Client::take(owned.client));
        }
        drained
    }

    async fn register(&self) -> Result<i32, Trouble> {
        let capture = &self.capture;
        let client = capture.pool.get().await;
        let client = client.map_err(|error| Trouble::Transient(no_connection(&error)))?;
        let (id, kind) = (capture.log.log_id(), capture.log.kind());
        Ok(lease::register_log(&client, id, kind, capture.clock.now()).await?)
    }

    async fn keep_draining(&mut self, owned: &mut Owned, token: &CancellationToken) -> Result<bool, Trouble> {
        let mut rests = Rests::new(owned);
        loop {
            match self.drain_owned(owned, token).await {
                Ok(is_done) => return Ok(is_done),
                Err(trouble) => {
                    if !self.sit_out(owned, trouble, &mut rests, token).await? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// A lease needs no other renewal than by the commits, which come one after the other.
    async fn drain_owned(&mut self, owned: &mut Owned, token: &CancellationToken) -> Result<bool, Trouble> {
        let max_bytes = self.capture.config.max_batch.as_u64() as usize;
        let log = self.capture.log.clone();
        self.check_fingerprint(owned).await?;
        while !token.is_cancelled() {
            let fetched = log
                .fetch(self.partition, owned.next_offset, max_bytes, Duration::ZERO)
                .await;
            let is_done = fetched.as_ref().is_ok_and(Vec::is_empty);
            self.take_in(owned, fetched).await?;
            if is_done {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
