use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::hot_keys::Hot;
use crate::broker::HotKey;

/// What is known of the cluster and of what goes to it: why appends are refused, and whose events are many.
#[derive(Debug, Default)]
pub(super) struct State(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    cluster: Option<String>,
    partitions: BTreeMap<i32, String>,
    hot_keys: BTreeMap<i32, Vec<Hot>>,
    is_clock_off: bool,
}

impl State {
    /// Notes why a partition takes nothing; `true` when it did until now.
    pub(super) fn refuse(&self, partition: i32, reason: String) -> bool {
        self.lock().partitions.insert(partition, reason).is_none()
    }

    /// Notes that a partition takes records, as far as one can see.
    pub(super) fn recover(&self, partition: i32) {
        self.lock().partitions.remove(&partition);
    }

    pub(super) fn is_refused(&self, partition: i32) -> bool {
        self.lock().partitions.contains_key(&partition)
    }

    /// Notes the hot keys of a partition's last window; gives those that were not hot before.
    pub(super) fn set_hot_keys(&self, partition: i32, hot: Vec<Hot>) -> Vec<Hot> {
        let mut known = self.lock();
        let before = known.hot_keys.insert(partition, hot.clone()).unwrap_or_default();
        let is_new = |one: &Hot| before.iter().all(|old| old.key != one.key);
        hot.into_iter().filter(is_new).collect()
    }

    pub(super) fn hot_keys(&self) -> Vec<HotKey> {
        let known = self.lock();
        let partitions = known.hot_keys.iter();
        let keys = partitions.flat_map(|(partition, hot)| {
            hot.iter().map(|one| HotKey {
                partition: *partition,
                key: String::from_utf8_lossy(&one.key).into_owned(),
                share: one.share,
            })
        });
        keys.collect()
    }

    /// Notes whether this host's clock is off; `true` when that is new.
    pub(super) fn set_clock_off(&self, is_off: bool) -> bool {
        std::mem::replace(&mut self.lock().is_clock_off, is_off) != is_off
    }

    /// Notes whether the cluster answers at all.
    pub(super) fn set_cluster(&self, reason: Option<String>) {
        self.lock().cluster = reason;
    }

    /// Why the cluster does not answer, as the watch last saw it.
    pub(super) fn cluster(&self) -> Option<String> {
        self.lock().cluster.clone()
    }

    /// `Err` with one reason while there is any.
    pub(super) fn health(&self) -> Result<(), String> {
        let refusals = self.lock();
        let partition = || {
            let (partition, reason) = refusals.partitions.first_key_value()?;
            Some(format!("partition {partition}: {reason}"))
        };
        match refusals.cluster.clone().or_else(partition) {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
