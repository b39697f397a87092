//! The keys of the pixel's cookies: the config's, else those in the data dir.

use std::collections::HashMap;

use anyhow::Context as _;
use jiff::Timestamp;
use tracing::warn;

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::userprint::{Key, Ring, Standing, Terms, Userprints, kept};

/// What is wrong with kept keys where others serve the same visitors.
const OWN_KEYS: &str = "the userprint keys are this host's own: where several hosts serve the pixel or ingest, name the \
                        same [[userprint_keys]] on all of them, or visitors get a new id from each";

pub(super) fn open(
    config: &Config,
    data_dir: &DataDir,
    env: &HashMap<String, String>,
    now: Timestamp,
) -> anyhow::Result<Userprints> {
    let terms = Terms::new(&config.pixel.cookie);
    if let Some(ring) = configured(config, env)? {
        return Ok(Userprints::new(ring, terms));
    }
    if may_be_several(config) {
        warn!("{OWN_KEYS}");
    }
    Ok(Userprints::new(kept::read_or_make(data_dir.path(), now)?, terms))
}

/// Says which keys a serve would use, without making any.
///
/// # Errors
/// Keys that cannot be read.
pub fn foresee(config: &Config, env: &HashMap<String, String>, now: Timestamp) -> anyhow::Result<String> {
    let told = |ring: &Ring| {
        let signs = ring
            .standings(now)
            .find(|(_, standing)| *standing == Standing::Signs);
        let id = signs.map_or("none", |(key, _)| key.id());
        format!("{} of which {id} signs", ring.keys().len())
    };
    if let Some(ring) = configured(config, env)? {
        return Ok(format!("{}, from the configuration", told(&ring)));
    }
    let path = config.data_dir.join(kept::FILE);
    let mut says = match kept::read(&config.data_dir)? {
        Some(ring) => format!("{}, in {}", told(&ring), path.display()),
        None => format!("serve will make one, in {}", path.display()),
    };
    if may_be_several(config) {
        says = format!("{says}\n\nnote: {OWN_KEYS}");
    }
    Ok(says)
}

/// Whether there may be other hosts that know the same visitors.
fn may_be_several(config: &Config) -> bool {
    config.kafka.is_used() && config.takes_events()
}

/// The ring of the config's keys; `None` where it has none.
fn configured(config: &Config, env: &HashMap<String, String>) -> anyhow::Result<Option<Ring>> {
    let key = |key: &crate::config::UserprintKey| {
        let secret = key
            .read_key(env)
            .with_context(|| format!("the userprint key {}", key.id))?;
        Ok(Key::new(
            &*key.id,
            &secret,
            key.signs_from.unwrap_or(Timestamp::MIN),
        ))
    };
    let keys: anyhow::Result<Vec<_>> = config.userprint_keys.iter().map(key).collect();
    Ok(Ring::new(keys?))
}
