//! Keys that momsflow makes for itself, kept in the data dir with mode 600.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Key, Ring};
use crate::config::Secret;
use crate::private::{hex, write_whole};

/// The file in the data dir.
pub const FILE: &str = "userprint-keys";

/// Why the kept keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} cannot be understood: {reason}\n\
         \n\
         hint: put it back from a backup; without it every visitor gets a new id",
        path.display()
    )]
    Damaged { path: PathBuf, reason: String },
}

/// A key as the file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptKey {
    id: String,
    key: String,
    signs_from: Timestamp,
}

/// A key that was just made.
pub struct Made {
    pub id: String,
    pub secret: Secret,
}

/// Makes a key at random; its id is derived from it, so that two hosts do not give one id to two keys.
pub fn make() -> Made {
    let random: [u8; 32] = rand::random();
    let key = URL_SAFE_NO_PAD.encode(random);
    let digest = Sha256::digest(key.as_bytes());
    Made {
        id: hex(&digest[..4]),
        secret: Secret::new(key),
    }
}

/// The kept keys; `None` where none was made yet.
///
/// # Errors
/// A file that cannot be read.
pub fn read(data_dir: &Path) -> Result<Option<Ring>, KeptError> {
    Ok(ring(&read_file(data_dir)?))
}

/// The kept keys, the first of them made now where there is none. The caller holds the data dir's lock.
///
/// # Errors
/// A file that cannot be read or written.
pub fn read_or_make(data_dir: &Path, now: Timestamp) -> Result<Ring, KeptError> {
    match read(data_dir)? {
        Some(ring) => Ok(ring),
        None => rotate(data_dir, now, SignedDuration::ZERO),
    }
}

/// Makes a key that signs from now on, and drops those whose cookies are all out of date. The caller holds the data
/// dir's lock.
///
/// # Errors
/// A file that cannot be read or written.
pub fn rotate(data_dir: &Path, now: Timestamp, lifetime: SignedDuration) -> Result<Ring, KeptError> {
    let mut keys = read_file(data_dir)?;
    let Made { id, secret } = make();
    keys.push(KeptKey {
        id,
        key: secret.reveal().to_owned(),
        signs_from: now,
    });
    keys.sort_by_key(|key| key.signs_from);
    let successors: Vec<_> = keys.iter().skip(1).map(|key| key.signs_from).collect();
    // A day more, since a cookie tells only the day of its signature.
    let margin = lifetime.saturating_add(SignedDuration::from_hours(48));
    let is_past = |replaced_at: &Timestamp| now.duration_since(*replaced_at) > margin;
    let outlived = successors.iter().take_while(|at| is_past(at)).count();
    keys.drain(..outlived);
    let path = data_dir.join(FILE);
    let text = serde_json::to_string_pretty(&keys).expect("texts and times are JSON");
    write_whole(&path, &text).map_err(|source| KeptError::Io {
        path: path.clone(),
        source,
    })?;
    ring(&keys).ok_or(KeptError::Damaged {
        path,
        reason: "it holds no key".to_owned(),
    })
}

fn ring(keys: &[KeptKey]) -> Option<Ring> {
    let key = |kept: &KeptKey| Key::new(&*kept.id, &Secret::new(&*kept.key), kept.signs_from);
    Ring::new(keys.iter().map(key).collect())
}

fn read_file(data_dir: &Path) -> Result<Vec<KeptKey>, KeptError> {
    let path = data_dir.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(KeptError::Io { path, source }),
    };
    serde_json::from_str(&text).map_err(|error| KeptError::Damaged {
        path,
        // Not serde's own message, which may quote the key.
        reason: format!("line {}, column {}", error.line(), error.column()),
    })
}
