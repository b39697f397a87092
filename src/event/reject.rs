//! Refused events: how they are kept, and how they are tried again.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::batch::{head, message_id};
use super::context::truncate;
use super::redact::{redact_context, redact_refused};
use super::{
    Client, Decoded, Defaults, EventKind, Origin, Payload, Policy, Reject, Rejection, Scope, decode,
    event_id_for, is_placeholder, new_event_id, wire,
};
use crate::config::IpPolicy;
use crate::private::hex;

/// What is kept of a refused payload, in bytes; beyond it its head, its length and its hash.
pub const MAX_KEPT: usize = 256 * 1024;
/// The longest batch context that is kept beside each refused event.
const MAX_KEPT_CONTEXT: usize = 16 * 1024;
/// The longest of the other defaults.
const MAX_KEPT_DEFAULT: usize = 1024;

/// A [`Scope`] as a rejection keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "snake_case")]
struct KeptScope {
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
}

impl KeptScope {
    fn of(scope: &Scope<'_>) -> Self {
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
            kind: scope.kind,
            context: context.map(Cow::into_owned),
            integrations: short(scope.defaults.integrations),
            sent_at: short(scope.defaults.sent_at),
            timestamp: short(scope.defaults.timestamp),
            ip: match scope.policy.ip {
                IpPolicy::Truncate => scope.client.ip.map(truncate),
                IpPolicy::Full => scope.client.ip,
                IpPolicy::Drop => None,
            },
            user_agent: short(scope.client.user_agent),
            gpc: scope.client.gpc,
            may_backdate: scope.may_backdate,
        }
    }

    fn defaults(&self) -> Defaults<'_> {
        Defaults {
            context: self.context.as_deref(),
            integrations: self.integrations.as_deref(),
            sent_at: self.sent_at.as_deref(),
            timestamp: self.timestamp.as_deref(),
        }
    }
}

/// Makes the record that keeps a refused event.
pub fn rejection(payload: &[u8], scope: &Scope<'_>, reject: &Reject) -> Rejection {
    let text = std::str::from_utf8(payload).ok();
    let message_id = text.and_then(message_id).filter(|id| !is_placeholder(id));
    let event_id = match &message_id {
        Some(id) => event_id_for(scope.source, scope.trusted, id),
        None => new_event_id(),
    };
    let (kept, length) = kept_payload(payload, text, scope.policy);
    Rejection {
        v: wire::VERSION,
        rejected: reject.clone().into(),
        event_id,
        received_at: scope.received_at,
        source: scope.source.to_owned(),
        trusted: scope.trusted,
        message_id,
        origin: scope.origin,
        scope: serde_json::to_value(KeptScope::of(scope)).unwrap_or_default(),
        payload: kept,
        payload_length: length as u64,
        payload_sha256: hex(&Sha256::digest(payload)),
    }
}

/// Keeps a payload without what shall not reach the log, and tells how long that is whole. Where redaction is
/// asked for and the payload cannot be read, nothing of it is kept but length and hash.
fn kept_payload(payload: &[u8], text: Option<&str>, policy: &Policy) -> (Payload, usize) {
    let nothing = || (Payload::Text(String::new()), payload.len());
    match text {
        Some(text) => redact_refused(text, policy).map_or_else(nothing, |redacted| {
            (
                Payload::Text(head(&redacted, MAX_KEPT).to_owned()),
                redacted.len(),
            )
        }),
        None if policy.redact.is_empty() => {
            let head = &payload[..payload.len().min(MAX_KEPT)];
            (Payload::Base64(STANDARD.encode(head)), payload.len())
        }
        None => nothing(),
    }
}

/// Why a dead letter could not be sent again.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReplayError {
    #[error("the payload is no text")]
    NotText,
    #[error("the kept scope cannot be read: {0}")]
    Scope(String),
    #[error(transparent)]
    Rejected(#[from] Reject),
}

/// Decodes a dead letter's payload again, as ingest did when it came, with `event_id` and `received_at`
/// unchanged; an import's `received_at` is its timestamp, as ever. `scope` is [`Rejection::scope`], and
/// `rejection.payload` may have been mended since.
///
/// # Errors
/// The fault that the payload still has.
pub fn replay(rejection: &Rejection, policy: &Policy) -> Result<Vec<u8>, ReplayError> {
    let Payload::Text(text) = &rejection.payload else {
        return Err(ReplayError::NotText);
    };
    let kept =
        KeptScope::deserialize(&rejection.scope).map_err(|error| ReplayError::Scope(error.to_string()))?;
    for default in [&kept.context, &kept.integrations].into_iter().flatten() {
        super::scan_object(default, |_, _, _| ())?;
    }
    let origin = match rejection.origin {
        Origin::Imported => Origin::Imported,
        _ => Origin::Replayed,
    };
    let scope = Scope {
        source: &rejection.source,
        trusted: rejection.trusted,
        kind: kept.kind,
        origin,
        may_backdate: kept.may_backdate,
        received_at: rejection.received_at,
        defaults: kept.defaults(),
        client: Client {
            ip: kept.ip,
            user_agent: kept.user_agent.as_deref(),
            gpc: kept.gpc,
        },
        policy,
    };
    let Decoded { mut event, .. } = decode(text, &scope)?;
    event.event_id = rejection.event_id;
    Ok(wire::encode_event(&event))
}
