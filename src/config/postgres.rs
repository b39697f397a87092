use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// PostgreSQL: a private cluster in the data dir by default, or servers that you run.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Postgres {
    /// URL of the event store, `postgres://user:password@host:5432/momsflow_events`. Left out, momsflow runs a
    /// PostgreSQL of its own.
    pub events_url: Option<Secret>,
    /// URL of the user view database; goes with `events_url`.
    pub views_url: Option<Secret>,
    /// Folder of the PostgreSQL programs (14 or later) for the embedded cluster; found by itself when left out.
    pub bin_dir: Option<PathBuf>,
    /// Loopback port of the embedded cluster, for Grafana and Metabase; 0 picks a free one at the first start
    /// and keeps it.
    pub port: u16,
}
