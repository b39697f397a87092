//! Mends dead letters, to be sent again with their event_id and received_at unchanged.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::assign::{Assignments, apply};
use crate::broker::Record;
use crate::event::wire::{self, WireRecord};
use crate::event::{Origin, Payload, Policy, RejectedBecause, Rejection, is_within, replay, validate};
use crate::store::dead_letters::Letter;

/// Decodes a letter again, mended by `set`, and returns its log records: one, but for a batch that was kept whole.
///
/// # Errors
/// A sentence for people: what is still wrong with it.
pub(super) fn mend(
    letter: &Letter,
    set: &Assignments,
    policy: &Policy,
    now: Timestamp,
) -> Result<Vec<Record>, String> {
    if letter.payload_length > letter.payload.len() as i64 {
        return Err("only its head was kept, it was too long".to_owned());
    }
    let text = std::str::from_utf8(&letter.payload).map_err(|_| "its payload is no text".to_owned())?;
    let text = apply(text, set)?;
    let values = match letter.stage.as_str() {
        "ingest" => replay(&rejection(letter, text), policy).map_err(|error| error.to_string())?,
        _ => vec![again(&text)?],
    };
    values
        .into_iter()
        .map(|value| keyed(value, policy, now))
        .collect()
}

fn keyed(value: Vec<u8>, policy: &Policy, now: Timestamp) -> Result<Record, String> {
    let key = match wire::decode(&value) {
        Ok(WireRecord::Event(event)) => {
            check_time(event.received_at, policy, now)?;
            Bytes::copy_from_slice(event.person_key().as_bytes())
        }
        _ => Bytes::new(),
    };
    Ok(Record {
        key,
        value: value.into(),
    })
}

/// Refuses what capture would refuse again by the same bounds.
fn check_time(received_at: Timestamp, policy: &Policy, now: Timestamp) -> Result<(), String> {
    if is_within(received_at, policy.backdate_from, now) {
        return Ok(());
    }
    Err(format!(
        "its received_at {received_at} is not from {} to an hour from now",
        policy.backdate_from
    ))
}

fn rejection(letter: &Letter, text: String) -> Rejection {
    let origin = letter
        .origin
        .clone()
        .and_then(|name| serde_json::from_value(Value::String(name)).ok());
    Rejection {
        v: wire::VERSION,
        rejected: RejectedBecause {
            code: String::new(),
            pointer: String::new(),
            detail: String::new(),
        },
        event_id: letter.event_id.unwrap_or_else(crate::event::new_event_id),
        received_at: letter.received_at,
        source: letter.source.clone().unwrap_or_default(),
        trusted: letter.trusted.unwrap_or(false),
        message_id: letter.message_id.clone(),
        origin: origin.unwrap_or_default(),
        scope: letter.scope.clone().unwrap_or_default(),
        payload: Payload::Text(text),
        payload_length: letter.payload_length as u64,
        payload_sha256: String::new(),
    }
}

/// A log record that capture refused, marked as replayed.
fn again(text: &str) -> Result<Vec<u8>, String> {
    match wire::decode(text.as_bytes()) {
        Ok(WireRecord::Event(mut event)) => {
            validate(&event, |_, _| ()).map_err(|reject| reject.to_string())?;
            if event.origin == Origin::Live {
                event.origin = Origin::Replayed;
            }
            Ok(wire::encode_event(&event))
        }
        Ok(WireRecord::Rejection(_)) => Err("it holds a refused event, not an event".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_that_capture_refuses_is_refused_here() {
        let config = crate::config::Ingest::default();
        let now: Timestamp = "2026-11-24T06:00:00Z".parse().unwrap();
        let mended = |received_at: &str| {
            let record = json!({
                "v": 1, "event_id": "0198c7a2-5c5e-7cc0-9a2e-0123456789ab", "type": "track", "event": "E",
                "received_at": received_at, "accepted_at": received_at, "occurred_at": received_at,
                "user_id": "u", "source": "s", "trusted": true, "is_bot": false,
            });
            let payload = record.to_string().into_bytes();
            let letter = Letter {
                id: 1,
                received_at: now,
                stage: "capture".to_owned(),
                source: None,
                event_id: None,
                message_id: None,
                trusted: None,
                origin: None,
                scope: None,
                payload_length: payload.len() as i64,
                payload,
            };
            mend(&letter, &[], &Policy::new(&config), now)
        };
        mended("2026-11-24T06:30:00Z").unwrap();
        for outside in ["1970-01-01T00:00:00Z", "2026-11-24T08:00:00Z"] {
            let refused = mended(outside).unwrap_err();
            assert!(refused.contains("received_at"), "{refused}");
        }
    }
}
