//! When a pair of ids was seen, in a form in which order and repetition do not matter.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::Evidence;

/// What is known of a pair: the first event that says so, and the day of the last one.
///
/// Times are those at which the events occurred, so that history that is brought in later, a spool or a slow mobile
/// device give the same as events that came at once. Of the last one only the day is kept: else each event of a person
/// would write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting<'a> {
    pub first_seen_at: Timestamp,
    pub event_id: Uuid,
    pub source: &'a str,
    pub evidence: Evidence,
    /// In UTC.
    pub last_seen_on: Date,
}

impl<'a> Sighting<'a> {
    /// By one event.
    pub fn new(at: Timestamp, event_id: Uuid, source: &'a str, evidence: Evidence) -> Self {
        Self {
            first_seen_at: at,
            event_id,
            source,
            evidence,
            last_seen_on: at.to_zoned(TimeZone::UTC).date(),
        }
    }

    /// Joins what is known by other events. Commutative, associative, idempotent.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let order = |sighting: &Self| (sighting.first_seen_at, sighting.event_id, sighting.evidence);
        let first = if order(&other) < order(&self) { other } else { self };
        Self {
            last_seen_on: self.last_seen_on.max(other.last_seen_on),
            ..first
        }
    }
}
