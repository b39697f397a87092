use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Fault, Ring, Verified};
use crate::config;

/// What the config says of cookies, beside their keys.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The domain that cookies are for; empty: each for the host that made it.
    pub domain: String,
    /// How long a cookie holds after it was signed.
    pub lifetime: SignedDuration,
    /// How old a cookie may be before it is signed anew.
    pub renew_after: SignedDuration,
}

impl Terms {
    /// What the configuration says.
    pub fn new(cookie: &config::PixelCookie) -> Self {
        let days = |days: u16| SignedDuration::from_hours(24 * i64::from(days));
        Self {
            domain: cookie.domain.clone(),
            lifetime: days(cookie.lifetime_days),
            renew_after: days(cookie.renew_after_days),
        }
    }
}

/// Makes and verifies the userprints of a process. Clones share one ring.
#[derive(Clone, Debug)]
pub struct Userprints {
    ring: Arc<RwLock<Arc<Ring>>>,
    terms: Arc<Terms>,
}

impl Userprints {
    /// Userprints under these keys.
    pub fn new(ring: Ring, terms: Terms) -> Self {
        Self {
            ring: Arc::new(RwLock::new(Arc::new(ring))),
            terms: Arc::new(terms),
        }
    }

    /// The ring in use.
    pub fn ring(&self) -> Arc<Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another ring into use, for all clones.
    pub fn turn(&self, ring: Ring) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }

    /// The terms.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// A new visitor's id with its cookie. `host` is the one that was asked, with or without its port.
    pub fn mint(&self, host: &str, now: Timestamp) -> (Uuid, String) {
        let id = Uuid::new_v4();
        (id, self.sign(id, host, now))
    }

    /// The cookie of a known visitor.
    pub fn sign(&self, id: Uuid, host: &str, now: Timestamp) -> String {
        self.ring().sign(id, &self.domain(host), now)
    }

    /// Verifies a cookie that came to a host.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify(&self, cookie: &str, host: &str, now: Timestamp) -> Result<Verified, Fault> {
        let Terms {
            lifetime,
            renew_after,
            ..
        } = *self.terms;
        self.ring()
            .verify(cookie, &self.domain(host), now, lifetime, renew_after)
    }

    /// A host to verify with where none is known; there is one if cookies are not bound to hosts.
    pub fn any_host(&self) -> Option<&str> {
        (!self.terms.domain.is_empty()).then_some("")
    }

    /// What cookies of a host are signed for.
    fn domain(&self, host: &str) -> String {
        if !self.terms.domain.is_empty() {
            return self.terms.domain.clone();
        }
        let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let name = match host.rsplit_once(':') {
            Some((name, port)) if is_port(port) => name,
            _ => host,
        };
        name.trim_end_matches('.').to_ascii_lowercase()
    }
}
