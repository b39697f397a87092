//! The users of one anonymous id.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::SignedIn;

/// The users that an anonymous id is joined to and from whom it was not taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(BTreeSet<String>);

impl Links {
    /// The users that `edges` name, each with when the pair was first seen, and no revocation does. `as_of` is the moment
    /// whose knowledge counts; what is later is not known yet.
    pub fn new<'a>(
        edges: impl IntoIterator<Item = (&'a str, Timestamp)>,
        revocations: impl IntoIterator<Item = (&'a str, Timestamp)>,
        as_of: Timestamp,
    ) -> Self {
        let known = |(user, at): (&'a str, Timestamp)| (at <= as_of).then_some(user);
        let revoked: BTreeSet<_> = revocations.into_iter().filter_map(known).collect();
        let live = edges
            .into_iter()
            .filter_map(known)
            .filter(|user| !revoked.contains(user));
        Self(live.map(str::to_owned).collect())
    }

    /// The users, in order.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether several users share the id: a family's tablet, a library's computer.
    pub fn is_shared(&self) -> bool {
        self.0.len() > 1
    }

    /// Whose the id's anonymous events of a session are; `None` for the visitor's own.
    ///
    /// With one user all of them are that user's, those from before the log-in and after the log-out too. With several
    /// they are nobody's but in a session in which exactly one user was signed in.
    pub fn owner<'a>(&'a self, session: &'a SignedIn) -> Option<&'a str> {
        let only = self.0.first().filter(|_| !self.is_shared());
        match (only, session) {
            (Some(user), _) => Some(user),
            (None, SignedIn::One(user)) if self.0.contains(user) => Some(user),
            (None, _) => None,
        }
    }
}
