use std::borrow::Cow;

/// Type of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JsonType {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl JsonType {
    /// The name that PostgreSQL's `jsonb_typeof` uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// The text of a JSON string or key, given without its quotes. Only for text that was scanned.
pub fn unescape(between_quotes: &str) -> Cow<'_, str> {
    if !between_quotes.contains('\\') {
        return Cow::Borrowed(between_quotes);
    }
    // A lone surrogate is the one thing that serde_json refuses and the scanner may not have reached yet.
    match serde_json::from_str::<String>(&format!("\"{between_quotes}\"")) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(between_quotes),
    }
}
