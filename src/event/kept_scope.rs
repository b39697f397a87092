use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::context::truncate;
use super::redact::redact_context;
use super::{Client, Defaults, EventKind, Hit, Origin, Policy, Rejection, Scope};
use crate::config::IpPolicy;

/// The longest batch context that is kept beside each refused event.
const MAX_KEPT_CONTEXT: usize = 16 * 1024;
/// The longest of the other defaults.
const MAX_KEPT_DEFAULT: usize = 1024;

/// A [`Scope`] as a rejection keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "snake_case")]
pub(super) struct KeptScope {
    /// Whether the payload is the whole body of a batch and not an event.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub batch: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<EventKind>,
    /// JSON texts, as the batch had them.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integrations: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<std::net::IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    gpc: bool,
    may_backdate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hit: Option<Hit>,
}

impl KeptScope {
    pub(super) fn of(scope: &Scope<'_>, batch: bool) -> Self {
        let context = scope
            .defaults
            .context
            .filter(|text| text.len() <= MAX_KEPT_CONTEXT)
            .and_then(|text| redact_context(text, scope.policy));
        let short = |text: Option<&str>| {
            text.filter(|text| text.len() <= MAX_KEPT_DEFAULT)
                .map(str::to_owned)
        };
        Self {
            batch,
            kind: scope.kind,
            context: context.map(Cow::into_owned),
            integrations: short(scope.defaults.integrations),
            sent_at: short(scope.defaults.sent_at),
            timestamp: short(scope.defaults.timestamp),
            ip: match scope.policy.ip {
                IpPolicy::Truncate => scope.client.ip.map(truncate),
                IpPolicy::Full if scope.client.has_person() => scope.client.ip,
                IpPolicy::Full => scope.client.ip.map(truncate),
                IpPolicy::Drop => None,
            },
            user_agent: short(scope.client.user_agent),
            gpc: scope.client.gpc,
            may_backdate: scope.may_backdate,
            hit: scope.client.hit,
        }
    }

    /// The scope of a single event that is replayed.
    pub(super) fn scope<'a>(&'a self, rejection: &'a Rejection, policy: &'a Policy) -> Scope<'a> {
        Scope {
            source: &rejection.source,
            trusted: rejection.trusted,
            kind: self.kind,
            origin: match rejection.origin {
                Origin::Imported => Origin::Imported,
                _ => Origin::Replayed,
            },
            may_backdate: self.may_backdate,
            received_at: rejection.received_at,
            defaults: Defaults {
                context: self.context.as_deref(),
                integrations: self.integrations.as_deref(),
                sent_at: self.sent_at.as_deref(),
                timestamp: self.timestamp.as_deref(),
            },
            client: Client {
                ip: self.ip,
                user_agent: self.user_agent.as_deref(),
                gpc: self.gpc,
                hit: self.hit,
            },
            policy,
        }
    }
}
