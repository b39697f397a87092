//! One event: a client's JSON text in, a validated [`Event`] or a [`Reject`] out.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::context::{self, Parts, Rebuilt};
use super::field::{Field, Fields, inner, object, only_object, text, wrong_type};
use super::redact::redact;
use super::skew;
use super::visitor::{Ids, identity};
use super::{
    Event, EventKind, JsonType, Origin, RawJson, Reject, RejectCode, Scope, event_id_for, is_placeholder,
    new_event_id, unescape, wire,
};

/// Older events of a back-dating source are history.
const HISTORY_AGE: SignedDuration = SignedDuration::from_hours(24);

/// A doubt about an event that did not cost it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The id at this pointer names nobody, so that it never makes an identity.
    PlaceholderId { pointer: &'static str, id: String },
    /// The messageId is one that many events share, so that the event counts as having none.
    PlaceholderMessageId { id: String },
    /// The timestamp cannot be read or cannot be right; `occurred_at` is `received_at`.
    UnusableTimestamp,
}

/// An accepted event with what was doubtful about it.
#[derive(Debug)]
pub struct Decoded<'a> {
    pub event: Event<'a>,
    pub warnings: Vec<Warning>,
}

/// Decodes one event. Pure but for the random id of an event without a messageId; never panics.
///
/// # Errors
/// The first fault of the event.
pub fn decode<'a>(raw: &'a str, scope: &Scope<'a>) -> Result<Decoded<'a>, Reject> {
    let defaults = [scope.defaults.context, scope.defaults.integrations];
    let size = raw.len() + defaults.into_iter().flatten().map(str::len).sum::<usize>();
    if size > scope.policy.max_event {
        return Err(Reject::whole(
            RejectCode::EventTooLarge,
            format!(
                "the event has {size} bytes, at most {} are taken",
                scope.policy.max_event
            ),
        ));
    }
    let fields = Fields::read(raw)?;
    let kind = kind(&fields, scope)?;
    let mut warnings = Vec::new();
    let (event_name, name) = names(kind, &fields)?;
    let own = ids(&fields, &mut warnings)?;
    let times = times(&fields, scope, &mut warnings)?;
    let message_id = message_id(&fields, &mut warnings)?;
    let context = rebuilt_context(kind, &fields, scope)?;
    let ids = identity(own, context.forwarded, scope)?;
    let event = Event {
        v: wire::VERSION,
        event_id: event_id(message_id.as_deref(), scope),
        kind,
        received_at: times.received_at,
        accepted_at: scope.received_at,
        occurred_at: times.occurred_at,
        original_timestamp: times.original,
        sent_at: times.sent_at,
        event: event_name,
        name,
        user_id: ids.user,
        anonymous_id: ids.anonymous,
        group_id: ids.group,
        previous_id: ids.previous,
        message_id,
        source: Cow::Borrowed(scope.source),
        trusted: scope.trusted,
        is_bot: context.is_bot,
        origin: times.origin,
        properties: payload(fields.properties, "/properties", scope)?,
        traits: payload(fields.traits, "/traits", scope)?.or(context.traits.map(owned)),
        context: context.text.map(owned),
    };
    Ok(Decoded { event, warnings })
}

fn kind(fields: &Fields<'_>, scope: &Scope<'_>) -> Result<EventKind, Reject> {
    if let Some(kind) = scope.kind {
        return Ok(kind);
    }
    let Some((raw, json_type)) = fields.kind else {
        return Err(Reject::at(
            RejectCode::MissingType,
            "/type",
            "an event of a batch says its type",
        ));
    };
    if json_type != JsonType::String {
        return Err(wrong_type("/type", json_type, "a string"));
    }
    let name = unescape(inner(raw));
    name.parse().map_err(|()| {
        Reject::at(
            RejectCode::UnknownType,
            "/type",
            "the type is one of track, identify, page, screen, group, alias",
        )
    })
}

type Texts<'a> = (Option<Cow<'a, str>>, Option<Cow<'a, str>>);

/// The name of a track event, which it must have, and the name of a page or screen.
fn names<'a>(kind: EventKind, fields: &Fields<'a>) -> Result<Texts<'a>, Reject> {
    match kind {
        EventKind::Track => match name(fields.event, "/event")? {
            Some(event) => Ok((Some(event), None)),
            None => Err(Reject::at(
                RejectCode::MissingName,
                "/event",
                "a track event needs a name",
            )),
        },
        EventKind::Page | EventKind::Screen => Ok((None, name(fields.name, "/name")?)),
        EventKind::Identify | EventKind::Group | EventKind::Alias => Ok((None, None)),
    }
}

/// What the event itself names.
fn ids<'a>(fields: &Fields<'a>, warnings: &mut Vec<Warning>) -> Result<Ids<'a>, Reject> {
    Ok(Ids {
        user: id(fields.user_id, "/userId", warnings)?,
        anonymous: id(fields.anonymous_id, "/anonymousId", warnings)?,
        group: id(fields.group_id, "/groupId", warnings)?,
        previous: id(fields.previous_id, "/previousId", warnings)?,
    })
}

fn rebuilt_context(kind: EventKind, fields: &Fields<'_>, scope: &Scope<'_>) -> Result<Rebuilt, Reject> {
    let has_category = matches!(kind, EventKind::Page | EventKind::Screen);
    object(fields.context, "/context")?;
    let parts = Parts {
        context: &fields.context_members,
        category: fields.category.filter(|_| has_category).map(|(raw, _)| raw),
        integrations: fields.integrations.and_then(only_object),
        // RudderStack's SDKs know no other place for them. On any other event they are the user's and not its own.
        takes_traits: kind == EventKind::Identify && fields.traits.is_none(),
    };
    Ok(context::rebuild(&parts, scope))
}

fn name<'a>(field: Field<'a>, pointer: &'static str) -> Result<Option<Cow<'a, str>>, Reject> {
    text(field, pointer, RejectCode::NameTooLong)
}

fn id<'a>(
    field: Field<'a>,
    pointer: &'static str,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Cow<'a, str>>, Reject> {
    let id = text(field, pointer, RejectCode::IdTooLong)?;
    if let Some(id) = id.as_deref()
        && is_placeholder(id)
    {
        warnings.push(Warning::PlaceholderId {
            pointer,
            id: id.to_owned(),
        });
    }
    Ok(id)
}

/// The client's id of the event. A placeholder is none: as an id it would make all events but the first duplicates.
fn message_id<'a>(fields: &Fields<'a>, warnings: &mut Vec<Warning>) -> Result<Option<Cow<'a, str>>, Reject> {
    let id = text(fields.message_id, "/messageId", RejectCode::IdTooLong)?;
    match id {
        Some(id) if is_placeholder(&id) => {
            warnings.push(Warning::PlaceholderMessageId { id: id.into_owned() });
            Ok(None)
        }
        id => Ok(id),
    }
}

fn payload<'a>(
    field: Field<'a>,
    pointer: &'static str,
    scope: &Scope<'_>,
) -> Result<Option<RawJson<'a>>, Reject> {
    let raw = object(field, pointer)?;
    Ok(raw.map(|raw| RawJson::Scanned(redact(raw, &scope.policy.redact))))
}

fn owned(text: String) -> RawJson<'static> {
    RawJson::Scanned(Cow::Owned(text))
}

fn event_id(message_id: Option<&str>, scope: &Scope<'_>) -> Uuid {
    match message_id {
        Some(message_id) => event_id_for(scope.source, scope.trusted, message_id),
        None => new_event_id(),
    }
}

struct Times {
    origin: Origin,
    received_at: Timestamp,
    occurred_at: Timestamp,
    original: Option<Timestamp>,
    sent_at: Option<Timestamp>,
}

fn times(fields: &Fields<'_>, scope: &Scope<'_>, warnings: &mut Vec<Warning>) -> Result<Times, Reject> {
    let given = fields.timestamp.map(|(raw, _)| raw).or(scope.defaults.timestamp);
    let sent_at = fields.sent_at.map(|(raw, _)| raw).or(scope.defaults.sent_at);
    let original = given.and_then(read_time);
    let sent_at = sent_at.and_then(read_time);
    let live = |occurred_at| (scope.origin, scope.received_at, occurred_at);
    let corrected =
        original.and_then(|at| skew::occurred_at(scope.received_at, sent_at, at, scope.policy.backdate_from));
    let (origin, received_at, occurred_at) = match (corrected, original) {
        _ if scope.origin == Origin::Imported => {
            let at = import_time(given, original, scope)?;
            (Origin::Imported, at, at)
        }
        (Some(corrected), Some(at)) if is_history(corrected, at, scope) => (Origin::Imported, at, at),
        (Some(corrected), _) => live(corrected),
        (None, _) => {
            if given.is_some() {
                warnings.push(Warning::UnusableTimestamp);
            }
            live(scope.received_at)
        }
    };
    Ok(Times {
        origin,
        received_at,
        occurred_at,
        original,
        sent_at,
    })
}

/// Whether a back-dating source sends an old event by a route for new ones, as an SDK does that knows no other.
/// The corrected time decides, so that a client whose clock is days behind sends no history.
fn is_history(corrected: Timestamp, original: Timestamp, scope: &Scope<'_>) -> bool {
    let is_old = scope.received_at.duration_since(corrected) > HISTORY_AGE;
    scope.may_backdate && is_old && skew::is_within(original, scope.policy.backdate_from, scope.received_at)
}

fn import_time(given: Option<&str>, at: Option<Timestamp>, scope: &Scope<'_>) -> Result<Timestamp, Reject> {
    let Some(at) = at else {
        let detail = match given {
            None => "history needs a timestamp",
            Some(_) => "the timestamp is not an ISO 8601 time with a zone",
        };
        return Err(Reject::at(RejectCode::MissingTimestamp, "/timestamp", detail));
    };
    let earliest = scope.policy.backdate_from;
    if !skew::is_within(at, earliest, scope.received_at) {
        return Err(Reject::at(
            RejectCode::TimestampOutOfBounds,
            "/timestamp",
            format!("history is taken from {earliest} to an hour from now"),
        ));
    }
    Ok(at)
}

/// Reads a timestamp from its JSON text. Anything but a string is not usable.
fn read_time(raw: &str) -> Option<Timestamp> {
    let between = raw.strip_prefix('"')?.strip_suffix('"')?;
    skew::parse(&unescape(between))
}
