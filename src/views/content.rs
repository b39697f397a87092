//! What somebody did with a piece of content on a day.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Verb;

/// When an event happened, and its id: a total order.
pub type Moment = (i64, Uuid);

/// One person's dealings with one piece of content, in one visit.
///
/// The pixel tells engaged time again and again as it grows, and a page may be loaded twice: so reading is a mark and not a
/// count, and of engaged times the greatest counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub viewed: bool,
    pub read: bool,
    pub completed: bool,
    pub engaged_seconds: u32,
    /// The latest event that said whose it is and what about.
    pub about: Option<About>,
}

/// What an event says of a piece of content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct About {
    pub told: Moment,
    pub author: Option<String>,
    pub topics: Vec<String>,
}

impl Reading {
    /// What one event says.
    pub fn new(verb: Verb, engaged_seconds: u32, about: Option<About>) -> Self {
        let completed = verb == Verb::Completed;
        let read = completed || verb == Verb::Read;
        Self {
            viewed: read || verb == Verb::Viewed,
            read,
            completed,
            engaged_seconds,
            about,
        }
    }

    /// Joins what other events say. Commutative, associative, idempotent.
    pub fn merge(&mut self, other: &Self) {
        self.viewed |= other.viewed;
        self.read |= other.read;
        self.completed |= other.completed;
        self.engaged_seconds = self.engaged_seconds.max(other.engaged_seconds);
        if other.about > self.about {
            self.about.clone_from(&other.about);
        }
    }

    /// How much it says of somebody's taste.
    pub fn weight(&self) -> i64 {
        match (self.completed, self.read, self.viewed) {
            (true, _, _) => 5,
            (_, true, _) => 3,
            (_, _, true) => 1,
            _ => 0,
        }
    }
}

/// The same for a whole day: marks once, times of all visits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentDay {
    pub reading: Reading,
    /// Of all visits of the day.
    pub engaged_seconds: i64,
}
