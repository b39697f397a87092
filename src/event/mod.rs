//! The event: what a client sends, what the log carries, what the event store keeps.
//!
//! [`decode`](decode) turns a client's JSON into an [`Event`] or a [`Rejection`]; [`wire`] turns both
//! into the log record and back. Everything here is pure: no I/O, no clock, and no panic on any input.

mod check;
mod code;
mod ids;
mod json;
mod kind;
mod number;
mod record;
mod scan;
pub mod wire;

pub use check::validate;
pub use code::{Reject, RejectCode};
pub use ids::{event_id_for, new_event_id};
pub use json::RawJson;
pub use kind::EventKind;
pub use record::{Event, Origin, Payload, RejectedBecause, Rejection};
pub use scan::{JsonType, scan_object, unescape};
