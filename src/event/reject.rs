//! Refused events, as they are kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::batch::message_id;
use super::kept_scope::KeptScope;
use super::redact::redact_refused;
use super::{Payload, Policy, Reject, Rejection, Scope, event_id_for, is_placeholder, new_event_id, wire};
use crate::private::hex;

/// What a dead letter keeps of its payload, in bytes; beyond it the head, the length and a hash. The log record of
/// any acknowledged event fits: up to 1 MB of JSON by `ingest.max_event`, and ids and names that are escaped.
pub const MAX_KEPT: usize = 1 << 20;
/// What a refused payload may take in its log record, where it stands as a JSON string. With the rest of the
/// record it stays below the 1 MiB that brokers take.
const MAX_KEPT_IN_RECORD: usize = 960 * 1024;

/// Makes the record that keeps a refused event.
pub fn rejection(payload: &[u8], scope: &Scope<'_>, reject: &Reject) -> Rejection {
    let message_id = std::str::from_utf8(payload).ok().and_then(message_id);
    let message_id = message_id.filter(|id| !is_placeholder(id));
    kept(payload, scope, reject, message_id, false)
}

/// Makes the record that keeps the body of a batch that was refused as a whole.
pub fn batch_rejection(body: &[u8], scope: &Scope<'_>, reject: &Reject) -> Rejection {
    kept(body, scope, reject, None, true)
}

fn kept(
    payload: &[u8],
    scope: &Scope<'_>,
    reject: &Reject,
    message_id: Option<String>,
    batch: bool,
) -> Rejection {
    let event_id = match &message_id {
        Some(id) => event_id_for(scope.source, scope.trusted, id),
        None => new_event_id(),
    };
    let (kept, length) = kept_payload(payload, scope.policy);
    Rejection {
        v: wire::VERSION,
        rejected: reject.clone().into(),
        event_id,
        received_at: scope.received_at,
        source: scope.source.to_owned(),
        trusted: scope.trusted,
        message_id,
        origin: scope.origin,
        scope: serde_json::to_value(KeptScope::of(scope, batch)).unwrap_or_default(),
        payload: kept,
        payload_length: length as u64,
        payload_sha256: hex(&Sha256::digest(payload)),
    }
}

/// Keeps a payload without what shall not reach the log, and tells how long that is whole. Where redaction is
/// asked for and the payload cannot be read, nothing of it is kept but length and hash.
fn kept_payload(payload: &[u8], policy: &Policy) -> (Payload, usize) {
    let nothing = || (Payload::Text(String::new()), payload.len());
    match std::str::from_utf8(payload) {
        Ok(text) => redact_refused(text, policy).map_or_else(nothing, |redacted| {
            let head = head_as_json(&redacted, MAX_KEPT_IN_RECORD);
            (Payload::Text(head.to_owned()), redacted.len())
        }),
        Err(_) if policy.redact.is_empty() => {
            let head = &payload[..payload.len().min(MAX_KEPT_IN_RECORD / 4 * 3)];
            (Payload::Base64(STANDARD.encode(head)), payload.len())
        }
        Err(_) => nothing(),
    }
}

/// The head of a text that takes at most `longest` bytes as a JSON string.
fn head_as_json(text: &str, longest: usize) -> &str {
    let mut length = 0;
    let end = text.char_indices().find(|(_, char)| {
        length += match char {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..' ' => 6,
            char => char.len_utf8(),
        };
        length > longest
    });
    end.map_or(text, |(end, _)| &text[..end])
}
