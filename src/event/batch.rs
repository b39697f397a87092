//! A request's body: one event, or a batch with defaults for all of its events.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::redact::members;
use super::{Defaults, Reject, RejectCode, scan_object};

/// A body taken apart; its events are not looked at yet.
#[derive(Debug)]
pub struct Batch<'a> {
    pub events: Vec<&'a str>,
    pub defaults: Defaults<'a>,
}

/// The envelope's members. Unknown ones are ignored; of a repeated one the last counts.
#[derive(Default)]
struct Envelope<'a> {
    batch: Option<&'a RawValue>,
    context: Option<&'a RawValue>,
    integrations: Option<&'a RawValue>,
    sent_at: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
}

/// Takes a batch apart: `{"batch": [event, …], "context": …, "integrations": …, "sentAt": …, "timestamp": …}`.
///
/// # Errors
/// Faults that concern the body as a whole.
pub fn parse_batch(body: &str) -> Result<Batch<'_>, Reject> {
    let envelope = read_envelope(body)?;
    let missing = || {
        Reject::at(
            RejectCode::MissingBatch,
            "/batch",
            "a batch has its events in a list `batch`",
        )
    };
    let list = envelope.batch.ok_or_else(missing)?;
    let events: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(|_| missing())?;
    if events.is_empty() {
        return Err(Reject::at(
            RejectCode::EmptyBatch,
            "/batch",
            "the batch has no events",
        ));
    }
    let context = match envelope.context.map(RawValue::get).filter(|raw| *raw != "null") {
        Some(raw) => Some(scanned_context(raw)?),
        None => None,
    };
    let integrations = envelope.integrations.map(RawValue::get);
    Ok(Batch {
        events: events.into_iter().map(RawValue::get).collect(),
        defaults: Defaults {
            context,
            integrations: integrations.filter(|raw| scan_object(raw, |_, _, _| ()).is_ok()),
            sent_at: envelope.sent_at.map(RawValue::get),
            timestamp: envelope.timestamp.map(RawValue::get).filter(|raw| *raw != "null"),
        },
    })
}

fn read_envelope(body: &str) -> Result<Envelope<'_>, Reject> {
    let Some(members) = members(body) else {
        return Err(match serde_json::from_str::<serde::de::IgnoredAny>(body) {
            Err(error) => Reject::whole(RejectCode::MalformedJson, error.to_string()),
            Ok(_) => Reject::whole(RejectCode::NotAnObject, "a body is a JSON object"),
        });
    };
    let mut envelope = Envelope::default();
    for (name, value) in members {
        let member = match name.as_str() {
            "batch" => &mut envelope.batch,
            "context" => &mut envelope.context,
            "integrations" => &mut envelope.integrations,
            "sentAt" => &mut envelope.sent_at,
            "timestamp" => &mut envelope.timestamp,
            _ => continue,
        };
        *member = Some(value);
    }
    Ok(envelope)
}

fn scanned_context(raw: &str) -> Result<&str, Reject> {
    scan_object(raw, |_, _, _| ()).map_err(|reject| match reject.code {
        RejectCode::NotAnObject => Reject::at(RejectCode::InvalidFieldType, "/context", "expected an object"),
        _ => Reject {
            pointer: format!("/context{}", reject.pointer),
            ..reject
        },
    })?;
    Ok(raw)
}

/// Tells whether a body is a batch, for routes that take either.
pub fn is_batch(body: &str) -> bool {
    members(body).is_some_and(|members| members.iter().any(|(name, _)| name == "batch"))
}

/// The member `writeKey` of a body, as browser SDKs send it; `None` where there is none.
pub fn write_key(body: &str) -> Option<String> {
    text_member(body, "writeKey")
}

/// The messageId of an event that was refused, as far as it can be read.
pub fn message_id(raw: &str) -> Option<String> {
    // PostgreSQL's text cannot hold NUL, and the id must not make a dead letter undeliverable.
    text_member(raw, "messageId").map(|id| cut(id.replace('\0', ""), super::MAX_TEXT))
}

fn text_member(raw: &str, name: &str) -> Option<String> {
    let members = members(raw)?;
    let (_, value) = members.iter().rev().find(|(key, _)| key == name)?;
    match serde_json::from_str::<serde_json::Value>(value.get()).ok()? {
        serde_json::Value::String(text) => (!text.is_empty()).then_some(text),
        serde_json::Value::Number(_) => Some(value.get().to_owned()),
        _ => None,
    }
}

fn cut(text: String, longest: usize) -> String {
    match text.floor_char_boundary(longest) {
        end if end < text.len() => text[..end].to_owned(),
        _ => text,
    }
}

/// The text of a body: UTF-8, without a byte order mark.
///
/// # Errors
/// [`RejectCode::InvalidUtf8`].
pub fn body_text(body: &[u8]) -> Result<&str, Reject> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Reject::whole(RejectCode::InvalidUtf8, format!("the body is no UTF-8: {error}")))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Cuts a payload at a character's border, so that it stays text.
pub(super) fn head(text: &str, longest: usize) -> Cow<'_, str> {
    Cow::Borrowed(&text[..text.floor_char_boundary(longest)])
}
