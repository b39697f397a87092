//! Emptying a log that events no longer go to, beside the capture of the one that they go to now.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::Capture;
use super::shares::Shares;
use super::worker::Worker;

impl Capture {
    /// Stores what the log holds, from its positions on; nobody may append to it any more. No failure ends it.
    ///
    /// No host shares this: the log is on this host's disk. Returns whether all is stored, which it is not when the
    /// token was cancelled before.
    pub async fn drain(self, token: CancellationToken) -> bool {
        let catalogued = Arc::new(AtomicUsize::new(0));
        let drains = (0..self.log.partitions()).map(|partition| {
            // Each with leases of its own, which nobody hands out.
            let worker = Worker::new(self.clone(), Shares::new(), partition, catalogued.clone());
            worker.draining().drain(token.clone())
        });
        join_all(drains).await.into_iter().all(|is_done| is_done)
    }
}
