//! Objects and lists as JSON text: shown member by member, and written so.

use std::fmt::{self, Display, Write as _};

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::field::inner;
use super::scan::plain;

const RFC_3339: DateTimePrinter = DateTimePrinter::new();

/// Text of an object in the making. Keys are given as they stand between their quotes.
pub(super) struct Object(String);

impl Object {
    /// An object without members yet; `room` is about what it will take.
    pub(super) fn with_room(room: usize) -> Self {
        let mut text = String::with_capacity(room + 2);
        text.push('{');
        Self(text)
    }

    /// Appends a member whose value is JSON text.
    pub(super) fn raw(&mut self, key: &str, json: &str) {
        self.key(key);
        self.0.push_str(json);
    }

    /// Appends a number or a boolean.
    pub(super) fn plain(&mut self, key: &str, value: impl Display) {
        self.key(key);
        // Writing into a String does not fail.
        let _ = write!(self.0, "{value}");
    }

    /// Appends a UUID.
    pub(super) fn uuid(&mut self, key: &str, id: Uuid) {
        self.verbatim(key, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }

    /// A time as [`time`](Self::time) writes it.
    pub(super) fn time_text(at: Timestamp) -> String {
        let mut text = String::with_capacity(32);
        // Writing into a String does not fail.
        let _ = RFC_3339.print_timestamp(&at, &mut text);
        text
    }

    /// Appends a time as RFC 3339.
    pub(super) fn time(&mut self, key: &str, at: Timestamp) {
        self.key(key);
        self.0.push('"');
        // Writing into a String does not fail.
        let _ = RFC_3339.print_timestamp(&at, &mut self.0);
        self.0.push('"');
    }

    /// Appends a string.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        let rest = &value.as_bytes()[plain(value.as_bytes())..];
        match rest.iter().any(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')) {
            true => self.plain(key, serde_json::Value::from(value)),
            false => self.verbatim(key, value),
        }
    }

    /// Appends a string that needs no escaping.
    pub(super) fn verbatim(&mut self, key: &str, value: &str) {
        self.key(key);
        self.0.push('"');
        self.0.push_str(value);
        self.0.push('"');
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn key(&mut self, key: &str) {
        if !self.is_empty() {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
    }
}

/// Shows each member of an object: its key as it stands between its quotes, and its value's JSON, which need
/// not be storable. Holds none of them, so that memory does not grow with their number. `None` where the text
/// is no object; some members may have been shown by then.
pub fn each_member<'a>(raw: &'a str, visit: impl FnMut(&'a str, &'a str)) -> Option<()> {
    struct Members<F>(F);

    impl<'de, F: FnMut(&'de str, &'de str)> Visitor<'de> for Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                (self.0)(inner(key.get()), value.get());
            }
            Ok(())
        }
    }

    let mut reader = serde_json::Deserializer::from_str(raw);
    reader.deserialize_map(Members(visit)).ok()?;
    reader.end().ok()
}

/// Shows each item of a list, as [`each_member`] does.
pub(super) fn each_item<'a>(raw: &'a str, visit: impl FnMut(&'a str)) -> Option<()> {
    struct Items<F>(F);

    impl<'de, F: FnMut(&'de str)> Visitor<'de> for Items<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON list")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(item) = list.next_element::<&RawValue>()? {
                (self.0)(item.get());
            }
            Ok(())
        }
    }

    let mut reader = serde_json::Deserializer::from_str(raw);
    reader.deserialize_seq(Items(visit)).ok()?;
    reader.end().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_as_they_are_written() {
        let mut seen = Vec::new();
        let read = each_member(r#" {"a" : [1, 2],"\ud800":"\u0000"} "#, |key, value| {
            seen.push((key, value));
        });
        assert_eq!(read, Some(()));
        assert_eq!(seen, [("a", "[1, 2]"), ("\\ud800", "\"\\u0000\"")]);
        assert_eq!(each_member("[]", |_, _| ()), None);
        assert_eq!(each_member("{} {}", |_, _| ()), None);
        let mut items = Vec::new();
        assert_eq!(each_item("[1, {}]", |item| items.push(item)), Some(()));
        assert_eq!(items, ["1", "{}"]);
    }

    #[test]
    fn an_object_is_written_member_by_member() {
        let mut object = Object::with_room(0);
        assert!(object.is_empty());
        object.plain("n", 1);
        object.text("t", "a\"b\n");
        object.text("u", "ä");
        object.raw("r", "[1]");
        assert_eq!(object.finish(), r#"{"n":1,"t":"a\"b\n","u":"ä","r":[1]}"#);
    }
}
