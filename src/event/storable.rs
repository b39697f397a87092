use std::borrow::Cow;

use jiff::Timestamp;
use uuid::Uuid;

use super::field::{Field, MAX_TEXT, inner};
use super::scan::scan_all;
use super::wire::VERSION;
use super::{Event, JsonType, Origin, RawJson, unescape};

/// The members of a record in the order in which [`super::encode`] writes them, so that each is looked for where it is.
const NAMES: [&str; 22] = [
    "v",
    "event_id",
    "type",
    "received_at",
    "accepted_at",
    "occurred_at",
    "original_timestamp",
    "sent_at",
    "event",
    "name",
    "user_id",
    "anonymous_id",
    "group_id",
    "previous_id",
    "message_id",
    "source",
    "trusted",
    "is_bot",
    "origin",
    "properties",
    "traits",
    "context",
];

/// Reads and validates the record of an event in one pass; `None` for whatever is not plainly an event that
/// PostgreSQL can hold.
pub(super) fn read(text: &str) -> Option<Event<'_>> {
    let mut members = Members::default();
    scan_all(text, |depth, key, value, json_type| {
        if depth == 0 {
            members.note(key, value, json_type);
        }
    })
    .ok()?;
    members.event()
}

#[derive(Default)]
struct Members<'a> {
    fields: [Field<'a>; NAMES.len()],
    /// Where the next name is expected.
    next: usize,
    /// A name stands there twice, or is spelled with escapes.
    is_odd: bool,
}

impl<'a> Members<'a> {
    fn note(&mut self, key: &str, value: &'a str, json_type: JsonType) {
        let mut order = (self.next..NAMES.len()).chain(0..self.next);
        match order.find(|place| NAMES[*place] == key) {
            Some(place) => {
                self.is_odd |= self.fields[place].is_some();
                self.fields[place] = Some((value, json_type));
                self.next = place + 1;
            }
            None => self.is_odd |= key.contains('\\'),
        }
    }

    fn event(self) -> Option<Event<'a>> {
        let [
            v,
            event_id,
            kind,
            received_at,
            accepted_at,
            occurred_at,
            original_timestamp,
            sent_at,
            event,
            name,
            user_id,
            anonymous_id,
            group_id,
            previous_id,
            message_id,
            source,
            trusted,
            is_bot,
            origin,
            properties,
            traits,
            context,
        ] = self.fields;
        if self.is_odd || v?.0.parse() != Ok(VERSION) {
            return None;
        }
        Some(Event {
            v: VERSION,
            event_id: Uuid::try_parse(&text(event_id)??).ok()?,
            kind: text(kind)??.parse().ok()?,
            received_at: time(received_at)??,
            accepted_at: time(accepted_at)??,
            occurred_at: time(occurred_at)??,
            original_timestamp: time(original_timestamp)?,
            sent_at: time(sent_at)?,
            event: short(event)?,
            name: short(name)?,
            user_id: short(user_id)?,
            anonymous_id: short(anonymous_id)?,
            group_id: short(group_id)?,
            previous_id: short(previous_id)?,
            message_id: text(message_id)?,
            source: short(source)??,
            trusted: boolean(trusted)?,
            is_bot: boolean(is_bot)?,
            origin: origin_of(origin)?,
            properties: object(properties)?,
            traits: object(traits)?,
            context: object(context)?,
        })
    }
}

// Below, the outer `None` is a value of another type, the inner one a member that is missing or null.

fn text(field: Field<'_>) -> Option<Option<Cow<'_, str>>> {
    match field {
        None | Some((_, JsonType::Null)) => Some(None),
        Some((raw, JsonType::String)) => Some(Some(unescape(inner(raw)))),
        Some(_) => None,
    }
}

/// A text that a column takes.
fn short(field: Field<'_>) -> Option<Option<Cow<'_, str>>> {
    text(field).filter(|text| text.as_ref().is_none_or(|text| text.len() <= MAX_TEXT))
}

fn time(field: Field<'_>) -> Option<Option<Timestamp>> {
    text(field)?.map(|text| text.parse()).transpose().ok()
}

fn boolean(field: Field<'_>) -> Option<bool> {
    field?.0.parse().ok()
}

fn origin_of(field: Field<'_>) -> Option<Origin> {
    match field {
        None => Some(Origin::default()),
        Some(_) => Origin::ALL
            .into_iter()
            .find(|origin| text(field).flatten().as_deref() == Some(origin.as_str())),
    }
}

fn object(field: Field<'_>) -> Option<Option<RawJson<'_>>> {
    match field {
        None | Some((_, JsonType::Null)) => Some(None),
        Some((raw, JsonType::Object)) => Some(Some(RawJson::Scanned(Cow::Borrowed(raw)))),
        Some(_) => None,
    }
}
