use std::fmt::Write as _;

use schemars::{Schema, schema_for};
use serde_json::Value;

use super::Config;

/// The commented example of every key with its default, in TOML; made from the types themselves.
pub fn reference() -> String {
    let schema = schema_for!(Config);
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut out = String::from(
        "# momsflow configuration. Every key has the default shown; uncomment what you change.\n\
         # The environment overrides the file: MOMSFLOW_<SECTION>__<KEY>, as in MOMSFLOW_HTTP__LISTEN=0.0.0.0:8080.\n",
    );
    let mut sections = Vec::new();
    for (name, property) in properties(schema.as_value()) {
        match resolve(&schema, property) {
            Some(section) => sections.push((name, property, section)),
            None => write_key(&mut out, name, property, &defaults[name]),
        }
    }
    for (name, property, section) in sections {
        let is_list = property.get("items").is_some();
        out.push('\n');
        write_comment(&mut out, if is_list { property } else { section });
        let _ = if is_list {
            writeln!(out, "# [[{name}]]")
        } else {
            writeln!(out, "[{name}]")
        };
        for (key, property) in properties(section) {
            write_key(&mut out, key, property, &defaults[name][key]);
        }
    }
    out
}

/// Every known key, dotted; list sections without their index.
pub(super) fn keys() -> Vec<String> {
    let schema = schema_for!(Config);
    let mut keys = Vec::new();
    for (name, property) in properties(schema.as_value()) {
        keys.push(name.clone());
        if let Some(section) = resolve(&schema, property) {
            keys.extend(properties(section).map(|(key, _)| format!("{name}.{key}")));
        }
    }
    keys
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

/// The table that a property holds, directly or as a list's items; `None` for plain values.
fn resolve<'a>(schema: &'a Schema, property: &'a Value) -> Option<&'a Value> {
    let reference = property
        .get("$ref")
        .or_else(|| property.get("items").and_then(|items| items.get("$ref")))?;
    let target = schema
        .as_value()
        .pointer(reference.as_str()?.strip_prefix('#')?)?;
    target.get("properties").is_some().then_some(target)
}

fn write_comment(out: &mut String, schema: &Value) {
    for line in schema["description"].as_str().unwrap_or_default().lines() {
        let _ = writeln!(out, "# {line}");
    }
}

fn write_key(out: &mut String, key: &str, property: &Value, default: &Value) {
    out.push('\n');
    write_comment(out, property);
    let default = match default {
        Value::Null => property.get("default").unwrap_or(default),
        known => known,
    };
    let _ = match default {
        Value::Null => writeln!(out, "# {key} ="),
        value => writeln!(out, "# {key} = {value}"),
    };
}
