//! Who was signed in during a session.

/// The users who were signed in during a session of an anonymous id. A view keeps one for each session, and joins them
/// where sessions grow together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SignedIn {
    #[default]
    Nobody,
    One(String),
    Several,
}

impl SignedIn {
    /// Joins who was seen elsewhere in the session. Commutative, associative, idempotent.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, who) | (who, Self::Nobody) => who,
            (Self::One(user), Self::One(other)) if user == other => Self::One(user),
            _ => Self::Several,
        }
    }
}

impl From<Option<&str>> for SignedIn {
    fn from(user: Option<&str>) -> Self {
        user.map_or(Self::Nobody, |user| Self::One(user.to_owned()))
    }
}
