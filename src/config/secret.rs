use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Fault;

/// A value that logs, errors and `config show` never print.
#[derive(Clone, JsonSchema, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value, so that it no longer prints.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Whether it is empty or only blanks.
    pub(super) fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// The value itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"***\"")
    }
}

/// Only text: a number would not be what was written (`0x10`, `1_000`), and errors would show it.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text)
    }
}

struct Text;

impl Text {
    fn refuse<E: de::Error>() -> Result<Secret, E> {
        Err(E::custom("expected a string, in quotes"))
    }
}

impl de::Visitor<'_> for Text {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::new(text))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Self::refuse()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
        Self::refuse()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Self::refuse()
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        Self::refuse()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// Why a key or another secret cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    #[error("needs exactly one of {0}, {0}_file and {0}_env")]
    NotOne(&'static str),
    #[error("must not be empty")]
    Empty,
    #[error("the variable {0} is not set")]
    NoVariable(String),
    #[error("the file {} cannot be read: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("the file {} is empty", .0.display())]
    EmptyFile(PathBuf),
}

impl KeyFault {
    pub(super) fn hint(&self, name: &str) -> String {
        match self {
            Self::NotOne(_) | Self::Empty => format!("{name} = \"…\""),
            Self::NoVariable(_) => format!("set it, or use {name}_file"),
            Self::Unreadable { .. } => "the user that runs momsflow must be able to read it".to_owned(),
            Self::EmptyFile(_) => format!("write the {name} into it"),
        }
    }

    pub(super) fn is_of_file(&self) -> bool {
        matches!(self, Self::Unreadable { .. } | Self::EmptyFile(_))
    }
}

/// A secret's three keys in the config, of which one at most is given.
pub(super) struct Place<'a> {
    pub(super) name: &'static str,
    pub(super) value: Option<&'a Secret>,
    pub(super) file: Option<&'a Path>,
    pub(super) variable: Option<&'a str>,
}

impl Place<'_> {
    /// The secret, from wherever it is kept; `None` where nobody gave one.
    ///
    /// # Errors
    /// When it is out of reach, or given twice.
    pub(super) fn read(&self, env: &HashMap<String, String>) -> Result<Option<Secret>, KeyFault> {
        match (self.value, self.file, self.variable) {
            (None, None, None) => Ok(None),
            (Some(value), None, None) if value.is_blank() => Err(KeyFault::Empty),
            (Some(value), None, None) => Ok(Some(value.clone())),
            (None, Some(path), None) => read_file(path).map(Some),
            (None, None, Some(name)) => match env.get(name).map(|value| value.trim()) {
                None | Some("") => Err(KeyFault::NoVariable(name.to_owned())),
                Some(value) => Ok(Some(Secret::new(value))),
            },
            _ => Err(KeyFault::NotOne(self.name)),
        }
    }
}

/// A section's key, from wherever it is kept.
///
/// # Errors
/// When there is none, or it is out of reach.
pub(super) fn read_key(
    value: Option<&Secret>,
    file: Option<&Path>,
    variable: Option<&str>,
    env: &HashMap<String, String>,
) -> Result<Secret, KeyFault> {
    let name = "key";
    let place = Place {
        name,
        value,
        file,
        variable,
    };
    place.read(env)?.ok_or(KeyFault::NotOne(name))
}

/// Collects what is wrong with a section's key, but for its file where nobody needs it: commands that take no events may
/// be run by somebody who may not read it.
pub(super) fn note_key_fault(
    fault: &KeyFault,
    is_needed: bool,
    field: &dyn Fn(&str) -> String,
    faults: &mut Vec<Fault>,
) {
    let name = match fault.is_of_file() {
        true if !is_needed => return,
        true => "key_file",
        false => "key",
    };
    faults.push(Fault::new(field(name), fault.to_string(), fault.hint("key")));
}

fn read_file(path: &Path) -> Result<Secret, KeyFault> {
    let text = std::fs::read_to_string(path).map_err(|error| KeyFault::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    match text.trim() {
        "" => Err(KeyFault::EmptyFile(path.to_owned())),
        value => Ok(Secret::new(value)),
    }
}
