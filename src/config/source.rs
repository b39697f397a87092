use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// A named write key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The name that its events are stored with: lower-case letters, digits, `-` and `_`.
    #[serde(default)]
    pub name: String,
    /// The key itself; or `key_file`, or `key_env`.
    #[serde(default)]
    pub key: Option<Secret>,
    /// A file that holds the key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// An environment variable that holds the key.
    #[serde(default)]
    pub key_env: Option<String>,
    /// Whether the key is secret (a server's). A key in a browser or an app is public, so not trusted.
    #[serde(default)]
    pub trusted: bool,
    /// Origins of the pages that may send with this key from a browser (CORS): `["https://example.com"]`, or `["*"]`.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Whether it may send history: what it sends to `/v1/import`, and whatever else it sends that is more than
    /// a day old, is received at its own timestamp.
    #[serde(default)]
    pub may_backdate: bool,
}
