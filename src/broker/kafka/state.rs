use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why appends are refused, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct State(Mutex<Refusals>);

#[derive(Debug, Default)]
struct Refusals {
    cluster: Option<String>,
    partitions: BTreeMap<i32, String>,
}

impl State {
    /// Notes why a partition takes nothing.
    pub(super) fn refuse(&self, partition: i32, reason: String) {
        self.lock().partitions.insert(partition, reason);
    }

    /// Notes that a partition takes records, as far as one can see.
    pub(super) fn recover(&self, partition: i32) {
        self.lock().partitions.remove(&partition);
    }

    pub(super) fn is_refused(&self, partition: i32) -> bool {
        self.lock().partitions.contains_key(&partition)
    }

    /// Notes whether the cluster answers at all.
    pub(super) fn set_cluster(&self, reason: Option<String>) {
        self.lock().cluster = reason;
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

    fn lock(&self) -> MutexGuard<'_, Refusals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
