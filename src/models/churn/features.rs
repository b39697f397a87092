//! What the model knows of a person at the end of a day.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::COUNT;
use crate::models::Day;
use crate::models::day::days_between;

/// How far back features look, in days. Who was last seen before that has left already.
pub const SPAN_DAYS: u32 = 84;
/// Beyond a year, to be here longer says nothing new.
const MAX_AGE_DAYS: u32 = 365;
const WEEK_DAYS: u32 = 7;
const MONTH_DAYS: u32 = 28;

/// What a person did on a day on which they were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayActivity {
    pub day: Day,
    pub sessions: u32,
    pub reads: u32,
    pub engaged_seconds: u32,
    /// The topics read, by any numbering that is the same for all days.
    pub topics: Vec<u32>,
}

/// Counts until the end of a day, that day included. `_7d`, `_28d`, `_84d` are the last so many days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    pub active_days_7d: u32,
    pub active_days_28d: u32,
    /// In the 28 days before the last 28.
    pub active_days_previous_28d: u32,
    pub active_days_84d: u32,
    pub days_since_last: u32,
    /// Median of the days from one visit to the next within the last 84 days, the lower one of two. `None` where there
    /// is one active day.
    pub usual_gap: Option<u32>,
    pub sessions_28d: u32,
    pub reads_28d: u32,
    pub engaged_seconds_28d: u32,
    pub topics_28d: u32,
    /// Days since the first visit of all.
    pub age: u32,
}

impl Features {
    /// The features at the end of `as_of`, of ascending days, one entry a day. `None` for who was not seen in the last
    /// 84 days.
    pub fn of(days: &[DayActivity], as_of: Day) -> Option<Self> {
        let seen = &days[..days.partition_point(|activity| activity.day <= as_of)];
        let within = |span: u32| {
            let before = seen.partition_point(|activity| days_between(activity.day, as_of) >= span);
            &seen[before..]
        };
        let (first, last) = (seen.first()?, within(SPAN_DAYS).last()?);
        let month = within(MONTH_DAYS);
        let sum = |value: fn(&DayActivity) -> u32| {
            month
                .iter()
                .fold(0_u32, |sum, activity| sum.saturating_add(value(activity)))
        };
        let topics: BTreeSet<u32> = month
            .iter()
            .flat_map(|activity| &activity.topics)
            .copied()
            .collect();
        Some(Self {
            active_days_7d: count(within(WEEK_DAYS)),
            active_days_28d: count(month),
            active_days_previous_28d: count(within(2 * MONTH_DAYS)) - count(month),
            active_days_84d: count(within(SPAN_DAYS)),
            days_since_last: days_between(last.day, as_of),
            usual_gap: usual_gap(within(SPAN_DAYS)),
            sessions_28d: sum(|activity| activity.sessions),
            reads_28d: sum(|activity| activity.reads),
            engaged_seconds_28d: sum(|activity| activity.engaged_seconds),
            topics_28d: u32::try_from(topics.len()).unwrap_or(u32::MAX),
            age: days_between(first.day, as_of),
        })
    }

    /// The numbers of the model, in the order of [`super::NAMES`]. Counts go by their logarithm.
    pub(super) fn values(&self) -> [f64; COUNT] {
        let log = |value: u32| libm::log1p(value.into());
        let gap = self.usual_gap.unwrap_or(SPAN_DAYS);
        let (now, before) = (
            f64::from(self.active_days_28d),
            f64::from(self.active_days_previous_28d),
        );
        [
            log(self.active_days_7d),
            log(self.active_days_28d),
            log(self.active_days_84d),
            log(self.days_since_last),
            log(gap),
            log(self.days_since_last) - log(gap),
            f64::from(u8::from(self.usual_gap.is_none())),
            log_of_ratio(self.reads_28d, self.sessions_28d),
            log_of_ratio(self.engaged_seconds_28d, self.active_days_28d),
            log(self.topics_28d),
            (now - before) / (now + before + 1.0),
            log(self.age.min(MAX_AGE_DAYS)),
        ]
    }
}

fn count(days: &[DayActivity]) -> u32 {
    u32::try_from(days.len()).unwrap_or(u32::MAX)
}

fn usual_gap(days: &[DayActivity]) -> Option<u32> {
    let gaps = days.windows(2).map(|pair| days_between(pair[0].day, pair[1].day));
    let mut gaps: Vec<u32> = gaps.collect();
    gaps.sort_unstable();
    gaps.get(gaps.len().saturating_sub(1) / 2).copied()
}

fn log_of_ratio(sum: u32, count: u32) -> f64 {
    libm::log1p(f64::from(sum) / f64::from(count.max(1)))
}
