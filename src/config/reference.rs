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
        if property.get("items").is_some() {
            write_header(&mut out, property, &format!("# [[{name}]]"));
            for (key, property) in properties(section) {
                write_key(&mut out, key, property, &defaults[name][key]);
            }
        } else {
            write_section(&mut out, &schema, name, section, &defaults[name]);
        }
    }
    out
}

/// A section, and behind its keys the sections within it.
fn write_section(out: &mut String, schema: &Schema, name: &str, section: &Value, defaults: &Value) {
    write_header(out, section, &format!("[{name}]"));
    let (inner, keys): (Vec<_>, Vec<_>) =
        properties(section).partition(|(_, property)| resolve(schema, property).is_some());
    for (key, property) in keys {
        write_key(out, key, property, &defaults[key]);
    }
    for (key, property) in inner {
        if let Some(section) = resolve(schema, property) {
            write_section(out, schema, &format!("{name}.{key}"), section, &defaults[key]);
        }
    }
}

fn write_header(out: &mut String, described: &Value, header: &str) {
    out.push('\n');
    write_comment(out, described);
    let _ = writeln!(out, "{header}");
}

/// Every known key, dotted; list sections without their index.
pub(super) fn keys() -> Vec<String> {
    let schema = schema_for!(Config);
    let mut keys = Vec::new();
    add_keys(&schema, schema.as_value(), "", &mut keys);
    keys
}

fn add_keys(schema: &Schema, section: &Value, prefix: &str, keys: &mut Vec<String>) {
    for (name, property) in properties(section) {
        let key = format!("{prefix}{name}");
        if let Some(section) = resolve(schema, property) {
            add_keys(schema, section, &format!("{key}."), keys);
        }
        keys.push(key);
    }
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
