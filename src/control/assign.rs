//! Sets places of a JSON text and leaves all else of it byte for byte.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::{each_member, unescape};

/// JSON pointers and the values to put there.
pub(super) type Assignments = [(String, Box<RawValue>)];

/// Puts values at JSON pointers; missing objects on the way are made. What stands beside the way stays as it is
/// written: a number that no double holds, half of a surrogate pair.
///
/// # Errors
/// A sentence for people: why a place cannot be set.
pub(super) fn apply(text: &str, set: &Assignments) -> Result<String, String> {
    let mut text = text.to_owned();
    if !set.is_empty() {
        serde_json::from_str::<&RawValue>(&text)
            .map_err(|error| format!("its payload is no JSON, so that --set cannot mend it: {error}"))?;
    }
    for (pointer, value) in set {
        let steps: Vec<_> = pointer.split('/').skip(1).collect();
        text = put(text.trim(), &steps, value.get()).map_err(|reason| format!("{pointer}: {reason}"))?;
    }
    Ok(text)
}

fn put(text: &str, steps: &[&str], value: &str) -> Result<String, String> {
    let Some((step, below)) = steps.split_first() else {
        return Ok(value.to_owned());
    };
    match text.bytes().next() {
        Some(b'{') => put_into_object(text, step, below, value),
        Some(b'[') => put_into_array(text, step, below, value),
        Some(b'n') => put_into_object("{}", step, below, value),
        _ => Err(format!("{step} is inside a plain value")),
    }
}

fn put_into_object(text: &str, step: &str, below: &[&str], value: &str) -> Result<String, String> {
    let wanted = step.replace("~1", "/").replace("~0", "~");
    let mut members: Vec<(String, String)> = Vec::new();
    // Of a repeated member only the last counts, so that all of them are set.
    let mut old = None;
    each_member(text, |key, member| {
        if unescape(key) == wanted {
            old = Some(member);
        } else {
            members.push((format!("\"{key}\""), member.to_owned()));
        }
    })
    .ok_or_else(|| format!("a name beside {step} cannot be read"))?;
    members.push((
        Value::from(wanted).to_string(),
        put(old.unwrap_or("null"), below, value)?,
    ));
    let members: Vec<_> = members
        .into_iter()
        .map(|(key, member)| format!("{key}:{member}"))
        .collect();
    Ok(format!("{{{}}}", members.join(",")))
}

fn put_into_array(text: &str, step: &str, below: &[&str], value: &str) -> Result<String, String> {
    let mut items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let missing = || format!("the list has no item {step}");
    let index: usize = step.parse().map_err(|_| missing())?;
    let item = items.get_mut(index).ok_or_else(missing)?;
    let changed = put(item.get(), below, value)?;
    let items: Vec<_> = items
        .iter()
        .enumerate()
        .map(|(at, item)| if at == index { &changed } else { item.get() })
        .collect();
    Ok(format!("[{}]", items.join(",")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn set(text: &str, assignments: &[(&str, &str)]) -> Result<String, String> {
        let set: Vec<_> = assignments
            .iter()
            .map(|(pointer, value)| {
                let value = RawValue::from_string((*value).to_owned()).unwrap();
                ((*pointer).to_owned(), value)
            })
            .collect();
        apply(text, &set)
    }

    #[test]
    fn set_makes_what_is_missing_and_reaches_into_lists() {
        let assignments = [
            ("/userId", "\"u-1\""),
            ("/properties/author/name", "\"Ann\""),
            ("/list/1", "7"),
            ("/a~1b", "true"),
            ("/none/made", "1"),
        ];
        let mended = set(r#" {"list":[1,2],"none":null} "#, &assignments).unwrap();
        let expected = json!({
            "list": [1, 7], "userId": "u-1", "properties": {"author": {"name": "Ann"}}, "a/b": true,
            "none": {"made": 1},
        });
        assert_eq!(serde_json::from_str::<Value>(&mended).unwrap(), expected);
        for (text, pointer) in [
            (r#"{"list":[1]}"#, "/list/4"),
            (r#"{"text":"x"}"#, "/text/deep"),
            ("{broken", "/a"),
        ] {
            set(text, &[(pointer, "1")]).unwrap_err();
        }
    }

    #[test]
    fn only_the_places_that_are_set_change() {
        let text = r#"{"id":12345678901234567890123,"price":1.50,"half":"\ud800","list":[1e400, {"a":1.0}],"user":1.10}"#;
        let mended = set(
            text,
            &[("/user", "98765432109876543210987"), ("/list/1/b", "2.50")],
        )
        .unwrap();
        assert_eq!(
            mended,
            r#"{"id":12345678901234567890123,"price":1.50,"half":"\ud800","user":98765432109876543210987,"list":[1e400,{"a":1.0,"b":2.50}]}"#
        );
    }

    #[test]
    fn nothing_to_set_changes_nothing() {
        assert_eq!(set("{broken", &[]).unwrap(), "{broken");
    }
}
