//! What a worker keeps from one batch to the next. All of it can be lost.

use super::Names;
use super::identity::{KnownPairs, Suppressions};
use super::lease::Lease;

/// What [`super::writer::write`] remembers of a partition.
#[derive(Debug, Default)]
pub struct Memory {
    pub names: Names,
    pub(super) pairs: KnownPairs,
    pub(super) suppressions: Suppressions,
    /// Of the lease under which the store was seen so.
    epoch: i64,
}

impl Memory {
    /// Forgets what the store was seen to hold under another lease: since then it may have been restored from a copy.
    pub(super) fn keep_to(&mut self, lease: &Lease) {
        if self.epoch != lease.epoch {
            self.epoch = lease.epoch;
            self.pairs = KnownPairs::default();
            self.suppressions = Suppressions::default();
        }
    }
}
