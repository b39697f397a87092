//! What a step is to write.

use uuid::Uuid;

use super::crowd::Crowd;
use super::known::PersonLink;
use crate::views::person_day::PersonDay;
use crate::views::stream::StreamOn;
use crate::views::{Act, Day, PersonKey, PersonState, Session, StreamDay, Transition, UserView};

/// Only what differs from what was there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    pub streams: Vec<(StreamOn, StreamDay)>,
    pub links: Vec<PersonLink>,
    pub people: Vec<PersonChange>,
    /// `None` where there is nothing left.
    pub days: Vec<(Uuid, Day, Option<DayRow>)>,
    pub gone_sessions: Vec<SessionKey>,
    pub sessions: Vec<(Uuid, Session)>,
    pub gone_transitions: Vec<(Uuid, Transition)>,
    pub transitions: Vec<(Uuid, Transition)>,
    pub crowd: Crowd,
    /// The events that say what content there is.
    pub items: Vec<Act>,
}

/// A person, and when its session began.
pub type SessionKey = (Uuid, i64);

/// A row of `person_days`.
#[derive(Clone, Debug, PartialEq)]
pub struct DayRow {
    pub facts: PersonDay,
    pub sessions: i64,
}

/// What became of a person.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonChange {
    pub key: PersonKey,
    /// `None` where nothing is the person's any more.
    pub state: Option<PersonState>,
    /// `None` too where nothing was until today.
    pub view: Option<UserView>,
}
