//! The event: what a client sends, what the log carries, what the event store keeps.
//!
//! [`decode`] turns a client's JSON into an [`Event`] or a [`Reject`], which [`rejection`] makes into a
//! record of its own; [`wire`] turns both into the log record and back. Everything here is pure but for the
//! random ids of events that came without one: no I/O, no clock, and no panic on any input.

mod batch;
mod bot;
mod check;
mod code;
mod context;
mod decode;
mod encode;
mod field;
mod forget;
mod hit;
mod ids;
mod json;
mod json_type;
mod kept_scope;
mod kind;
mod number;
mod object;
mod placeholder;
mod record;
mod redact;
mod reject;
mod replay;
mod scan;
mod scope;
mod skew;
mod split;
mod storable;
mod text;
mod visitor;
pub mod wire;

pub use batch::{Batch, body_text, is_batch, malformed, message_id, parse_batch, write_key};
pub use bot::is_bot;
pub use check::validate;
pub use code::{Reject, RejectCode};
pub use context::parse_ip;
pub use decode::{Decoded, Warning, decode};
pub use field::MAX_TEXT;
pub use forget::{FORGOTTEN, forgotten, without_ids};
pub use hit::{HitParts, hit_data, hit_text};
pub use ids::{event_id_for, event_id_within, new_event_id};
pub use json::RawJson;
pub use json_type::{JsonType, unescape};
pub use kind::EventKind;
pub use object::each_member;
pub use placeholder::is_placeholder;
pub use record::{Event, Origin, Payload, RejectedBecause, Rejection};
pub use reject::{MAX_KEPT, batch_rejection, rejection};
pub use replay::{ReplayError, replay};
pub use scan::{MAX_NESTING, scan_object};
pub use scope::{Client, Defaults, Policy, Scope};
pub use skew::is_within;
pub use visitor::{Hit, is_of_a_request, userprint};

#[cfg(test)]
mod tests;
