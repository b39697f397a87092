//! What a key takes, in words, from the schema of its type and its default.

use std::net::SocketAddr;

use bytesize::ByteSize;
use humantime_serde::re::humantime;
use jiff::Timestamp;
use schemars::schema_for;
use serde_json::Value;

use super::Config;

/// What a key takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// `one of text, json, auto`.
    pub(super) words: String,
    /// How it is written, `format = "auto"`.
    pub(super) example: String,
    /// Whether a wrong value may be shown: it is neither a secret nor may hold one.
    pub(super) may_be_shown: bool,
    /// A list of tables, as `[[sources]]`.
    pub(super) is_list_of_sections: bool,
}

/// What a dotted key takes; numbers in it are places in lists. `None` for an unknown one.
pub(super) fn expected(field: &str) -> Option<Expected> {
    let schema = schema_for!(Config).to_value();
    let names = field.split('.').filter(|name| name.parse::<usize>().is_err());
    let mut property = &schema;
    let mut last = field;
    for name in names {
        property = inside(&schema, property)["properties"].get(name)?;
        last = name;
    }
    let is_list = property.get("items").is_some();
    let inner = inside(&schema, property);
    let is_section = inner.get("properties").is_some();
    let (words, example) = match (is_section, is_list) {
        (true, true) => (
            format!("a list of sections, each with the head [[{last}]]"),
            format!("[[{last}]]"),
        ),
        (true, false) => (format!("a section, with the head [{last}]"), format!("[{last}]")),
        _ if field == "http.trusted_proxies" => (
            "a list of addresses or networks".to_owned(),
            format!("{last} = [\"10.0.0.0/8\"]"),
        ),
        (false, true) => (
            format!("a list of {}", words(inner, &Value::Null, true)),
            format!("{last} = {}", list_example(property, inner)),
        ),
        (false, false) => (
            words(inner, &property["default"], false),
            format!("{last} = {}", example(property)),
        ),
    };
    Some(Expected {
        words,
        example,
        may_be_shown: !is_section && !is_secret(property),
        is_list_of_sections: is_section && is_list,
    })
}

/// The schema behind a reference, an option or a list.
fn inside<'a>(schema: &'a Value, property: &'a Value) -> &'a Value {
    let target = property
        .pointer("/items")
        .or_else(|| property.pointer("/anyOf/0"))
        .unwrap_or(property);
    let reference = target["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
    reference
        .and_then(|pointer| schema.pointer(pointer))
        .unwrap_or(target)
}

fn is_secret(property: &Value) -> bool {
    let reference = property.pointer("/anyOf/0/$ref").or_else(|| property.get("$ref"));
    reference
        .and_then(Value::as_str)
        .is_some_and(|name| name.ends_with("/Secret"))
}

/// `many`: said of the items of a list.
fn words(schema: &Value, default: &Value, many: bool) -> String {
    let choices = choices(schema);
    if !choices.is_empty() {
        let one_of = if many { "" } else { "one of " };
        return format!("{one_of}{}", choices.join(", "));
    }
    match schema["type"].as_str() {
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => whole_number(schema),
        Some("number") => "a number".to_owned(),
        _ if many => "texts, each in quotes".to_owned(),
        _ => text(default.as_str().unwrap_or_default()).to_owned(),
    }
}

/// The values of an enumeration, which schemars writes in three ways.
fn choices(schema: &Value) -> Vec<&str> {
    let parts = schema["oneOf"]
        .as_array()
        .map_or(std::slice::from_ref(schema), Vec::as_slice);
    let named = parts.iter().flat_map(|part| {
        let many = part["enum"].as_array().into_iter().flatten();
        many.chain(part.get("const"))
    });
    named.filter_map(Value::as_str).collect()
}

/// The schema leaves out the greatest number of the large types; what is below zero is validated apart.
fn whole_number(schema: &Value) -> String {
    let least = schema["minimum"].as_i64().filter(|least| *least >= 0);
    match (least, schema["maximum"].as_i64()) {
        (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
        (Some(least), None) => format!("a whole number from {least}"),
        (None, Some(most)) => format!("a whole number up to {most}"),
        (None, None) => "a whole number".to_owned(),
    }
}

/// A text's kind shows in its default: the schema knows only that it is text.
fn text(default: &str) -> &'static str {
    if default.parse::<SocketAddr>().is_ok() {
        "an address and a port"
    } else if default.parse::<Timestamp>().is_ok() {
        "a time with its zone"
    } else if humantime::parse_duration(default).is_ok() {
        "a duration with its unit"
    } else if default.parse::<ByteSize>().is_ok() {
        "a size"
    } else {
        "a text in quotes"
    }
}

fn example(property: &Value) -> String {
    match &property["default"] {
        Value::Null => "\"…\"".to_owned(),
        Value::String(text) if text.is_empty() => "\"…\"".to_owned(),
        default => default.to_string(),
    }
}

fn list_example(property: &Value, inner: &Value) -> String {
    match property["default"].as_array() {
        Some(items) if !items.is_empty() => property["default"].to_string(),
        _ => match choices(inner).first() {
            Some(choice) => format!("[\"{choice}\"]"),
            None => "[\"…\"]".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A key, what it takes, and how it is written.
    const KINDS: [(&str, &str, &str); 19] = [
        ("log.format", "one of text, json, auto", "format = \"auto\""),
        ("ingest.ip", "one of truncate, full, drop", "ip = \"truncate\""),
        (
            "kafka.compression",
            "one of none, gzip, snappy, lz4",
            "compression = \"lz4\"",
        ),
        (
            "roles",
            "a list of ingest, capture, pixel, user-views",
            "roles = [\"ingest\",\"capture\",\"pixel\",\"user-views\"]",
        ),
        (
            "http.listen",
            "an address and a port",
            "listen = \"127.0.0.1:8080\"",
        ),
        ("http.max_body", "a size", "max_body = \"4.0 MiB\""),
        ("capture.lease", "a duration with its unit", "lease = \"10s\""),
        (
            "ingest.backdate_from",
            "a time with its zone",
            "backdate_from = \"1990-01-01T00:00:00Z\"",
        ),
        (
            "capture.months_ahead",
            "a whole number from 0 to 255",
            "months_ahead = 3",
        ),
        ("kafka.partitions", "a whole number", "partitions = 6"),
        ("kafka.create_topic", "true or false", "create_topic = true"),
        ("data_dir", "a text in quotes", "data_dir = \"momsflow-data\""),
        (
            "log.level",
            "a text in quotes",
            "level = \"info,actix_server=warn,refinery_core=warn\"",
        ),
        (
            "kafka.brokers",
            "a list of texts, each in quotes",
            "brokers = [\"…\"]",
        ),
        (
            "http.trusted_proxies",
            "a list of addresses or networks",
            "trusted_proxies = [\"10.0.0.0/8\"]",
        ),
        ("http", "a section, with the head [http]", "[http]"),
        (
            "sources",
            "a list of sections, each with the head [[sources]]",
            "[[sources]]",
        ),
        ("sources.3.trusted", "true or false", "trusted = false"),
        ("postgres.bin_dir", "a text in quotes", "bin_dir = \"…\""),
    ];

    #[test]
    fn each_kind_is_told_in_words() {
        for (field, words, example) in KINDS {
            let expected = expected(field).unwrap();
            assert_eq!(
                (expected.words.as_str(), expected.example.as_str()),
                (words, example),
                "{field}"
            );
        }
        assert_eq!(expected("http.lisen"), None);
    }

    #[test]
    fn secrets_and_what_may_hold_them_are_not_shown() {
        for (field, may_be_shown) in [
            ("write_key", false),
            ("postgres.events_url", false),
            ("sources.0.key", false),
            ("postgres", false),
            ("sources", false),
            ("sources.0.key_file", true),
            ("log.format", true),
        ] {
            assert_eq!(expected(field).unwrap().may_be_shown, may_be_shown, "{field}");
        }
    }
}
