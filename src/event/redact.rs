use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::context::{parse_ip, truncate};
use crate::config::IpPolicy;

/// The objects of an event whose members are redacted by name; the last is where SDKs repeat the traits.
const REDACTED: [&[&str]; 3] = [&["properties"], &["traits"], &["context", "traits"]];

/// Takes the named members out of a JSON object. Borrows where there was none of them, or no object.
pub(super) fn redact<'a>(raw: &'a str, names: &[String]) -> Cow<'a, str> {
    if names.is_empty() {
        return Cow::Borrowed(raw);
    }
    let mut has_named = false;
    let _ = each_member(raw, |key, _| has_named |= names.contains(&key));
    if !has_named {
        return Cow::Borrowed(raw);
    }
    let mut out = Object::new();
    let _ = each_member(raw, |key, value| {
        if !names.contains(&key) {
            out.member(&key, value);
        }
    });
    Cow::Owned(out.finish())
}

/// Takes the named members out of the properties and traits of a whole event or batch, as far as it can be
/// read. `None` where it cannot, so that nothing may be kept of it.
pub(super) fn redact_event(raw: &str, names: &[String]) -> Option<String> {
    if names.is_empty() {
        return Some(raw.to_owned());
    }
    let mut text = raw.to_owned();
    for path in REDACTED {
        text = redact_below(&text, path, names)?;
    }
    Some(text)
}

fn redact_below(raw: &str, path: &[&str], names: &[String]) -> Option<String> {
    let Some((step, rest)) = path.split_first() else {
        return Some(redact(raw, names).into_owned());
    };
    if !raw.starts_with('{') {
        return Some(raw.to_owned());
    }
    let mut out = Object::new();
    let mut readable = true;
    each_member(raw, |key, value| {
        if key == *step {
            match redact_below(value, rest, names) {
                Some(redacted) => out.member(&key, &redacted),
                None => readable = false,
            }
        } else {
            out.member(&key, value);
        }
    })?;
    readable.then(|| out.finish())
}

/// Cuts the address in the `context` of a whole event as `policy` says; what cannot be read stays as it is.
pub(super) fn mask_ip(raw: &str, policy: IpPolicy) -> Cow<'_, str> {
    if policy == IpPolicy::Full || !raw.contains("\"ip\"") {
        return Cow::Borrowed(raw);
    }
    let masked = map_member(raw, "context", |context| {
        map_member(context, "ip", |address| {
            let address = serde_json::from_str::<&str>(address).ok().and_then(parse_ip);
            match (policy, address) {
                (IpPolicy::Truncate, Some(address)) => format!("\"{}\"", truncate(address)),
                _ => "null".to_owned(),
            }
        })
        .unwrap_or_else(|| context.to_owned())
    });
    masked.map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// An object with one member's value changed. `None` where the text is no object.
fn map_member(raw: &str, name: &str, change: impl Fn(&str) -> String) -> Option<String> {
    let mut out = Object::new();
    each_member(raw, |key, value| {
        if key == name {
            out.member(&key, &change(value));
        } else {
            out.member(&key, value);
        }
    })?;
    Some(out.finish())
}

/// JSON text of an object in the making.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self(String::from("{"))
    }

    fn member(&mut self, key: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&serde_json::Value::from(key).to_string());
        self.0.push(':');
        self.0.push_str(value);
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Shows each member of an object, with its key's text and its value's JSON, which need not be storable.
/// Holds none of them, so that memory does not grow with their number. `None` where the text is no object.
pub fn each_member<'a>(raw: &'a str, visit: impl FnMut(String, &'a str)) -> Option<()> {
    struct Members<F>(F);

    impl<'de, F: FnMut(String, &'de str)> Visitor<'de> for Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                (self.0)(key, value.get());
            }
            Ok(())
        }
    }

    let mut reader = serde_json::Deserializer::from_str(raw);
    reader.deserialize_map(Members(visit)).ok()?;
    reader.end().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn named_members_go_however_they_are_written() {
        let names = ["email".to_owned()];
        let raw = r#"{"email":"a@example.com", "n":1e2, "\u0065mail":"b@example.com", "x":{"email":1}}"#;
        assert_eq!(redact(raw, &names), r#"{"n":1e2,"x":{"email":1}}"#);
        assert!(matches!(redact(r#"{"n":1}"#, &names), Cow::Borrowed(_)));
    }

    #[test]
    fn an_event_is_redacted_in_its_traits_too() {
        let names = ["email".to_owned()];
        let raw = r#"{"traits":{"email":"a"},"context":{"traits":{"email":"a","age":1}},"email":"kept"}"#;
        assert_eq!(
            redact_event(raw, &names).unwrap(),
            r#"{"traits":{},"context":{"traits":{"age":1}},"email":"kept"}"#
        );
        assert_eq!(redact_event(r#"{"traits":{"email":"a""#, &names), None);
    }

    #[test]
    fn an_address_is_cut_wherever_the_event_can_be_read() {
        let event = r#"{"event":"x","context":{"ip":"203.0.113.77","page":{"ip":"kept"}},"ip":"1.2.3.4"}"#;
        let cut = r#"{"event":"x","context":{"ip":"203.0.113.0","page":{"ip":"kept"}},"ip":"1.2.3.4"}"#;
        assert_eq!(mask_ip(event, IpPolicy::Truncate), cut);
        assert_eq!(mask_ip(event, IpPolicy::Full), event);
        assert_eq!(
            mask_ip(r#"{"context":{"ip":7}}"#, IpPolicy::Truncate),
            r#"{"context":{"ip":null}}"#
        );
        assert_eq!(
            mask_ip(r#"{"context":{"ip""#, IpPolicy::Drop),
            r#"{"context":{"ip""#
        );
    }
}
