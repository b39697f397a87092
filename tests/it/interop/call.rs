//! The calls that every SDK makes, and how a stored row is held against one.

use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::{Map, Value, json};

/// All six calls with what JSON can hold, then `bulk` more. Each but alias has its number as `n`; alias is known
/// by its `previousId`.
pub fn calls(bulk: usize) -> Vec<Value> {
    let content = json!({
        "title": "Grüße aus 東京 👋 \"quoted\" \\ / \u{2028} <b>&amp;</b>",
        "nested": {"list": [1, 2.5, "drei", {"deep": {"deeper": [true, false]}}], "empty": {}, "none": []},
        "price": 12.75,
        "largest": 9_007_199_254_740_991_i64,
        "negative": -1,
        "schlüssel ü": "ключ",
        "flag": true,
    });
    let mut calls = vec![
        json!({"type": "track", "event": "Visitor Came", "properties": {"ref": "newsletter"}}),
        json!({"type": "identify", "traits": {"email": "anna@example.com", "plan": {"tier": "öre", "seats": 3}}}),
        json!({"type": "track", "event": "Article Viewed", "properties": content}),
        json!({"type": "page", "name": "Start", "properties": {"section": "Politik & Ω"}}),
        json!({"type": "screen", "name": "Feed", "properties": {"tab": "für dich"}}),
        json!({"type": "group", "groupId": "g-1", "traits": {"company": "Müller & Söhne", "size": 42}}),
        json!({"type": "track", "event": "Zeitung gelesen ✓", "properties": {}}),
        json!({"type": "alias", "previousId": "u-old"}),
    ];
    calls.extend((0..bulk).map(|_| json!({"type": "track", "event": "Video Played", "properties": {}})));
    let now = Timestamp::now().round(Unit::Millisecond).unwrap();
    for (index, call) in calls.iter_mut().enumerate() {
        let minutes = i64::try_from(calls_back(index)).unwrap();
        call["timestamp"] = (now - SignedDuration::from_mins(minutes)).to_string().into();
        // The first comes from a visitor who is not known yet.
        let id = if index == 0 {
            ("anonymousId", "a-1")
        } else {
            ("userId", "u-1")
        };
        call[id.0] = id.1.into();
        for bag in ["properties", "traits"] {
            if let Some(bag) = call.get_mut(bag) {
                bag["n"] = index.into();
            }
        }
    }
    calls
}

/// The calls that an app can make: without pages, at its own time and with its own anonymousId. The alias comes last,
/// since it names the user anew.
pub fn calls_of_an_app(bulk: usize) -> Vec<Value> {
    let mut calls = calls(bulk);
    calls.retain(|call| call["type"] != "page" && call["type"] != "alias");
    calls.push(json!({"type": "alias", "userId": "u-2", "previousId": "u-1"}));
    for call in &mut calls {
        let call = call.as_object_mut().unwrap();
        call.remove("timestamp");
        call.remove("anonymousId");
    }
    calls
}

/// How many minutes ago a call is said to have been made.
fn calls_back(index: usize) -> usize {
    1 + index % 600
}

/// Whether a row (as JSON) is this call's.
pub fn is_of(row: &Value, call: &Value) -> bool {
    if row["type"] != call["type"] {
        return false;
    }
    let number = |bag: &str| call[bag].get("n").and_then(Value::as_f64);
    match number("properties")
        .map(|n| ("properties", n))
        .or(number("traits").map(|n| ("traits", n)))
    {
        Some((bag, n)) => bag_of(row, bag)["n"].as_f64() == Some(n),
        None => row["previous_id"] == call["previousId"],
    }
}

/// What differs between a row and its call. A page may have more properties than it was given, since browsers add
/// where it is.
pub fn differences(row: &Value, call: &Value, remembers: bool, skew: SignedDuration) -> Vec<String> {
    let mut differences = Vec::new();
    let columns = [
        ("type", "type"),
        ("event", "event"),
        ("name", "name"),
        ("userId", "user_id"),
        ("groupId", "group_id"),
        ("previousId", "previous_id"),
        ("anonymousId", "anonymous_id"),
    ];
    for (field, column) in columns {
        // Browsers and apps have an anonymousId of their own and send it with every call; and with a call that a browser sends again,
        // the userId that it has learnt by then.
        let is_id = matches!(field, "anonymousId" | "userId");
        if remembers && is_id && call.get(field).is_none() {
            continue;
        }
        let expected = call.get(field).unwrap_or(&Value::Null);
        if row[column] != *expected {
            differences.push(format!("{column}: {} instead of {expected}", row[column]));
        }
    }
    for bag in ["properties", "traits"] {
        let Some(expected) = call.get(bag) else { continue };
        let found = bag_of(row, bag);
        let only_given = remembers && call["type"] == "page";
        if !same(found, expected, only_given) {
            differences.push(format!("{bag}: {found} instead of {expected}"));
        }
    }
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let Some(said) = time(&call["timestamp"]) else {
        return differences;
    };
    if time(&row["original_timestamp"]) != Some(said) {
        differences.push(format!("original_timestamp: {}", row["original_timestamp"]));
    }
    let near = |stored: Timestamp| stored.duration_since(said).abs() <= skew;
    if !time(&row["occurred_at"]).is_some_and(near) {
        differences.push(format!(
            "occurred_at: {} for {}",
            row["occurred_at"], call["timestamp"]
        ));
    }
    differences
}

/// The properties or traits of a row. `RudderStack`'s SDKs send traits in the context.
fn bag_of<'a>(row: &'a Value, bag: &str) -> &'a Value {
    let column = &row[bag];
    let is_empty = column.as_object().is_none_or(Map::is_empty);
    if is_empty && bag == "traits" {
        return &row["context"]["traits"];
    }
    column
}

/// Equal as JSON, with numbers by value; `more` allows further members at the top.
fn same(found: &Value, expected: &Value, more: bool) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            (more || found.len() == expected.len())
                && expected
                    .iter()
                    .all(|(name, value)| found.get(name).is_some_and(|other| same(other, value, false)))
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|(found, expected)| same(found, expected, false))
        }
        (Value::Number(found), Value::Number(expected)) => found.as_f64() == expected.as_f64(),
        _ => found == expected,
    }
}
