use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Fault, KeyFault, Secret, secret};

/// The shortest key in characters: 128 bits in hex.
const SHORTEST: usize = 32;

/// A key that signs the pixel's cookies. All hold at once, and the newest one signs. With none configured, momsflow makes
/// one and keeps it in `<data_dir>/userprint-keys`; several hosts need the same ones.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UserprintKey {
    /// The name that its cookies carry: up to 16 lower-case letters, digits, `-` and `_`.
    #[serde(default)]
    pub id: String,
    /// The key itself, at least 32 characters at random; or `key_file`, or `key_env`. `momsflow pixel keys rotate` makes one.
    #[serde(default)]
    pub key: Option<Secret>,
    /// A file that holds the key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// An environment variable that holds the key.
    #[serde(default)]
    pub key_env: Option<String>,
    /// From when on it signs, as in `"2026-12-01T00:00:00Z"`; before, its cookies already hold. A new key must be on
    /// every host by then. Left out: always, as the oldest key.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub signs_from: Option<Timestamp>,
}

impl UserprintKey {
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

/// Collects every fault of the keys; who takes no events need not be able to read them.
pub(super) fn validate(
    keys: &[UserprintKey],
    env: &HashMap<String, String>,
    needs_keys: bool,
    faults: &mut Vec<Fault>,
) {
    let (mut ids, mut starts) = (HashSet::new(), HashSet::new());
    for (index, key) in keys.iter().enumerate() {
        let field = |name: &str| format!("userprint_keys.{index}.{name}");
        if !super::is_name(&key.id) || key.id.len() > 16 {
            faults.push(Fault::new(
                field("id"),
                "must be 1 to 16 lower-case letters, digits, `-` and `_`",
                "id = \"k1\"",
            ));
        }
        if !ids.insert(&key.id) {
            faults.push(Fault::new(
                field("id"),
                "is used twice",
                "give each key an id of its own",
            ));
        }
        if !starts.insert(key.signs_from) {
            faults.push(Fault::new(
                field("signs_from"),
                "is another key's too, so that nobody knows which one signs",
                "signs_from = \"2026-12-01T00:00:00Z\"",
            ));
        }
        match key.read_key(env) {
            Ok(secret) if secret.reveal().trim().len() < SHORTEST => faults.push(Fault::new(
                field("key"),
                format!("must have at least {SHORTEST} characters at random"),
                "`momsflow pixel keys rotate` makes one",
            )),
            Ok(_) => {}
            Err(fault) => secret::note_key_fault(&fault, needs_keys, &field, faults),
        }
    }
}
