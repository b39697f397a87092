//! Rebuilds an event's context: the client's object, the batch's defaults, and what the request tells.

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::field::{Member, inner};
use super::object::Object;
use super::redact::redact;
use super::visitor::{Forwarded, page_url};
use super::{JsonType, Scope, is_bot, scan_object, unescape};
use crate::config::IpPolicy;

/// What the event itself contributes, as JSON text.
#[derive(Clone, Copy, Default)]
pub(super) struct Parts<'a> {
    /// Members of the event's own context.
    pub context: &'a [Member<'a>],
    /// Page's and screen's top-level `category`, which has no column of its own.
    pub category: Option<&'a str>,
    pub integrations: Option<&'a str>,
    /// Whether the context's traits are the event's own.
    pub takes_traits: bool,
}

pub(super) struct Rebuilt {
    pub text: Option<String>,
    /// Traits that were taken out of the context.
    pub traits: Option<String>,
    pub is_bot: bool,
    /// The forwarded cookie of the visitor, where there was one and it could be verified or refused.
    pub forwarded: Option<Forwarded>,
}

/// Builds the stored context. The text of its parts was scanned before.
pub(super) fn rebuild(parts: &Parts<'_>, scope: &Scope<'_>) -> Rebuilt {
    let mut builder = Builder::new(parts, scope);
    builder.copy(parts.context);
    if let Some(defaults) = scope.defaults.context {
        builder.copy(&members(defaults));
    }
    let is_bot = builder.user_agent();
    builder.ip();
    let forwarded = builder.userprint();
    if scope.client.gpc && !scope.trusted {
        builder.out.raw("gpc", "true");
    }
    if let Some(category) = parts.category {
        builder.out.raw("category", category);
    }
    if let Some(integrations) = parts.integrations.or(scope.defaults.integrations)
        && integrations.len() > 2
    {
        builder.out.raw("integrations", integrations);
    }
    Rebuilt {
        traits: builder.traits.take(),
        text: builder.finish(),
        is_bot,
        forwarded,
    }
}

/// The members of a context that was scanned before.
fn members(context: &str) -> Vec<Member<'_>> {
    let mut members = Vec::new();
    // An Err is not possible here, and what was read before it would be right all the same.
    let _ = scan_object(context, |key, value, json_type| {
        members.push((key, value, json_type))
    });
    members
}

struct Builder<'a> {
    out: Object,
    scope: &'a Scope<'a>,
    ip: Option<Cow<'a, str>>,
    user_agent: Option<Cow<'a, str>>,
    userprint: Option<Cow<'a, str>>,
    /// The member `page`, as JSON text.
    page: Option<&'a str>,
    says_gpc: bool,
    takes_traits: bool,
    traits: Option<String>,
    overrides_gpc: bool,
    /// Whether what is said of userprints is momsflow's own.
    reserves_userprint: bool,
    has_defaults: bool,
    /// Names that the event's own context has, where the batch has defaults for the others.
    taken: HashSet<Cow<'a, str>>,
}

impl<'a> Builder<'a> {
    fn new(parts: &Parts<'a>, scope: &'a Scope<'a>) -> Self {
        let own = parts
            .context
            .iter()
            .map(|(key, value, _)| key.len() + value.len() + 4);
        let expected = own.sum::<usize>() + scope.defaults.context.map_or(0, str::len);
        Self {
            out: Object::with_room(expected + 256),
            scope,
            ip: None,
            user_agent: None,
            userprint: None,
            page: None,
            says_gpc: scope.client.gpc && !scope.trusted,
            takes_traits: parts.takes_traits,
            traits: None,
            overrides_gpc: scope.client.gpc && !scope.trusted,
            reserves_userprint: scope.policy.userprints.is_some() || scope.client.hit.is_some(),
            has_defaults: scope.defaults.context.is_some(),
            taken: HashSet::new(),
        }
    }

    /// Copies an object's members, except those that an object copied before had.
    fn copy(&mut self, members: &[Member<'a>]) {
        let mut names = Vec::new();
        for (key, value, json_type) in members {
            let name = unescape(key);
            if self.taken.contains(&name) {
                continue;
            }
            if self.has_defaults {
                names.push(name.clone());
            }
            self.member(&name, key, value, *json_type);
        }
        self.taken.extend(names);
    }

    fn member(&mut self, name: &str, key: &str, value: &'a str, json_type: JsonType) {
        match (name, json_type) {
            ("ip", JsonType::String) => self.ip = Some(unescape(inner(value))),
            ("ip", _) | ("userAgent", JsonType::Null) => {}
            ("userAgent", JsonType::String) => {
                self.user_agent = Some(unescape(inner(value)));
                self.out.raw(key, value);
            }
            ("gpc", _) if self.overrides_gpc => {}
            ("gpc", JsonType::Boolean) => {
                self.says_gpc = value == "true";
                self.out.raw(key, value);
            }
            ("userprint", JsonType::String) if self.reserves_userprint => {
                self.userprint = Some(unescape(inner(value)));
            }
            ("userprint" | "userprint_state", _) if self.reserves_userprint => {}
            ("prefetch", _) if self.scope.client.hit.is_some() => {}
            ("page", JsonType::Object) => {
                self.page = Some(value);
                self.out.raw(key, value);
            }
            ("traits", JsonType::Object) => {
                let redacted = redact(value, &self.scope.policy.redact);
                match self.takes_traits {
                    true => self.traits = Some(redacted.into_owned()),
                    false => self.out.raw(key, &redacted),
                }
            }
            _ => self.out.raw(key, value),
        }
    }

    /// Fills the user agent in where the client is a browser or an app, and judges it.
    fn user_agent(&mut self) -> bool {
        match (&self.user_agent, self.scope.client.user_agent) {
            (Some(agent), _) if !agent.is_empty() => is_bot(agent),
            (_, Some(header)) if !self.scope.trusted => {
                self.out.text("userAgent", header);
                is_bot(header)
            }
            _ => false,
        }
    }

    /// Keeps of the address what the policy allows. A server's own address is not its visitor's, so that only
    /// untrusted sources get the request's.
    fn ip(&mut self) {
        let policy = match self.scope.policy.ip {
            // Who is not to be known is not to be found by an address.
            IpPolicy::Full if !self.scope.client.has_person() => IpPolicy::Truncate,
            policy => policy,
        };
        if policy == IpPolicy::Drop {
            return;
        }
        let given = self.ip.take();
        let address = match &given {
            Some(text) => parse_ip(text),
            None => self.scope.client.ip.filter(|_| !self.scope.trusted),
        };
        match (policy, address) {
            (IpPolicy::Truncate, Some(address)) => {
                self.out.text("ip", &truncate(address).to_string());
            }
            (IpPolicy::Full, Some(address)) => self.out.text("ip", &address.to_canonical().to_string()),
            // What is no address cannot be truncated, so it is not kept.
            _ => {}
        }
    }

    /// Says what is known of the visitor, in place of the cookie: whoever reads events could else send it.
    fn userprint(&mut self) -> Option<Forwarded> {
        if let Some(hit) = self.scope.client.hit {
            self.out.verbatim("userprint_state", hit.state.as_str());
            if hit.prefetch {
                self.out.raw("prefetch", "true");
            }
            return None;
        }
        let (userprints, cookie) = (self.scope.policy.userprints.as_ref()?, self.userprint.take()?);
        let url = self.page.and_then(page_url);
        let forwarded = Forwarded::verify(userprints, &cookie, url.as_deref(), self.says_gpc, self.scope);
        self.out.verbatim("userprint_state", forwarded.state.as_str());
        if let Some(id) = forwarded.id {
            self.out.uuid("userprint", id);
        }
        Some(forwarded)
    }

    fn finish(self) -> Option<String> {
        (!self.out.is_empty()).then(|| self.out.finish())
    }
}

/// Reads an address, also with a port, in brackets, or the first of a forwarding list.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    let first = text.split(',').next().unwrap_or_default().trim();
    first
        .parse()
        .or_else(|_| first.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|_| first.trim_matches(['[', ']']).parse())
        .ok()
}

/// Cuts IPv4 to /24 and IPv6 to /48.
pub(super) fn truncate(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    }
}
