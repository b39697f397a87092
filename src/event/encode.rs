use super::object::Object;
use super::{Event, RawJson};

/// Room for the members whose length is not known beforehand: ids, times and names of members.
const FIXED_ROOM: usize = 512;

/// Writes an event as the log keeps it.
pub(super) fn event(event: &Event<'_>) -> Vec<u8> {
    let payloads = [&event.properties, &event.traits, &event.context];
    let room: usize = payloads.into_iter().flatten().map(|raw| raw.get().len()).sum();
    let mut out = Object::with_room(room + FIXED_ROOM);
    out.plain("v", event.v);
    out.uuid("event_id", event.event_id);
    out.verbatim("type", event.kind.as_str());
    // Mostly one and the same, and a time takes longer to write than to copy.
    let received_at = Object::time_text(event.received_at);
    let mut time = |key, at| match at == event.received_at {
        true => out.verbatim(key, &received_at),
        false => out.time(key, at),
    };
    time("received_at", event.received_at);
    time("accepted_at", event.accepted_at);
    time("occurred_at", event.occurred_at);
    if let Some(at) = event.original_timestamp {
        out.time("original_timestamp", at);
    }
    if let Some(at) = event.sent_at {
        out.time("sent_at", at);
    }
    text(&mut out, "event", event.event.as_deref());
    text(&mut out, "name", event.name.as_deref());
    text(&mut out, "user_id", event.user_id.as_deref());
    text(&mut out, "anonymous_id", event.anonymous_id.as_deref());
    text(&mut out, "group_id", event.group_id.as_deref());
    text(&mut out, "previous_id", event.previous_id.as_deref());
    text(&mut out, "message_id", event.message_id.as_deref());
    out.text("source", &event.source);
    out.plain("trusted", event.trusted);
    out.plain("is_bot", event.is_bot);
    if !event.origin.is_live() {
        out.verbatim("origin", event.origin.as_str());
    }
    raw(&mut out, "properties", event.properties.as_ref());
    raw(&mut out, "traits", event.traits.as_ref());
    raw(&mut out, "context", event.context.as_ref());
    out.finish().into_bytes()
}

fn text(out: &mut Object, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.text(key, value);
    }
}

fn raw(out: &mut Object, key: &str, value: Option<&RawJson<'_>>) {
    if let Some(value) = value {
        out.raw(key, value.get());
    }
}
