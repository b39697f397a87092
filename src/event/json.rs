use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// JSON text that is passed on as it came: borrowed from a request body or a log record, or rebuilt.
#[derive(Clone, Debug)]
pub enum RawJson<'a> {
    Borrowed(&'a RawValue),
    Owned(Box<RawValue>),
    /// Text that [`super::scan_object`] has read, or that was built from such text.
    Scanned(Cow<'a, str>),
}

impl RawJson<'_> {
    /// The JSON text.
    pub fn get(&self) -> &str {
        match self {
            Self::Borrowed(raw) => raw.get(),
            Self::Owned(raw) => raw.get(),
            Self::Scanned(text) => text,
        }
    }
}

impl PartialEq for RawJson<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Serialize for RawJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Borrowed(raw) => raw.serialize(serializer),
            Self::Owned(raw) => raw.serialize(serializer),
            // RawValue has no constructor that borrows without reading the text again. The wire's encoder,
            // which is the hot path, writes the text itself.
            Self::Scanned(text) => RawValue::from_string(text.clone().into_owned())
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawJson<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a RawValue>::deserialize(deserializer).map(Self::Borrowed)
    }
}
