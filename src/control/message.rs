//! What goes over the control socket, as JSON.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::former_log::FormerLogStatus;
use crate::broker::HotKey;
use crate::broker::spool::SpoolStatus;
use crate::config::Role;
use crate::roles::capture::{HostStatus, PartitionStatus};
use crate::store::dead_letters::Selection;
use crate::store::gaps::Gaps;

/// What runs, for `momsflow status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub started_at: Timestamp,
    pub now: Timestamp,
    pub roles: Vec<Role>,
    pub http: Option<SocketAddr>,
    pub admin: Option<SocketAddr>,
    /// Parts that are unhealthy, and why.
    pub faults: BTreeMap<String, String>,
    pub log: LogStatus,
    /// Nothing where there is none.
    pub spool: Option<SpoolStatus>,
    /// The embedded log from before Kafka, while it is drained and until the next start.
    #[serde(default)]
    pub former_log: Option<FormerLogStatus>,
    /// The capture hosts that live, where capture runs here.
    #[serde(default)]
    pub capture_hosts: Vec<HostStatus>,
    /// Dead letters of the event store that wait, by reason, where capture runs here and has counted them.
    #[serde(default)]
    pub dead_letters: Option<BTreeMap<String, i64>>,
    /// The database that events go to, without its password.
    pub event_store: String,
    /// What the log lost before it was stored; nothing while the event store does not say.
    #[serde(default)]
    pub gaps: Option<Gaps>,
    /// Nothing in the first moment of a process, and of one of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
}

/// How fast events come and are stored, over the last five to ten seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Into the log, whoever sends them.
    pub appended_per_second: f64,
    /// By this process.
    pub stored_per_second: f64,
}

/// The event log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogStatus {
    pub kind: String,
    /// Nothing while it has not been reached.
    pub log_id: Option<Uuid>,
    pub partitions: Vec<LogPartition>,
    /// Persons whose events crowd a partition, where ingest runs here.
    #[serde(default)]
    pub hot_keys: Vec<HotKey>,
}

/// One partition of the log, and how far capture is, where capture runs here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogPartition {
    pub partition: i32,
    /// The offsets that it holds; `None` while the log does not say.
    pub earliest: Option<i64>,
    pub end: Option<i64>,
    pub capture: Option<PartitionStatus>,
}

/// What `momsflow tail` wants to see.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TailQuery {
    /// Up to so many records of each partition that are there already.
    pub last: u32,
    pub follow: bool,
}

/// Whose history `momsflow import` sends; the body is its lines, each an event as `/v1/import` takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportQuery {
    pub source: String,
}

/// How the running serve takes the history of a source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportTerms {
    /// The clock by which events get their `accepted_at`.
    pub now: Timestamp,
    /// The names of the sources that serve takes events from.
    pub sources: Vec<String>,
    /// As of the configured source of that name, so that ids are the same as of what came live. A name that is
    /// no source's is the operator's own.
    pub trusted: bool,
}

/// What became of a piece of history; all of it is durable in the log, as an event or as a dead letter. Of a
/// preview: what would become of it; nothing was kept.
#[derive(Clone, Debug, Deserialize)]
pub struct ImportReply {
    pub accepted: usize,
    pub rejected: Vec<ImportRejected>,
}

/// An event of an import that is not valid.
#[derive(Clone, Debug, Deserialize)]
pub struct ImportRejected {
    /// Its place in the piece.
    pub index: usize,
    pub pointer: String,
    pub code: String,
    pub detail: String,
    /// Whether it became a dead letter.
    pub kept: bool,
}

/// Which dead letters to send again, and what to mend in them first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplayRequest {
    pub selection: Selection,
    /// JSON pointers and the values to put there.
    pub set: Vec<(String, Box<RawValue>)>,
}

/// What became of each dead letter of a [`ReplayRequest`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ReplayReply {
    pub replayed: Vec<i64>,
    /// Those that are still not valid, with the reason.
    pub refused: Vec<(i64, String)>,
}

/// Why a request over the control socket was not carried out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    pub error: String,
}
