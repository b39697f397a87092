//! What a person did lately.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many days behaviour is counted over.
pub const SPAN_DAYS: u32 = 84;
/// Habits are told from so many reads on.
pub const MIN_READS: u32 = 3;

/// A quarter of the day, in the platform's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartOfDay {
    /// 0:00 to 5:59.
    Night,
    Morning,
    Afternoon,
    /// 18:00 to 23:59.
    Evening,
}

impl PartOfDay {
    pub const ALL: [Self; 4] = [Self::Night, Self::Morning, Self::Afternoon, Self::Evening];

    /// That of an hour from 0 to 23.
    pub fn of(hour: u8) -> Self {
        Self::ALL[usize::from(hour / 6).min(3)]
    }
}

/// Counts of the last [`SPAN_DAYS`] days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    pub active_days: u32,
    pub sessions: u32,
    pub reads: u32,
    pub engaged_seconds: u32,
    /// Shares, comments and likes.
    pub interactions: u32,
    /// Reads by [`PartOfDay`], in the order of [`PartOfDay::ALL`].
    pub reads_by_part: [u32; 4],
    /// Reads on a Saturday or a Sunday.
    pub weekend_reads: u32,
    /// Reads by topic. One read counts for each topic of what was read.
    pub topics: BTreeMap<String, u32>,
}

impl Behaviour {
    pub(super) fn is_telling(&self) -> bool {
        self.reads >= MIN_READS
    }

    pub(super) fn reads_of(&self, topic: &str) -> u32 {
        self.topics.get(topic).copied().unwrap_or(0)
    }
}
