//! The keys of the pixel's cookies, as subcommands see and turn them.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::userprint::{Ring, Standing, Userprints, kept};

/// The ring of a running process, and where it is kept.
pub struct UserprintKeys {
    pub data_dir: PathBuf,
    /// Whether the keys are the data dir's; else they are the config's.
    pub are_kept: bool,
    pub userprints: Userprints,
}

/// A key without its secret.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownKey {
    pub id: String,
    /// `signs`, `verifies`, or `waits`.
    pub standing: String,
    /// From when on it signs; left out where it always did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signs_from: Option<Timestamp>,
}

/// What is shown of a ring.
pub fn shown(ring: &Ring, now: Timestamp) -> Vec<ShownKey> {
    let one = |(key, standing): (&crate::userprint::Key, Standing)| ShownKey {
        id: key.id().to_owned(),
        standing: match standing {
            Standing::Waits => "waits",
            Standing::Signs => "signs",
            Standing::Verifies => "verifies",
        }
        .to_owned(),
        signs_from: Some(key.signs_from()).filter(|from| *from > Timestamp::MIN),
    };
    ring.standings(now).map(one).collect()
}

impl UserprintKeys {
    pub(super) fn list(&self, now: Timestamp) -> Vec<ShownKey> {
        shown(&self.userprints.ring(), now)
    }

    /// Makes a new key, writes it down, and signs with it from now on.
    pub(super) fn rotate(&self, now: Timestamp) -> Result<Vec<ShownKey>, String> {
        if !self.are_kept {
            return Err("the keys are those of the config ([[userprint_keys]])".to_owned());
        }
        let lifetime = self.userprints.terms().lifetime;
        let ring = kept::rotate(&self.data_dir, now, lifetime).map_err(|error| error.to_string())?;
        let shown = shown(&ring, now);
        self.userprints.turn(ring);
        Ok(shown)
    }
}
