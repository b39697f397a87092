//! What a configuration gives for a key, and where.

use std::collections::HashMap;
use std::path::Path;

use config::{Value, ValueKind};
use serde_json::Value as Json;

use super::expected::expected;
use super::line::line_of;
use super::{Fault, Overrides};

/// What is shown of a value.
const SHOWN: usize = 60;

/// Where values come from.
pub(super) struct Places<'a> {
    /// With its text.
    pub(super) file: Option<(&'a Path, &'a str)>,
    /// The keys that flags set, and the flags.
    pub(super) flags: Vec<(&'static str, &'static str)>,
    /// The variables that are configuration.
    pub(super) variables: Vec<&'a str>,
}

impl<'a> Places<'a> {
    pub(super) fn new(
        file: Option<(&'a Path, &'a str)>,
        overrides: &Overrides,
        ours: &'a HashMap<String, String>,
    ) -> Self {
        let flags = [
            ("data_dir", "--data-dir", overrides.data_dir.is_some()),
            ("roles", "--roles", overrides.roles.is_some()),
        ];
        let flags = flags.into_iter().filter(|(_, _, is_given)| *is_given);
        let mut variables: Vec<_> = ours.keys().map(String::as_str).collect();
        variables.sort_unstable();
        Self {
            file,
            flags: flags.map(|(key, flag, _)| (key, flag)).collect(),
            variables,
        }
    }

    /// The variable that sets a key, or something in its section.
    pub(super) fn variable(&self, field: &str) -> Option<&'a str> {
        let wanted = format!("{}{}", super::load::PREFIX, field.replace('.', "__")).to_uppercase();
        let inside = format!("{wanted}__");
        let sets = |name: &&str| {
            let name = name.to_uppercase();
            name == wanted || name.starts_with(&inside)
        };
        self.variables.iter().copied().find(sets)
    }

    /// `momsflow.toml:12`; of a key that is not there, where its section begins.
    fn line(&self, field: &str) -> Option<String> {
        let (path, text) = self.file?;
        let line = line_of(text, field)?;
        Some(format!("{}:{line}", path.display()))
    }

    /// Where a key is said that nobody knows.
    pub(super) fn unknown(&self, field: &str) -> String {
        match (self.variable(field), self.line(field)) {
            (Some(variable), _) => format!(", which {variable} sets"),
            (None, Some(line)) => format!(", in {line}"),
            (None, None) => String::new(),
        }
    }

    /// Adds to a fault what its key is, and who says so. `given` is what file and environment say, `in_force` what
    /// became of it, with flags and defaults.
    pub(super) fn complete(&self, fault: &mut Fault, given: &Value, in_force: &Json) {
        let field = &fault.field;
        let flag = self
            .flags
            .iter()
            .find(|(key, _)| key == field)
            .map(|(_, flag)| *flag);
        let value = in_force.pointer(&format!("/{}", field.replace('.', "/")));
        let value = value
            .filter(|value| !value.is_null())
            .map(|value| cut(&value.to_string()));
        let may_be_shown = expected(field).is_some_and(|expected| expected.may_be_shown);
        let place = self
            .variable(field)
            .map(str::to_owned)
            .or_else(|| self.line(field));
        fault.constraint += &match (flag, at(given, field), place, value) {
            (Some(flag), _, _, Some(value)) => format!("; it is {value} in {flag}"),
            (None, Some(given), Some(place), _) if may_be_shown => {
                format!("; it is {} in {place}", shown(&given.kind))
            }
            (None, None, _, Some(value)) if may_be_shown => format!("; it is {value} by default"),
            (_, _, Some(place), _) => format!("; see {place}"),
            _ => String::new(),
        };
    }

    /// A value that its key cannot take: what it takes, what was given, and where.
    pub(super) fn wrong_value(&self, field: &str, value: &Value) -> Fault {
        // Flags are read by clap.
        let place = self.variable(field).map(str::to_owned);
        let place = place
            .or_else(|| self.line(field))
            .map(|place| format!(" in {place}"));
        let place = place.unwrap_or_default();
        // Unknown keys take every value.
        let Some(expected) = expected(field) else {
            return Fault::new(field, format!("cannot be read{place}"), HINT);
        };
        let given = match expected.may_be_shown {
            true => shown(&value.kind),
            false => kind(&value.kind).to_owned(),
        };
        Fault::new(
            field,
            format!("must be {}, but is {given}{place}", expected.words),
            expected.example,
        )
    }
}

const HINT: &str = "`momsflow config reference` shows what it takes";

/// Without its content.
fn kind(value: &ValueKind) -> &'static str {
    match value {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_) => "a number",
        ValueKind::String(_) => "a text",
        ValueKind::Table(_) => "a section",
        ValueKind::Array(_) => "a list",
    }
}

/// The value of a dotted key; numbers in it are places in lists.
fn at<'v>(value: &'v Value, field: &str) -> Option<&'v Value> {
    field.split('.').try_fold(value, |value, step| match &value.kind {
        ValueKind::Table(table) => table.get(step),
        ValueKind::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

fn shown(value: &ValueKind) -> String {
    let text = match value {
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shown(&item.kind)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Nil | ValueKind::Table(_) => kind(value).to_owned(),
        plain => plain.to_string(),
    };
    cut(&text)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
