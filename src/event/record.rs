use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{EventKind, RawJson, text};

/// How an event reached the log; anything but `Live` may have a copy in another month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    #[default]
    Live,
    /// Waited in the local spool while the log could not be reached.
    Spooled,
    /// History: `received_at` is the event's own timestamp.
    Imported,
    /// A dead letter that was sent again.
    Replayed,
}

impl Origin {
    /// Every origin.
    pub const ALL: [Self; 4] = [Self::Live, Self::Spooled, Self::Imported, Self::Replayed];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Spooled => "spooled",
            Self::Imported => "imported",
            Self::Replayed => "replayed",
        }
    }

    /// Tells whether this is the default, which the wire leaves out.
    pub fn is_live(&self) -> bool {
        *self == Self::Live
    }
}

/// A validated event, ready for the log and for the event store.
///
/// Timestamps are UTC at microsecond precision. Field names are the wire record's and the columns' names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// Version of the record; see [`super::wire::VERSION`].
    pub v: u8,
    pub event_id: Uuid,
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When ingest accepted it; for an import the event's own timestamp. Decides the month.
    pub received_at: Timestamp,
    /// The true time of acceptance; differs from `received_at` for imports only.
    pub accepted_at: Timestamp,
    /// The client's time, corrected for the skew of its clock.
    pub occurred_at: Timestamp,
    /// `timestamp` as the client sent it, where usable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_timestamp: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// Name of a track event.
    #[serde(
        borrow,
        default,
        deserialize_with = "text::borrowed",
        skip_serializing_if = "Option::is_none"
    )]
    pub event: Option<Cow<'a, str>>,
    /// Name of a page or screen.
    #[serde(
        borrow,
        default,
        deserialize_with = "text::borrowed",
        skip_serializing_if = "Option::is_none"
    )]
    pub name: Option<Cow<'a, str>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "text::borrowed",
        skip_serializing_if = "Option::is_none"
    )]
    pub user_id: Option<Cow<'a, str>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "text::borrowed",
        skip_serializing_if = "Option::is_none"
    )]
    pub anonymous_id: Option<Cow<'a, str>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "text::borrowed",
        skip_serializing_if = "Option::is_none"
    )]
    pub group_id: Option<Cow<'a, str>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "text::borrowed",
        skip_serializing_if = "Option::is_none"
    )]
    pub previous_id: Option<Cow<'a, str>>,
    /// The client's own id of the event, before it became `event_id`.
    #[serde(
        borrow,
        default,
        deserialize_with = "text::borrowed",
        skip_serializing_if = "Option::is_none"
    )]
    pub message_id: Option<Cow<'a, str>>,
    /// Name of the write key that it came with.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// Whether that source was trusted when the event came.
    pub trusted: bool,
    pub is_bot: bool,
    #[serde(default, skip_serializing_if = "Origin::is_live")]
    pub origin: Origin,
    /// The client's JSON object, byte for byte.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<RawJson<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub traits: Option<RawJson<'a>>,
    /// Rebuilt by ingest: the client's object with ip (truncated) and userAgent filled in.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub context: Option<RawJson<'a>>,
}

impl Event<'_> {
    /// The person's id, which keys the log: all events of a person stay in order in one partition.
    pub fn person_key(&self) -> &str {
        self.user_id
            .as_deref()
            .or(self.anonymous_id.as_deref())
            .unwrap_or_default()
    }
}

/// Bytes that could not become an event, kept as text where they are UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    Text(String),
    /// Standard base64 of bytes that are no UTF-8.
    Base64(String),
}

/// An event that ingest refused, on its way through the log to `dead_letters`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    pub v: u8,
    pub rejected: RejectedBecause,
    /// The id that the event gets if it is replayed.
    pub event_id: Uuid,
    pub received_at: Timestamp,
    pub source: String,
    pub trusted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    pub origin: Origin,
    /// What the request gave the event besides its own text, as JSON (type by route, batch defaults,
    /// the client's truncated address and user agent), so that a replay decodes it as ingest did.
    pub scope: serde_json::Value,
    pub payload: Payload,
    /// Length in bytes of the payload as it may be kept, without what is redacted; more than is kept where it was
    /// cut.
    pub payload_length: u64,
    /// SHA-256 of the whole payload as it came, in hex.
    pub payload_sha256: String,
}

/// Why an event was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedBecause {
    /// Stable, documented reason in snake case.
    pub code: String,
    /// JSON pointer to the offending place in the event; empty for the event itself.
    pub pointer: String,
    /// One sentence for a person.
    pub detail: String,
}
