//! The members of an event that momsflow knows, and how they are read.

use std::borrow::Cow;

use super::scan::scan_all;
use super::{JsonType, Reject, RejectCode, unescape};

/// The longest id or name, in bytes.
pub const MAX_TEXT: usize = 512;

/// A member's JSON text and type; `None` where it is missing or null.
pub(super) type Field<'a> = Option<(&'a str, JsonType)>;

/// A member of an object: its key as it stands between its quotes, its value's text and type.
pub(super) type Member<'a> = (&'a str, &'a str, JsonType);

/// The members of an event that momsflow knows; of a repeated member the last, as in JavaScript and jsonb.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub kind: Field<'a>,
    pub event: Field<'a>,
    pub name: Field<'a>,
    pub category: Field<'a>,
    pub user_id: Field<'a>,
    pub anonymous_id: Field<'a>,
    pub group_id: Field<'a>,
    pub previous_id: Field<'a>,
    pub message_id: Field<'a>,
    pub timestamp: Field<'a>,
    pub sent_at: Field<'a>,
    pub properties: Field<'a>,
    pub traits: Field<'a>,
    pub context: Field<'a>,
    /// What `context` holds where it is an object, so that it need not be read again.
    pub context_members: Vec<Member<'a>>,
    pub integrations: Field<'a>,
}

impl<'a> Fields<'a> {
    pub(super) fn read(raw: &'a str) -> Result<Self, Reject> {
        let mut fields = Self::default();
        let mut below = Vec::new();
        scan_all(raw, |depth, key, value, json_type| {
            match depth {
                0 => {}
                1 => return below.push((key, value, json_type)),
                _ => return,
            }
            let field = match unescape(key).as_ref() {
                "type" => &mut fields.kind,
                "event" => &mut fields.event,
                "name" => &mut fields.name,
                "category" => &mut fields.category,
                "userId" => &mut fields.user_id,
                "anonymousId" => &mut fields.anonymous_id,
                "groupId" => &mut fields.group_id,
                "previousId" => &mut fields.previous_id,
                "messageId" => &mut fields.message_id,
                "timestamp" => &mut fields.timestamp,
                "sentAt" => &mut fields.sent_at,
                "properties" => &mut fields.properties,
                "traits" => &mut fields.traits,
                "context" => {
                    std::mem::swap(&mut fields.context_members, &mut below);
                    &mut fields.context
                }
                "integrations" => &mut fields.integrations,
                _ => return below.clear(),
            };
            below.clear();
            *field = (json_type != JsonType::Null).then_some((value, json_type));
        })?;
        Ok(fields)
    }
}

/// Reads a short text; a number becomes its text, and an empty text is none.
pub(super) fn text<'a>(
    field: Field<'a>,
    pointer: &'static str,
    too_long: RejectCode,
) -> Result<Option<Cow<'a, str>>, Reject> {
    let text = match field {
        None => return Ok(None),
        Some((raw, JsonType::String)) => unescape(inner(raw)),
        Some((raw, JsonType::Number)) => Cow::Borrowed(raw),
        Some((_, other)) => return Err(wrong_type(pointer, other, "a string or a number")),
    };
    if text.len() > MAX_TEXT {
        return Err(Reject::at(
            too_long,
            pointer,
            format!("{} bytes, at most {MAX_TEXT} are taken", text.len()),
        ));
    }
    Ok((!text.is_empty()).then_some(text))
}

pub(super) fn object<'a>(field: Field<'a>, pointer: &'static str) -> Result<Option<&'a str>, Reject> {
    match field {
        None => Ok(None),
        Some((raw, JsonType::Object)) => Ok(Some(raw)),
        Some((_, other)) => Err(wrong_type(pointer, other, "an object")),
    }
}

pub(super) fn only_object((raw, json_type): (&str, JsonType)) -> Option<&str> {
    (json_type == JsonType::Object).then_some(raw)
}

/// What stands between the quotes of a scanned string.
pub(super) fn inner(raw: &str) -> &str {
    raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()
}

pub(super) fn wrong_type(pointer: &'static str, found: JsonType, wanted: &str) -> Reject {
    Reject::at(
        RejectCode::InvalidFieldType,
        pointer,
        format!("expected {wanted}, found {}", found.as_str()),
    )
}
