use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The spool, in `<data_dir>/spool`: while Kafka cannot be reached or refuses, ingest keeps events on the local disk,
/// answers 200 with `"durability":"spooled"`, and sends them on when Kafka is back. Not used with the embedded event log.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Spool {
    /// How many bytes may wait; then requests are refused (503). 0 switches the spool off.
    #[schemars(with = "String")]
    pub max_size: ByteSize,
    /// Free disk space below which nothing is spooled (503).
    #[schemars(with = "String")]
    pub min_free_disk: ByteSize,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            max_size: ByteSize::gib(4),
            min_free_disk: ByteSize::mib(256),
        }
    }
}
