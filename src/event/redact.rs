use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The objects of an event whose members are redacted by name; the last is where SDKs repeat the traits.
const REDACTED: [&[&str]; 3] = [&["properties"], &["traits"], &["context", "traits"]];

/// Takes the named members out of a JSON object. Borrows where there was none of them, or no object.
pub(super) fn redact<'a>(raw: &'a str, names: &[String]) -> Cow<'a, str> {
    if names.is_empty() {
        return Cow::Borrowed(raw);
    }
    match members(raw) {
        Some(members) if members.iter().any(|(key, _)| names.contains(key)) => {
            let kept = members.iter().filter(|(key, _)| !names.contains(key));
            Cow::Owned(object(kept.map(|(key, value)| (key.as_str(), value.get()))))
        }
        _ => Cow::Borrowed(raw),
    }
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
    let members = members(raw)?;
    let mut kept = Vec::with_capacity(members.len());
    for (key, value) in &members {
        let value = if key == step {
            redact_below(value.get(), rest, names)?
        } else {
            value.get().to_owned()
        };
        kept.push((key.as_str(), value));
    }
    Some(object(kept.iter().map(|(key, value)| (*key, value.as_str()))))
}

fn object<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::from("{");
    for (key, value) in members {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&serde_json::Value::from(key).to_string());
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}

/// The members of an object in their order, with text that need not be storable.
pub(super) fn members(raw: &str) -> Option<Vec<(String, &RawValue)>> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }

    let mut reader = serde_json::Deserializer::from_str(raw);
    let members = reader.deserialize_map(Members).ok()?;
    reader.end().ok()?;
    Some(members)
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
}
