use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// PostgreSQL does not answer, or failed in a way that goes away.
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
    /// Rows stored since this process started.
    pub stored: i64,
    pub last_commit_at: Option<Timestamp>,
    pub last_error: Option<String>,
    pub last_error_at: Option<Timestamp>,
}

/// The partitions' statuses; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Mutex<BTreeMap<i32, PartitionStatus>>>);

impl Status {
    /// Changes one partition's status.
    pub fn update(&self, partition: i32, change: impl FnOnce(&mut PartitionStatus)) {
        let mut partitions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(partitions.entry(partition).or_default());
    }

    /// All partitions now.
    pub fn snapshot(&self) -> BTreeMap<i32, PartitionStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
