use proptest::prelude::*;
use serde_json::Value;

use super::super::{JsonType, RejectCode, scan_object, unescape};
use super::any_json;

fn fault(raw: &str) -> (RejectCode, String) {
    let reject = scan_object(raw, |_, _, _| ()).unwrap_err();
    (reject.code, reject.pointer)
}

fn nested(levels: usize) -> String {
    format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn faults_have_a_code_and_a_place() {
    use RejectCode::*;
    for (raw, code, pointer) in [
        (r#"{"a":{"b/c":["x","\u0000"]}}"#, NulCharacter, "/a/b~1c/1"),
        (r#"{"a":{"~k":"\ud800"}}"#, LoneSurrogate, "/a/~0k"),
        (r#"{"a":"\ud800\u0041"}"#, LoneSurrogate, "/a"),
        (r#"{"a":"\udc00"}"#, LoneSurrogate, "/a"),
        (r#"{"a":{"\u0000":1}}"#, NulCharacter, "/a"),
        (r#"{"a":1e400}"#, NumberOutOfRange, "/a"),
        (r#"{"a":-1e309}"#, NumberOutOfRange, "/a"),
        (r#"{"a":1e-400}"#, NumberOutOfRange, "/a"),
        (r#"{"a":[0,1e131000]}"#, NumberOutOfRange, "/a/1"),
        (r#"{"a":1e99999999999999999999}"#, NumberOutOfRange, "/a"),
        (&format!("{{\"a\":{}}}", "7".repeat(101)), NumberOutOfRange, "/a"),
        (&nested(65), NestingTooDeep, &format!("/a{}", "/0".repeat(64))),
        ("[1]", NotAnObject, ""),
        ("null", NotAnObject, ""),
        ("\"\\u0000\"", NotAnObject, ""),
        ("{\"a\":1", MalformedJson, ""),
        ("{\"a\":01}", MalformedJson, ""),
        ("{\"a\":\"\n\"}", MalformedJson, ""),
        ("{\"a\":1}x", MalformedJson, ""),
        ("", MalformedJson, ""),
        ("{'a':1}", MalformedJson, ""),
        ("{\"a\":1,}", MalformedJson, ""),
        ("{\"a\":NaN}", MalformedJson, ""),
    ] {
        assert_eq!(fault(raw), (code, pointer.to_owned()), "{raw}");
    }
}

#[test]
fn the_limits_themselves_are_in() {
    for raw in [
        nested(64),
        format!("{{\"a\":{}}}", "7".repeat(100)),
        r#"{"a":1.7976931348623157e308,"b":5e-324,"c":0e0,"d":-0.0,"e":0.0e-300}"#.to_owned(),
        r#" {"a" : "\ud83d\ude00 \\u0000", "b":[ ],"c":{ } } "#.to_owned(),
    ] {
        assert_eq!(scan_object(&raw, |_, _, _| ()), Ok(()), "{raw}");
    }
}

#[test]
fn members_are_shown_as_they_are_written() {
    let mut seen = Vec::new();
    scan_object(
        r#"{"a" : [1, 2] ,"\u0062":"x\"y","c":null}"#,
        |key, value, json_type| {
            seen.push((unescape(key).into_owned(), value.to_owned(), json_type));
        },
    )
    .unwrap();
    assert_eq!(
        seen,
        [
            ("a".to_owned(), "[1, 2]".to_owned(), JsonType::Array),
            ("b".to_owned(), "\"x\\\"y\"".to_owned(), JsonType::String),
            ("c".to_owned(), "null".to_owned(), JsonType::Null),
        ]
    );
}

/// The rules again, slowly, over a parsed value.
fn storable(value: &Value, depth: usize) -> bool {
    match value {
        Value::String(text) => !text.contains('\0'),
        Value::Array(items) => depth < 64 && items.iter().all(|item| storable(item, depth + 1)),
        Value::Object(members) => {
            depth < 64
                && members
                    .iter()
                    .all(|(key, item)| !key.contains('\0') && storable(item, depth + 1))
        }
        _ => true,
    }
}

/// Strings are read eight bytes at a time where nothing is in them.
#[test]
fn no_byte_of_a_string_is_overlooked() {
    for length in 1..40 {
        for at in 0..length {
            for odd in ['"', '\\', '\u{1}', '\u{1f}', ' ', '!', '\u{7f}', 'ü', '€', '😀'] {
                let text: String = (0..length).map(|n| if n == at { odd } else { 'x' }).collect();
                let raw = format!(r#"{{"{text}":"{text}"}}"#);
                let is_json = serde_json::from_str::<Value>(&raw).is_ok();
                let mut seen = None;
                let scanned = scan_object(&raw, |key, value, _| seen = Some((key.len(), value.len())));
                assert_eq!(scanned.is_ok(), is_json, "{raw}");
                if is_json {
                    assert_eq!(seen, Some((text.len(), text.len() + 2)));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever JSON is written, the scanner takes it exactly where the slow rules do.
    #[test]
    fn agrees_with_the_slow_rules(value in any_json(), pretty in any::<bool>()) {
        let object = serde_json::json!({ "a": value });
        let raw = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) }.unwrap();
        let members_fit = storable(&object["a"], 0);
        prop_assert_eq!(scan_object(&raw, |_, _, _| ()).is_ok(), members_fit, "{}", raw);
    }

    /// On text that is nearly JSON, the grammar is serde_json's.
    #[test]
    fn agrees_with_serde_json_on_the_grammar(raw in r#"\{"a":[ \[\]{}:,"0-9.eE+\-\\ua-fntrls]{0,24}\}?"#) {
        match scan_object(&raw, |_, _, _| ()) {
            Ok(()) => prop_assert!(serde_json::from_str::<Value>(&raw).is_ok(), "{}", raw),
            Err(reject) if reject.code == RejectCode::MalformedJson => {
                prop_assert!(serde_json::from_str::<Value>(&raw).is_err(), "{}", raw);
            }
            Err(_) => {}
        }
    }

    #[test]
    fn never_panics(raw in ".*") {
        let _ = scan_object(&raw, |_, _, _| ());
        let _ = scan_object(&format!("{{\"a\":\"{raw}"), |_, _, _| ());
    }
}
