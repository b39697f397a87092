//! Who a request comes from.

use cookie::Cookie;
use metrics::counter;
use uuid::Uuid;

use super::Pixel;
use super::cookies::{Attributes, Brought, Choice};
use crate::config::Consent;
use crate::event::Hit;
use crate::http::{Gate, Head};
use crate::telemetry::metric;
use crate::userprint::{Fault, State, Verified};

/// A request's visitor, and the cookies that it is answered with.
pub(super) struct Visitor {
    pub(super) hit: Hit,
    pub(super) cookies: Vec<Cookie<'static>>,
}

impl Pixel {
    pub(super) fn attributes(&self, gate: &Gate, head: &dyn Head) -> Attributes<'_> {
        Attributes::new(&self.config.cookie, gate.scheme(head))
    }

    /// Finds out who a request comes from. Who does not want to be known is not looked at.
    pub(super) fn visitor(&self, gate: &Gate, head: &dyn Head) -> Visitor {
        let attributes = self.attributes(gate, head);
        let brought = Brought::read(head, &attributes);
        let has_choice = brought.choice.is_some();
        if brought.choice == Some(Choice::OptOut) || self.says_no(head) {
            let mut cookies = Vec::new();
            if brought.choice == Some(Choice::OptOut) {
                // Each visit keeps the opt-out as long again.
                cookies.push(attributes.choice(Choice::OptOut));
            }
            if !brought.userprints.is_empty() {
                cookies.push(attributes.removal());
            }
            return visitor(head, None, State::Optout, cookies);
        }
        if self.config.consent == Consent::Required && !has_choice {
            return visitor(head, None, State::Absent, Vec::new());
        }
        self.known(head, &attributes, &brought)
    }

    fn known(&self, head: &dyn Head, attributes: &Attributes<'_>, brought: &Brought) -> Visitor {
        let (host, now) = (host(head), self.clock.now());
        let renewed = |id| vec![attributes.userprint(self.userprints.sign(id, host, now))];
        match self.verified(head, brought) {
            Some(Ok(Verified { id, is_stale: false })) => {
                visitor(head, Some(id), State::Returned, Vec::new())
            }
            Some(Ok(Verified { id, .. })) => visitor(head, Some(id), State::Resigned, renewed(id)),
            refused => {
                let state = match refused {
                    None | Some(Err(Fault::Expired)) => State::Minted,
                    _ => State::Forged,
                };
                let (id, value) = self.userprints.mint(host, now);
                visitor(head, Some(id), state, vec![attributes.userprint(value)])
            }
        }
    }

    /// The first cookie that holds, else what is wrong with the first one; `None` where none came.
    fn verified(&self, head: &dyn Head, brought: &Brought) -> Option<Result<Verified, Fault>> {
        let (host, now) = (host(head), self.clock.now());
        let mut fault = None;
        for cookie in &brought.userprints {
            match self.userprints.verify(cookie, host, now) {
                Ok(verified) => return Some(Ok(verified)),
                Err(refused) => {
                    counter!(metric::USERPRINT_REFUSED_TOTAL, "fault" => refused.as_str()).increment(1);
                    fault.get_or_insert(refused);
                }
            }
        }
        fault.map(Err)
    }

    /// The id that a request's cookie holds, whatever the visitor chose: who wants to be forgotten has to be found.
    pub(super) fn id_to_forget(&self, head: &dyn Head, attributes: &Attributes<'_>) -> Option<Uuid> {
        let brought = Brought::read(head, attributes);
        let verified = self.verified(head, &brought)?.ok()?;
        Some(verified.id)
    }

    /// Whether the browser says for its user that nobody shall know them.
    fn says_no(&self, head: &dyn Head) -> bool {
        head.header("sec-gpc") == Some("1") || self.config.honour_dnt && head.header("dnt") == Some("1")
    }
}

fn visitor(head: &dyn Head, userprint: Option<Uuid>, state: State, cookies: Vec<Cookie<'static>>) -> Visitor {
    // The older two are Safari's and Firefox's.
    let is_prefetch = ["sec-purpose", "purpose", "x-moz"]
        .into_iter()
        .filter_map(|name| head.header(name))
        .any(|purpose| purpose.contains("prefetch") || purpose == "preview");
    Visitor {
        hit: Hit {
            userprint,
            state,
            prefetch: is_prefetch,
        },
        cookies,
    }
}

/// The host that was asked, as the browser names it.
pub(super) fn host(head: &dyn Head) -> &str {
    head.header("host").unwrap_or_default()
}
