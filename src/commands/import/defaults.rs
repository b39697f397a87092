use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::event::{EventKind, each_member, is_placeholder, unescape};
use crate::private::hex;

/// What lines get that do not say it themselves.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) kind: EventKind,
    pub(super) event: Option<String>,
}

/// How often each line without an id came so far, by half of its id.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<u64, u32>);

impl Seen {
    /// How many lines like this one came before it.
    fn before(&mut self, digest: &[u8; 16]) -> u32 {
        let mut half = [0; 8];
        half.copy_from_slice(&digest[..8]);
        let count = self.0.entry(u64::from_be_bytes(half)).or_default();
        *count += 1;
        *count - 1
    }
}

impl Defaults {
    /// The id of a line that has none: made of the line and what the flags made of it, so that it is the same event
    /// in a file that was mended or went on, and another one with other flags. Equal lines are told apart by their order.
    fn made_id(&self, line: &str, said: &Said, seen: &mut Seen) -> String {
        let kind = (!said.kind).then(|| self.kind.as_str());
        let event = self.event.as_ref().filter(|_| !said.event);
        let whole = Sha256::new()
            .chain_update(kind.unwrap_or_default())
            .chain_update([0])
            .chain_update(event.map(String::as_str).unwrap_or_default())
            .chain_update([0])
            .chain_update(line)
            .finalize();
        let mut digest = [0; 16];
        digest.copy_from_slice(&whole[..16]);
        match seen.before(&digest) {
            0 => format!("line:{}", hex(&digest)),
            before => format!("line:{}:{before}", hex(&digest)),
        }
    }

    /// Adds behind an event's members what it does not say itself; all else stays byte for byte.
    pub(super) fn complete(&self, mut event: String, seen: &mut Seen) -> String {
        let mut said = Said::default();
        let read = each_member(&event, |key, value| said.note(&unescape(key), value));
        if read.is_none() || !event.ends_with('}') {
            return event;
        }
        let made_id = (!said.message_id).then(|| self.made_id(&event, &said, seen));
        event.pop();
        let mut is_first = said.members == 0;
        let mut add = |key: &str, value: &str| {
            let comma = if is_first { "" } else { "," };
            is_first = false;
            event.push_str(&format!("{comma}\"{key}\":{}", Value::from(value)));
        };
        if let Some(id) = made_id {
            add("messageId", &id);
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
