//! What one event says about who is who.

use std::borrow::Cow;
use std::fmt;

use crate::event::{Event, EventKind, is_of_a_request, is_placeholder, userprint};

/// How an event says that an anonymous id is a user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Evidence {
    /// By its `previousId`.
    Alias,
    /// It is no identify, and has both ids.
    Event,
    Identify,
}

impl Evidence {
    /// The name in the event store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alias => "alias",
            Self::Event => "event",
            Self::Identify => "identify",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event's word that an anonymous id is a user's. Whether it is believed is the source's matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact<'a> {
    pub anonymous_id: Cow<'a, str>,
    pub user_id: &'a str,
    pub evidence: Evidence,
}

/// All that an event says. Most say nothing, which costs next to nothing.
///
/// An id of an alias counts by the place it stands in: `previousId` is taken for an anonymous one. Where it is a user's,
/// the fact moves nothing, since only events that carry it as `anonymousId` would move.
pub fn facts<'a>(event: &'a Event<'_>) -> Vec<Fact<'a>> {
    let Some(user_id) = event.user_id.as_deref() else {
        return Vec::new();
    };
    let both = match event.kind {
        EventKind::Identify => Evidence::Identify,
        _ => Evidence::Event,
    };
    let anonymous_id = event.anonymous_id.as_deref();
    let previous_id = event
        .previous_id
        .as_deref()
        .filter(|_| event.kind == EventKind::Alias);
    // A site may know its visitors by ids of its own: then the cookie that came along is the same visitor's.
    let userprint = userprint(event).filter(|id| Some(id.as_ref()) != anonymous_id);
    if anonymous_id.is_none() && previous_id.is_none() && userprint.is_none() || is_placeholder(user_id) {
        return Vec::new();
    }
    let named = [
        (
            previous_id.filter(|id| *id != user_id).map(Cow::Borrowed),
            Evidence::Alias,
        ),
        (anonymous_id.map(Cow::Borrowed), both),
        (userprint, both),
    ];
    named
        .into_iter()
        .filter_map(|(id, evidence)| Some((id.filter(|id| names_a_visitor(id))?, evidence)))
        .map(|(anonymous_id, evidence)| Fact {
            anonymous_id,
            user_id,
            evidence,
        })
        .collect()
}

/// Whether an anonymous id is one that a visitor keeps.
fn names_a_visitor(anonymous_id: &str) -> bool {
    !is_placeholder(anonymous_id) && !is_of_a_request(anonymous_id)
}

/// The user that an event is of, as far as its source is to be believed.
pub fn believed_user<'a>(event: &'a Event<'_>) -> Option<&'a str> {
    event
        .user_id
        .as_deref()
        .filter(|user| event.trusted && !is_placeholder(user))
}
