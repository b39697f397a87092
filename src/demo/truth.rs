//! What is so of the events that were written: the numbers that tables must show.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::anomaly::Anomaly;
use super::people::Kind;

/// All that is true of what was written.
#[derive(Clone, Debug, Serialize)]
pub struct Truth {
    pub world: WorldTruth,
    pub events: EventTruth,
    /// Those of whom there is an event, by kind.
    pub people_by_kind: BTreeMap<Kind, u32>,
    pub anomalies: Vec<AnomalyTruth>,
    /// One entry for each that has an event; robots and those who pass by too.
    pub people: Vec<PersonTruth>,
}

/// Which world it is.
#[derive(Clone, Debug, Serialize)]
pub struct WorldTruth {
    /// Begins the ids of its people and contents.
    pub tag: String,
    pub seed: u64,
    pub from: Timestamp,
    pub to: Timestamp,
    /// Of habits.
    pub zone: String,
    pub people: u32,
    pub articles: u32,
}

/// How many events there are, each id once.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EventTruth {
    pub total: u64,
    /// By name; page and identify calls by their type.
    pub by_name: BTreeMap<&'static str, u64>,
    /// Those of them that robots made.
    pub bots: u64,
    pub bots_by_name: BTreeMap<&'static str, u64>,
    /// Sent once more, with the same id; not in the numbers above.
    pub duplicates: u64,
    /// Sent twenty minutes to thirty hours after they occurred; in the numbers above.
    pub late: u64,
}

/// When something unusual was; see `docs/demo.md`.
#[derive(Clone, Debug, Serialize)]
pub struct AnomalyTruth {
    pub kind: Anomaly,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// What somebody did and is like.
#[derive(Clone, Debug, Serialize)]
pub struct PersonTruth {
    pub kind: Kind,
    /// Where an event has it.
    pub user_id: Option<String>,
    /// Those that events have; all of them one person's.
    pub anonymous_ids: Vec<String>,
    pub first_seen_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub events: u32,
    /// Contents opened.
    pub views: u32,
    /// Of these, looked at for 15 s or longer.
    pub reads: u32,
    /// Articles read to their end.
    pub completed_reads: u32,
    /// Videos seen to their end.
    pub completed_videos: u32,
    /// The greatest value of each page view, added up.
    pub engaged_seconds: u32,
    pub first_channel: Option<&'static str>,
    pub signed_up_at: Option<Timestamp>,
    pub subscribed_at: Option<Timestamp>,
    pub published: u32,
    pub orders: u32,
    /// Of all orders, in `currency`.
    pub revenue: f64,
    pub currency: &'static str,
    /// As planted, not as found: nothing of robots and those who pass by.
    pub habit: Option<HabitTruth>,
}

/// What somebody was made to be.
#[derive(Clone, Debug, Serialize)]
pub struct HabitTruth {
    /// 0 to 23 in the world's zone.
    pub preferred_hour: u8,
    /// 1 for Monday, as ISO 8601 has it.
    pub preferred_weekday: u8,
    /// Most liked first.
    pub topics: Vec<&'static str>,
    pub language: &'static str,
    /// The first day without them; they never come again.
    pub churned_on: Option<Date>,
    /// First day of an absence, and the first one after it.
    pub away: Option<(Date, Date)>,
}
