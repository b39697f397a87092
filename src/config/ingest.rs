use bytesize::ByteSize;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is kept of a visitor's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IpPolicy {
    /// Cuts IPv4 to /24 and IPv6 to /48.
    Truncate,
    /// Keeps the whole address.
    Full,
    /// Keeps nothing.
    Drop,
}

/// Validation and privacy of what comes in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Ingest {
    /// The largest single event, as JSON text.
    #[schemars(with = "String")]
    pub max_event: ByteSize,
    /// The most events of one request.
    pub max_batch: usize,
    /// What is kept of visitors' addresses: truncate, full or drop.
    pub ip: IpPolicy,
    /// Members of properties and traits that are taken out before the log: `["email", "user.phone"]`. A name means
    /// the top level of properties and of traits, a dotted path what is inside, also in lists. Of a refused event
    /// that is no JSON nothing is kept then, nor properties and traits that are no objects: they could be anywhere
    /// in it.
    pub redact: Vec<String>,
    /// The earliest time that is believed: history from before it is refused, other events get the time of
    /// their acceptance.
    #[schemars(with = "String")]
    pub backdate_from: Timestamp,
    /// Rejected events a second and source that are kept as dead letters, ten seconds' worth at once; above it they
    /// are only counted.
    pub rejects_kept_per_second: u32,
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            max_event: ByteSize::kib(256),
            max_batch: 20_000,
            ip: IpPolicy::Truncate,
            redact: Vec::new(),
            backdate_from: Timestamp::constant(631_152_000, 0), // 1990-01-01T00:00:00Z
            rejects_kept_per_second: 1000,
        }
    }
}
