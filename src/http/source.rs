use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::{self, KeyFault, Secret};
use crate::private::hex;

/// The source of the one key that there is without `[[sources]]`.
pub const DEFAULT_SOURCE: &str = "default";

/// A write key's owner: who sends, and what it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    pub trusted: bool,
    pub origins: Vec<String>,
    pub may_backdate: bool,
}

impl Source {
    /// Whether pages of this origin may send with its key.
    pub fn allows(&self, origin: &str) -> bool {
        self.origins
            .iter()
            .any(|allowed| allowed == "*" || allowed.trim_end_matches('/').eq_ignore_ascii_case(origin))
    }
}

/// Why a source's key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the key of the source {name}: {fault}")]
    Fault { name: String, fault: KeyFault },
    #[error("the sources {0} and {1} have the same key")]
    Shared(String, String),
}

/// The write keys and their sources.
///
/// Keys are kept and found by their SHA-256, so that the time of a look-up tells nothing about a key.
#[derive(Debug, Default)]
pub struct Sources {
    by_hash: HashMap<[u8; 32], Arc<Source>>,
    lent: RwLock<Option<Lent>>,
}

/// A source that is there for a while, under a key that nobody wrote down.
#[derive(Debug)]
struct Lent {
    key: Secret,
    hash: [u8; 32],
    source: Arc<Source>,
}

impl Sources {
    /// Reads the keys of the configured sources from config, files and environment.
    ///
    /// # Errors
    /// A key that cannot be read, is missing, or is used twice.
    pub fn load(sources: &[config::Source], env: &HashMap<String, String>) -> Result<Self, KeyError> {
        let mut table = Self::default();
        for source in sources {
            let key = source.read_key(env).map_err(|fault| KeyError::Fault {
                name: source.name.clone(),
                fault,
            })?;
            let entry = Source {
                name: source.name.clone(),
                trusted: source.trusted,
                origins: source.origins.clone(),
                may_backdate: source.may_backdate,
            };
            table.add(&key, entry)?;
        }
        Ok(table)
    }

    /// Adds a source under its key.
    ///
    /// # Errors
    /// Where another source has the same key.
    pub fn add(&mut self, key: &Secret, source: Source) -> Result<(), KeyError> {
        let name = source.name.clone();
        match self.by_hash.insert(hash(key.reveal()), Arc::new(source)) {
            None => Ok(()),
            Some(other) => Err(KeyError::Shared(other.name.clone(), name)),
        }
    }

    /// The source that a key belongs to.
    pub fn find(&self, key: &str) -> Option<Arc<Source>> {
        let hash = hash(key);
        if let Some((known, source)) = self.by_hash.get_key_value(&hash) {
            return bool::from(known.ct_eq(&hash)).then(|| Arc::clone(source));
        }
        let lent = self.lent.read().unwrap_or_else(PoisonError::into_inner);
        let lent = lent.as_ref().filter(|lent| bool::from(lent.hash.ct_eq(&hash)));
        lent.map(|lent| Arc::clone(&lent.source))
    }

    /// Lends a source a key, which holds until it is taken back or the process ends. There is one such source: as
    /// long as it is lent, everybody who asks gets the same key.
    pub fn lend(&self, source: Source) -> Secret {
        let mut lent = self.lent.write().unwrap_or_else(PoisonError::into_inner);
        let lent = lent.get_or_insert_with(|| {
            let key = hex(&rand::random::<[u8; 24]>());
            Lent {
                hash: hash(&key),
                key: Secret::new(key),
                source: Arc::new(source),
            }
        });
        lent.key.clone()
    }

    /// Takes the key of [`Sources::lend`] back: whoever still sends with it gets 401.
    pub fn take_back(&self) {
        *self.lent.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether pages of an origin may send with any key. A preflight does not say which key will come.
    pub fn any_allows(&self, origin: &str) -> bool {
        self.by_hash
            .values()
            .any(|source| !source.trusted && source.allows(origin))
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn source(name: &str) -> Source {
        Source {
            name: name.to_owned(),
            trusted: false,
            origins: vec!["https://example.com".to_owned()],
            may_backdate: false,
        }
    }

    #[test]
    fn keys_find_their_source_and_are_not_shared() {
        let mut sources = Sources::default();
        sources.add(&Secret::new("k1"), source("web")).unwrap();
        assert_eq!(sources.find("k1").unwrap().name, "web");
        assert!(sources.find("k2").is_none() && sources.find("").is_none());
        assert!(sources.any_allows("https://example.com") && !sources.any_allows("https://evil.example"));
        assert!(matches!(
            sources.add(&Secret::new("k1"), source("app")),
            Err(KeyError::Shared(..))
        ));
    }

    #[test]
    fn a_lent_key_holds_until_it_is_taken_back() {
        let sources = Sources::default();
        let key = sources.lend(source("demo"));
        assert_eq!(sources.lend(source("demo")), key);
        assert_eq!(sources.find(key.reveal()).unwrap().name, "demo");
        sources.take_back();
        assert!(sources.find(key.reveal()).is_none());
        assert_ne!(sources.lend(source("demo")), key);
    }
}
