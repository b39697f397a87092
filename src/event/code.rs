use std::fmt;

use super::batch::head;

/// The longest pointer that is kept with a dead letter.
const MAX_KEPT_POINTER: usize = 1024;

/// Why an event was refused: a stable word that clients may act on and docs/http-api.md lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectCode {
    /// The text is no JSON.
    MalformedJson,
    /// The bytes are no UTF-8.
    InvalidUtf8,
    /// JSON, but no object where one is needed.
    NotAnObject,
    /// A batch without a list of events under `batch`.
    MissingBatch,
    /// A batch without events.
    EmptyBatch,
    /// An event of a batch does not say its `type`.
    MissingType,
    /// The `type` is none of the Segment spec's.
    UnknownType,
    /// A track event without `event`.
    MissingName,
    /// Neither `userId` nor `anonymousId`.
    MissingIdentity,
    /// An id of more than 512 bytes.
    IdTooLong,
    /// A name of more than 512 bytes.
    NameTooLong,
    /// A field holds another JSON type than the spec's.
    InvalidFieldType,
    /// `\u0000`, which PostgreSQL cannot hold.
    NulCharacter,
    /// Half of a UTF-16 surrogate pair.
    LoneSurrogate,
    /// A number beyond the range of a double or of more than 100 digits.
    NumberOutOfRange,
    /// Objects and arrays nested more than 64 deep.
    NestingTooDeep,
    /// The event's JSON text is longer than `ingest.max_event`.
    EventTooLarge,
    /// History without a usable `timestamp`.
    MissingTimestamp,
    /// History from before `ingest.backdate_from` or from the future.
    TimestampOutOfBounds,
}

impl RejectCode {
    /// Every code, for the documentation's test.
    pub const ALL: [Self; 19] = [
        Self::MalformedJson,
        Self::InvalidUtf8,
        Self::NotAnObject,
        Self::MissingBatch,
        Self::EmptyBatch,
        Self::MissingType,
        Self::UnknownType,
        Self::MissingName,
        Self::MissingIdentity,
        Self::IdTooLong,
        Self::NameTooLong,
        Self::InvalidFieldType,
        Self::NulCharacter,
        Self::LoneSurrogate,
        Self::NumberOutOfRange,
        Self::NestingTooDeep,
        Self::EventTooLarge,
        Self::MissingTimestamp,
        Self::TimestampOutOfBounds,
    ];

    /// The code in answers, dead letters and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::NotAnObject => "not_an_object",
            Self::MissingBatch => "missing_batch",
            Self::EmptyBatch => "empty_batch",
            Self::MissingType => "missing_type",
            Self::UnknownType => "unknown_type",
            Self::MissingName => "missing_name",
            Self::MissingIdentity => "missing_identity",
            Self::IdTooLong => "id_too_long",
            Self::NameTooLong => "name_too_long",
            Self::InvalidFieldType => "invalid_field_type",
            Self::NulCharacter => "nul_character",
            Self::LoneSurrogate => "lone_surrogate",
            Self::NumberOutOfRange => "number_out_of_range",
            Self::NestingTooDeep => "nesting_too_deep",
            Self::EventTooLarge => "event_too_large",
            Self::MissingTimestamp => "missing_timestamp",
            Self::TimestampOutOfBounds => "timestamp_out_of_bounds",
        }
    }
}

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with an event, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} at {pointer:?}: {detail}")]
pub struct Reject {
    pub code: RejectCode,
    /// JSON pointer (RFC 6901) into the event; empty for the event itself.
    pub pointer: String,
    /// One sentence for a person.
    pub detail: String,
}

impl Reject {
    /// Names a fault at a place.
    pub fn at(code: RejectCode, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            code,
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }

    /// Names a fault of the whole event.
    pub fn whole(code: RejectCode, detail: impl Into<String>) -> Self {
        Self::at(code, "", detail)
    }
}

impl From<Reject> for super::RejectedBecause {
    fn from(reject: Reject) -> Self {
        Self {
            code: reject.code.as_str().to_owned(),
            // A pointer is as long as the names on its way.
            pointer: head(&reject.pointer, MAX_KEPT_POINTER).to_owned(),
            detail: reject.detail,
        }
    }
}
