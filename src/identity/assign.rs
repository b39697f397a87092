//! Whose each event of an anonymous id is.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Links, SignedIn};

/// A longer pause between two events of an anonymous id ends a session.
pub const SESSION_GAP: SignedDuration = SignedDuration::from_mins(30);

/// Anyone, known or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Person<'a> {
    /// By user id.
    User(&'a str),
    /// By anonymous id.
    Visitor(&'a str),
}

/// An event of an anonymous id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    pub occurred_at: Timestamp,
    pub event_id: Uuid,
    /// The user that the event itself names, see [`super::believed_user`].
    pub user: Option<String>,
}

/// Says of each event of an anonymous id whose it is, in the order in which they occurred. The order of `visits` does not
/// matter.
///
/// An event that names a user is that user's, whatever else is known; the others go as [`Links::owner`] says.
pub fn assign<'a>(
    anonymous_id: &'a str,
    links: &'a Links,
    visits: &'a mut [Visit],
) -> Vec<(&'a Visit, Person<'a>)> {
    visits.sort_by_key(|visit| (visit.occurred_at, visit.event_id));
    let visits: &'a [Visit] = visits;
    let pause = |before: &Visit, after: &Visit| after.occurred_at.duration_since(before.occurred_at);
    visits
        .chunk_by(|before, after| pause(before, after) <= SESSION_GAP)
        .flat_map(|session| {
            let signed_in = session
                .iter()
                .map(|visit| SignedIn::from(visit.user.as_deref()))
                .fold(SignedIn::default(), SignedIn::merge);
            let owner = links.users().find(|user| links.owner(&signed_in) == Some(*user));
            session.iter().map(move |visit| {
                let user = visit.user.as_deref().or(owner);
                (visit, user.map_or(Person::Visitor(anonymous_id), Person::User))
            })
        })
        .collect()
}
