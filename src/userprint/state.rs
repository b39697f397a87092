use serde::{Deserialize, Serialize};

/// What an event says of its visitor's userprint, as `context.userprint_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No cookie came, or one that is no longer valid: the visitor has a new id.
    Minted,
    /// A cookie came and holds.
    Returned,
    /// As [`State::Returned`]; it was old or under an old key, and the visitor has it anew with the same id.
    Resigned,
    /// What came was not made here. The pixel gave the visitor a new id; what it said is nowhere used.
    Forged,
    /// There is no id: consent is required and not given, or a forwarded cookie is out of date.
    Absent,
    /// The visitor does not want to be known: no id was read and none made.
    Optout,
    /// The visitor wants to be forgotten; the event's id is the one that is meant.
    Forgotten,
}

impl State {
    /// Every state, for the documentation's test.
    pub const ALL: [Self; 7] = [
        Self::Minted,
        Self::Returned,
        Self::Resigned,
        Self::Forged,
        Self::Absent,
        Self::Optout,
        Self::Forgotten,
    ];

    /// The word in the context and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minted => "minted",
            Self::Returned => "returned",
            Self::Resigned => "resigned",
            Self::Forged => "forged",
            Self::Absent => "absent",
            Self::Optout => "optout",
            Self::Forgotten => "forgotten",
        }
    }

    /// Whether an event in this state may say whose it is.
    pub fn has_person(self) -> bool {
        !matches!(self, Self::Absent | Self::Optout)
    }
}
