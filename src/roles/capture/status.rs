use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a partition's worker is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionState {
    #[default]
    Starting,
    Running,
    /// Another host owns the partition.
    Standby,
    /// PostgreSQL or the event log does not answer, or failed in a way that goes away.
    Retrying,
    /// Something needs a person; see the last error.
    Paused,
}

/// One partition as `momsflow status` shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartitionStatus {
    pub state: PartitionState,
    pub next_offset: i64,
    /// Records in the log that are not stored yet.
    pub lag: i64,
    /// When the oldest of them came into the log.
    #[serde(default)]
    pub oldest_waiting_at: Option<Timestamp>,
    /// Rows stored since this process started.
    pub stored: i64,
    /// The host that has the partition: its name, or its id where it does not live.
    #[serde(default)]
    pub owner: Option<String>,
    /// Rises at each change of the owner.
    #[serde(default)]
    pub epoch: Option<i64>,
    /// How often a host had died, or was cut off, and another took the partition over.
    #[serde(default)]
    pub take_overs: i64,
    pub last_commit_at: Option<Timestamp>,
    pub last_error: Option<String>,
    pub last_error_at: Option<Timestamp>,
}

impl PartitionStatus {
    /// Moves on to `next_offset`; the log's end is taken to be where it was.
    pub(super) fn advance(&mut self, next_offset: i64) {
        let end = self.next_offset + self.lag;
        self.next_offset = next_offset;
        self.lag = (end - next_offset).max(0);
    }
}

/// A living capture host as `momsflow status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    pub name: String,
    pub is_this: bool,
    /// How many it owns.
    pub partitions: usize,
}

/// The statuses of partitions and hosts; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    partitions: BTreeMap<i32, PartitionStatus>,
    hosts: Vec<HostStatus>,
    dead_letters: Option<BTreeMap<String, i64>>,
}

impl Status {
    /// Changes one partition's status.
    pub fn update(&self, partition: i32, change: impl FnOnce(&mut PartitionStatus)) {
        change(self.lock().partitions.entry(partition).or_default());
    }

    /// All partitions now.
    pub fn snapshot(&self) -> BTreeMap<i32, PartitionStatus> {
        self.lock().partitions.clone()
    }

    /// Records of all partitions that are not stored yet.
    pub fn lag(&self) -> i64 {
        self.lock()
            .partitions
            .values()
            .map(|partition| partition.lag)
            .sum()
    }

    /// The hosts that live, as this one last saw them.
    pub fn hosts(&self) -> Vec<HostStatus> {
        self.lock().hosts.clone()
    }

    /// Dead letters that wait, by reason; `None` until they were counted.
    pub fn dead_letters(&self) -> Option<BTreeMap<String, i64>> {
        self.lock().dead_letters.clone()
    }

    pub(super) fn set_dead_letters(&self, waiting: BTreeMap<String, i64>) {
        self.lock().dead_letters = Some(waiting);
    }

    pub(super) fn set_hosts(&self, hosts: Vec<HostStatus>) {
        self.lock().hosts = hosts;
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
