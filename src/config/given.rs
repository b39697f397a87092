//! What a configuration gives for a key, and where.

use std::collections::HashMap;
use std::path::Path;

use config::{Value, ValueKind};

use super::Fault;
use super::expected::expected;

/// What is shown of a value.
const SHOWN: usize = 60;

/// Where values come from.
pub(super) struct Places<'a> {
    pub(super) file: Option<&'a Path>,
    /// The variables that are configuration.
    pub(super) variables: Vec<&'a str>,
}

impl<'a> Places<'a> {
    pub(super) fn new(file: Option<&'a Path>, ours: &'a HashMap<String, String>) -> Self {
        let mut variables: Vec<_> = ours.keys().map(String::as_str).collect();
        variables.sort_unstable();
        Self { file, variables }
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

    /// A value that its key cannot take: what it takes, what was given, and where.
    pub(super) fn wrong_value(&self, field: &str, value: &Value) -> Fault {
        let place = match (self.variable(field), self.file) {
            (Some(variable), _) => format!(" in {variable}"),
            (None, Some(file)) => format!(" in {}", file.display()),
            (None, None) => String::new(),
        };
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
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
