use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Fault, KeyFault, Secret, is_name, secret};

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

impl Source {
    /// The key, from wherever it is kept.
    ///
    /// # Errors
    /// When there is none, or it is out of reach.
    pub fn read_key(&self, env: &HashMap<String, String>) -> Result<Secret, KeyFault> {
        secret::read_key(
            self.key.as_ref(),
            self.key_file.as_deref(),
            self.key_env.as_deref(),
            env,
        )
    }
}

/// Collects every fault of the sources. Commands that take no events do not need the keys, and may be run by
/// somebody who may not read their files.
pub(super) fn validate(
    sources: &[Source],
    env: &HashMap<String, String>,
    needs_keys: bool,
    faults: &mut Vec<Fault>,
) {
    let mut names = HashSet::new();
    let mut owners: HashMap<String, &str> = HashMap::new();
    for (index, source) in sources.iter().enumerate() {
        let field = |name: &str| format!("sources.{index}.{name}");
        if !is_name(&source.name) {
            faults.push(Fault::new(
                field("name"),
                "must be 1 to 64 lower-case letters, digits, `-` and `_`",
                "name = \"website\"",
            ));
        }
        if !names.insert(&source.name) {
            faults.push(Fault::new(
                field("name"),
                "is used twice",
                "give each source a name of its own",
            ));
        }
        match source.read_key(env) {
            Ok(key) => {
                if let Some(owner) = owners.insert(key.reveal().to_owned(), &source.name) {
                    faults.push(Fault::new(
                        field("key"),
                        format!("is the key of the source `{owner}` too"),
                        "give each source a key of its own",
                    ));
                }
            }
            Err(fault) => secret::note_key_fault(&fault, needs_keys, &field, faults),
        }
        rights(source, &field, faults);
    }
}

fn rights(source: &Source, field: &dyn Fn(&str) -> String, faults: &mut Vec<Fault>) {
    for origin in &source.origins {
        if origin != "*" && !origin.starts_with("https://") && !origin.starts_with("http://") {
            faults.push(Fault::new(
                field("origins"),
                format!("`{origin}` is no origin: it needs its scheme"),
                format!("origins = [\"https://{origin}\"]"),
            ));
        }
    }
    if source.may_backdate && !source.trusted {
        faults.push(Fault::new(
            field("may_backdate"),
            "needs trusted = true",
            "history comes from a server, whose key is secret",
        ));
    }
}
