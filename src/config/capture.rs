use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How events move from the log into PostgreSQL.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Capture {
    /// The largest batch of one transaction, in bytes of log records. Batches are as large as what waits, up to this; those
    /// of all partitions of a host take 8 MiB at the most.
    #[schemars(with = "String")]
    pub max_batch: ByteSize,
    /// How many months are kept ready ahead of the present one.
    pub months_ahead: u8,
    /// How long a host's leases on partitions last without being renewed; it renews them three times as often. The
    /// partitions of a host that died wait so long for another one. The same on all hosts.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub lease: Duration,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            max_batch: ByteSize::mib(8),
            months_ahead: 3,
            lease: Duration::from_secs(10),
        }
    }
}
