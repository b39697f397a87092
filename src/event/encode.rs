use std::fmt::{Display, Write as _};

use super::{Event, RawJson};

/// Room for the members whose length is not known beforehand: ids, times and names of members.
const FIXED_ROOM: usize = 512;

/// Writes an event as the log keeps it.
pub(super) fn event(event: &Event<'_>) -> Vec<u8> {
    let payloads = [&event.properties, &event.traits, &event.context];
    let room: usize = payloads.into_iter().flatten().map(|raw| raw.get().len()).sum();
    let mut out = Object(String::with_capacity(room + FIXED_ROOM));
    out.plain("{\"v\":", event.v);
    out.quoted(",\"event_id\":", event.event_id);
    out.quoted(",\"type\":", event.kind);
    out.quoted(",\"received_at\":", event.received_at);
    out.quoted(",\"accepted_at\":", event.accepted_at);
    out.quoted(",\"occurred_at\":", event.occurred_at);
    if let Some(at) = event.original_timestamp {
        out.quoted(",\"original_timestamp\":", at);
    }
    if let Some(at) = event.sent_at {
        out.quoted(",\"sent_at\":", at);
    }
    out.text(",\"event\":", event.event.as_deref());
    out.text(",\"name\":", event.name.as_deref());
    out.text(",\"user_id\":", event.user_id.as_deref());
    out.text(",\"anonymous_id\":", event.anonymous_id.as_deref());
    out.text(",\"group_id\":", event.group_id.as_deref());
    out.text(",\"previous_id\":", event.previous_id.as_deref());
    out.text(",\"message_id\":", event.message_id.as_deref());
    out.text(",\"source\":", Some(&event.source));
    out.plain(",\"trusted\":", event.trusted);
    out.plain(",\"is_bot\":", event.is_bot);
    if !event.origin.is_live() {
        out.quoted(",\"origin\":", event.origin.as_str());
    }
    out.raw(",\"properties\":", event.properties.as_ref());
    out.raw(",\"traits\":", event.traits.as_ref());
    out.raw(",\"context\":", event.context.as_ref());
    out.0.push('}');
    out.0.into_bytes()
}

/// Text of an object, member by member; `key` brings its comma, quotes and colon.
struct Object(String);

impl Object {
    fn plain(&mut self, key: &str, value: impl Display) {
        // Writing into a String does not fail.
        let _ = write!(self.0, "{key}{value}");
    }

    /// Appends a value whose text needs no escaping.
    fn quoted(&mut self, key: &str, value: impl Display) {
        let _ = write!(self.0, "{key}\"{value}\"");
    }

    fn raw(&mut self, key: &str, value: Option<&RawJson<'_>>) {
        if let Some(value) = value {
            self.0.push_str(key);
            self.0.push_str(value.get());
        }
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        self.0.push_str(key);
        if value
            .bytes()
            .any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
        {
            self.0.push_str(&serde_json::Value::from(value).to_string());
        } else {
            self.0.push('"');
            self.0.push_str(value);
            self.0.push('"');
        }
    }
}
