use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::event::{EventKind, each_member, is_placeholder, unescape};
use crate::private::hex;

/// What lines get that do not say it themselves.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) kind: EventKind,
    pub(super) event: Option<String>,
    /// Names the file in the ids of its events.
    pub(super) file_id: String,
}

impl Defaults {
    /// The id of a line that has none. It tells what the flags made of the line: with other flags it is another event.
    fn made_id(&self, line: u64, said: &Said) -> String {
        let id = format!("{}:{}", self.file_id, line);
        let kind = (!said.kind).then(|| self.kind.as_str());
        let event = self.event.as_ref().filter(|_| !said.event);
        if kind.is_none() && event.is_none() {
            return id;
        }
        let made = Sha256::digest(format!(
            "{} {}",
            kind.unwrap_or_default(),
            event.map(String::as_str).unwrap_or_default()
        ));
        format!("{id}:{}", hex(&made[..4]))
    }

    /// Adds behind an event's members what it does not say itself; all else stays byte for byte.
    pub(super) fn complete(&self, line: u64, mut event: String) -> String {
        let mut said = Said::default();
        let read = each_member(&event, |key, value| said.note(&unescape(key), value));
        if read.is_none() || !event.ends_with('}') {
            return event;
        }
        event.pop();
        let mut is_first = said.members == 0;
        let mut add = |key: &str, value: &str| {
            let comma = if is_first { "" } else { "," };
            is_first = false;
            event.push_str(&format!("{comma}\"{key}\":{}", Value::from(value)));
        };
        if !said.message_id {
            add("messageId", &self.made_id(line, &said));
        }
        if !said.kind {
            add("type", self.kind.as_str());
        }
        if let Some(name) = &self.event
            && !said.event
        {
            add("event", name);
        }
        event.push('}');
        event
    }
}

/// Which members of an event say something; of a repeated one the last counts.
#[derive(Default)]
struct Said {
    members: usize,
    message_id: bool,
    kind: bool,
    event: bool,
}

impl Said {
    fn note(&mut self, key: &str, value: &str) {
        self.members += 1;
        match key {
            "messageId" => self.message_id = !is_no_id(value),
            "type" => self.kind = value != "null",
            "event" => self.event = value != "null",
            _ => {}
        }
    }
}

/// Whether ingest takes a messageId for none: it would make one at random, and the line would be stored again at
/// each repetition.
fn is_no_id(value: &str) -> bool {
    match serde_json::from_str(value) {
        Ok(Value::Null) => true,
        Ok(Value::String(text)) => is_placeholder(&text),
        Ok(Value::Number(_)) => is_placeholder(value),
        _ => false,
    }
}
