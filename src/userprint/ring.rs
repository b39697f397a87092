use hmac::{Hmac, Mac as _};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;
use uuid::Uuid;

use super::cookie::{Fault, Parts, TAG, signed, whole};
use crate::config::Secret;

const DAY: i64 = 86_400;

/// A signing key. What was signed with it holds as long as it is in the ring.
#[derive(Clone)]
pub struct Key {
    id: String,
    /// Keyed once, and copied for each tag.
    mac: Hmac<Sha256>,
    signs_from: Timestamp,
}

/// Without the key itself.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("signs_from", &self.signs_from)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// A key that may sign from a moment on; before it only verifies.
    pub fn new(id: impl Into<String>, secret: &Secret, signs_from: Timestamp) -> Self {
        let mac = Hmac::new_from_slice(secret.reveal().as_bytes());
        Self {
            id: id.into(),
            mac: mac.expect("HMAC takes keys of any length"),
            signs_from,
        }
    }

    /// The id that its cookies carry.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// From when on it may sign.
    pub fn signs_from(&self) -> Timestamp {
        self.signs_from
    }

    /// The tag of a text that [`Ring::sign`] would not write.
    #[cfg(test)]
    pub(super) fn sign_for_test(&self, text: &str, domain: &str) -> String {
        let tag = self.over(text, domain).finalize().into_bytes();
        whole(String::new(), &tag[..TAG]).split_off(1)
    }

    /// NUL stands in neither part, so that no pair of text and domain is taken for another.
    fn over(&self, text: &str, domain: &str) -> Hmac<Sha256> {
        self.mac
            .clone()
            .chain_update(text.as_bytes())
            .chain_update([0])
            .chain_update(domain.as_bytes())
    }
}

/// A visitor's id out of a cookie that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub id: Uuid,
    /// Whether it ought to be signed anew: it is old, under an old key, or from the future of a clock that was wrong.
    pub is_stale: bool,
}

/// What a key of the ring does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its cookies hold, and it will sign.
    Waits,
    Signs,
    /// Its cookies hold.
    Verifies,
}

/// The keys that hold, of which the newest one signs.
#[derive(Clone, Debug)]
pub struct Ring {
    /// From the oldest to the newest; never empty.
    keys: Vec<Key>,
}

impl Ring {
    /// A ring of keys in any order. `None` without a key.
    pub fn new(mut keys: Vec<Key>) -> Option<Self> {
        keys.sort_by_key(Key::signs_from);
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// The keys, from the oldest to the newest.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// What each key does at `now`.
    pub fn standings(&self, now: Timestamp) -> impl Iterator<Item = (&Key, Standing)> {
        let signs = self.signing(now);
        self.keys.iter().enumerate().map(move |(at, key)| {
            let standing = match at.cmp(&signs) {
                std::cmp::Ordering::Less => Standing::Verifies,
                std::cmp::Ordering::Equal => Standing::Signs,
                std::cmp::Ordering::Greater => Standing::Waits,
            };
            (key, standing)
        })
    }

    /// The place of the newest key whose time has come; of the oldest while none's has.
    fn signing(&self, now: Timestamp) -> usize {
        let due = self.keys.iter().rposition(|key| key.signs_from <= now);
        due.unwrap_or(0)
    }

    /// Makes the cookie of a visitor for a domain.
    pub fn sign(&self, id: Uuid, domain: &str, now: Timestamp) -> String {
        let key = &self.keys[self.signing(now)];
        let signed = signed(&key.id, id, day(now));
        let tag = key.over(&signed, domain).finalize().into_bytes();
        whole(signed, &tag[..TAG])
    }

    /// Verifies a cookie. The tag is compared in constant time; which keys there are is no secret.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify(
        &self,
        cookie: &str,
        domain: &str,
        now: Timestamp,
        lifetime: SignedDuration,
        renew_after: SignedDuration,
    ) -> Result<Verified, Fault> {
        let parts = Parts::read(cookie).ok_or(Fault::Malformed)?;
        let known = |key: &Key| key.id == parts.kid;
        let at = self.keys.iter().position(known).ok_or(Fault::UnknownKey)?;
        self.keys[at]
            .over(parts.signed, domain)
            .verify_truncated_left(&parts.tag)
            .map_err(|_| Fault::WrongTag)?;
        let age = day(now) - parts.day;
        if age > lifetime.as_secs() / DAY {
            return Err(Fault::Expired);
        }
        let is_old = !(0..(renew_after.as_secs() / DAY).max(1)).contains(&age);
        Ok(Verified {
            id: parts.id,
            is_stale: is_old || at != self.signing(now),
        })
    }
}

fn day(at: Timestamp) -> i64 {
    at.as_second().div_euclid(DAY)
}
