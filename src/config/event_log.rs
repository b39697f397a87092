use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The embedded event log, in `<data_dir>/event-log`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EventLog {
    /// Number of partitions; fixed once the log exists.
    pub partitions: i32,
    /// How long events stay after capture has stored them.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub retention: Duration,
    /// How many bytes of stored events stay at the most. Events that are not stored yet are never deleted.
    #[schemars(with = "String")]
    pub retention_size: ByteSize,
    /// Free disk space below which appends are refused (503), so that what is stored stays safe.
    #[schemars(with = "String")]
    pub min_free_disk: ByteSize,
}

impl Default for EventLog {
    fn default() -> Self {
        Self {
            partitions: 4,
            retention: Duration::from_secs(24 * 3600),
            retention_size: ByteSize::gib(1),
            min_free_disk: ByteSize::mib(256),
        }
    }
}
