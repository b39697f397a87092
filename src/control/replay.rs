//! Mends dead letters, to be sent again with their event_id and received_at unchanged.

use bytes::Bytes;
use serde_json::Value;

use crate::broker::Record;
use crate::event::wire::{self, WireRecord};
use crate::event::{Origin, Payload, Policy, RejectedBecause, Rejection, replay, validate};
use crate::store::dead_letters::Letter;

/// Decodes a letter again, mended by `set`, and returns its log records: one, but for a batch that was kept whole.
///
/// # Errors
/// A sentence for people: what is still wrong with it.
pub(super) fn mend(letter: &Letter, set: &[(String, Value)], policy: &Policy) -> Result<Vec<Record>, String> {
    if letter.payload_length > letter.payload.len() as i64 {
        return Err("only its head was kept, it was too long".to_owned());
    }
    let text = std::str::from_utf8(&letter.payload).map_err(|_| "its payload is no text".to_owned())?;
    let text = apply(text, set)?;
    let values = match letter.stage.as_str() {
        "ingest" => replay(&rejection(letter, text), policy).map_err(|error| error.to_string())?,
        _ => vec![again(&text)?],
    };
    Ok(values.into_iter().map(keyed).collect())
}

fn keyed(value: Vec<u8>) -> Record {
    let key = match wire::decode(&value) {
        Ok(WireRecord::Event(event)) => Bytes::copy_from_slice(event.person_key().as_bytes()),
        _ => Bytes::new(),
    };
    Record {
        key,
        value: value.into(),
    }
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

/// Puts values at JSON pointers; missing objects on the way are made.
fn apply(text: &str, set: &[(String, Value)]) -> Result<String, String> {
    if set.is_empty() {
        return Ok(text.to_owned());
    }
    let mut document: Value = serde_json::from_str(text)
        .map_err(|error| format!("its payload is no JSON, so that --set cannot mend it: {error}"))?;
    for (pointer, value) in set {
        put(&mut document, pointer, value.clone())?;
    }
    Ok(document.to_string())
}

fn put(document: &mut Value, pointer: &str, value: Value) -> Result<(), String> {
    let mut place = document;
    for step in pointer.split('/').skip(1) {
        let key = step.replace("~1", "/").replace("~0", "~");
        if place.is_null() {
            *place = Value::Object(serde_json::Map::new());
        }
        place = match place {
            Value::Object(members) => members.entry(key).or_insert(Value::Null),
            Value::Array(items) => key
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get_mut(index))
                .ok_or_else(|| format!("{pointer}: the list has no item {step}"))?,
            _ => return Err(format!("{pointer}: {step} is inside a plain value")),
        };
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn set_makes_what_is_missing_and_reaches_into_lists() {
        let set = [
            ("/userId".to_owned(), json!("u-1")),
            ("/properties/author/name".to_owned(), json!("Ann")),
            ("/list/1".to_owned(), json!(7)),
            ("/a~1b".to_owned(), json!(true)),
        ];
        let mended = apply(r#"{"list":[1,2]}"#, &set).unwrap();
        let expected =
            json!({"list": [1, 7], "userId": "u-1", "properties": {"author": {"name": "Ann"}}, "a/b": true});
        assert_eq!(serde_json::from_str::<Value>(&mended).unwrap(), expected);
        assert!(apply(r#"{"list":[1]}"#, &[("/list/4".to_owned(), json!(1))]).is_err());
        assert!(apply(r#"{"text":"x"}"#, &[("/text/deep".to_owned(), json!(1))]).is_err());
    }
}
