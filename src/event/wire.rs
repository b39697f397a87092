//! The log record: one JSON object an event, documented in docs/wire-format.md.

use bytes::Bytes;

use super::record::{Event, Origin, Rejection};
use super::{encode, storable};

/// Version of the records that this binary writes, and the newest that it reads.
pub const VERSION: u8 = 1;

/// What a log record holds.
#[derive(Debug, PartialEq)]
pub enum WireRecord<'a> {
    Event(Box<Event<'a>>),
    Rejection(Box<Rejection>),
}

/// Why a log record could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WireError {
    /// Written by a newer momsflow: an upgrade reads it, so it must wait and never be dropped.
    #[error("the record has version {0}, this momsflow reads up to {VERSION}; upgrade it")]
    NewerVersion(u64),
    /// Not a record of momsflow.
    #[error("not a momsflow record: {0}")]
    Foreign(String),
}

/// Encodes an event for the log.
///
/// Written by hand, since this runs once for each event: JSON texts are copied as they are. It equals what
/// the derived `Serialize` writes.
pub fn encode_event(event: &Event<'_>) -> Vec<u8> {
    encode::event(event)
}

/// Encodes a refused event for the log.
pub fn encode_rejection(rejection: &Rejection) -> Vec<u8> {
    // Serialising plain structs of strings and numbers into memory has no failure path.
    serde_json::to_vec(rejection).expect("records serialise")
}

/// Marks an event's record as one that waited in the spool; what is not live, or no event, stays as it is.
pub fn spooled(bytes: Bytes) -> Bytes {
    match decode(&bytes) {
        Ok(WireRecord::Event(mut event)) if event.origin.is_live() => {
            event.origin = Origin::Spooled;
            encode_event(&event).into()
        }
        _ => bytes,
    }
}

/// Decodes the record of an event that PostgreSQL can hold, in one pass over its text. `None` for anything else:
/// [`decode`] and [`super::validate`] say what it is, and what is wrong with it.
pub fn decode_storable(bytes: &[u8]) -> Option<Event<'_>> {
    storable::read(std::str::from_utf8(bytes).ok()?)
}

/// Decodes a log record.
///
/// # Errors
/// [`WireError::NewerVersion`] must be retried after an upgrade; [`WireError::Foreign`] is a dead letter.
pub fn decode(bytes: &[u8]) -> Result<WireRecord<'_>, WireError> {
    let text = std::str::from_utf8(bytes).map_err(|error| WireError::Foreign(error.to_string()))?;
    match serde_json::from_str::<Event<'_>>(text) {
        Ok(event) if event.v <= VERSION => Ok(WireRecord::Event(Box::new(event))),
        Ok(event) => Err(WireError::NewerVersion(event.v.into())),
        Err(error) => decode_other(text, &error),
    }
}

fn decode_other<'a>(text: &str, event_error: &serde_json::Error) -> Result<WireRecord<'a>, WireError> {
    #[derive(serde::Deserialize)]
    struct Version {
        v: u64,
        // Without one it is somebody else's record, whatever its `v` means.
        #[serde(rename = "event_id")]
        _event_id: uuid::Uuid,
    }
    if let Ok(Version { v, .. }) = serde_json::from_str(text)
        && v > VERSION.into()
    {
        return Err(WireError::NewerVersion(v));
    }
    serde_json::from_str::<Rejection>(text)
        .map(|rejection| WireRecord::Rejection(Box::new(rejection)))
        .map_err(|_| WireError::Foreign(event_error.to_string()))
}
