//! Recency, frequency and volume: how close a reader is, in one figure and a name for it.

use super::Day;
use super::state::{PersonState, RecentDay};

/// Days that the score looks back, and days that a tier remembers.
const WINDOW: i32 = 28;
/// Points that a score must fall below a tier's border before the tier is lost.
const SLACK: i64 = 5;

/// What a score is called, with its lowest score.
const TIERS: [(&str, i64); 4] = [("casual", 0), ("regular", 25), ("loyal", 50), ("devoted", 75)];

/// The score at the beginning of a day, by the 28 days before it: 0 to 100. Up to 30 points for how short ago the last active
/// day was, 40 for twelve active days or more, 30 for 20 contents read or two hours of engaged time.
pub fn score(state: &PersonState, day: Day) -> i64 {
    let window = state.recent.range(day.plus(-WINDOW)..day);
    let mut total = RecentDay::default();
    let (mut active, mut last) = (0, None);
    for (active_day, recent) in window {
        active += 1;
        last = Some(*active_day);
        total.reads = total.reads.saturating_add(recent.reads);
        total.engaged_seconds = total.engaged_seconds.saturating_add(recent.engaged_seconds);
    }
    let Some(last) = last else {
        return 0;
    };
    let recency = 30 * i64::from(WINDOW + 1 - (day.0 - last.0)) / i64::from(WINDOW);
    let frequency = 40 * i64::from(active.min(12)) / 12;
    let by_reads = 30 * i64::from(total.reads.min(20)) / 20;
    let by_time = 30 * i64::from(total.engaged_seconds.min(7200)) / 7200;
    recency + frequency + by_reads.max(by_time)
}

/// The tier on a day. It rises with the score and falls only when the score is clearly lower; it looks at the midnights of the
/// four weeks before, so that it is a function of what happened and not of when somebody looked.
pub fn tier(state: &PersonState, day: Day) -> &'static str {
    let mut tier = plain(score(state, day.plus(-WINDOW)));
    for midnight in (1 - WINDOW..=0).map(|before| day.plus(before)) {
        let score = score(state, midnight);
        let reached = plain(score);
        if reached > tier {
            tier = reached;
        } else if score < TIERS[tier].1 - SLACK {
            tier = plain(score + SLACK).min(tier);
        }
    }
    TIERS[tier].0
}

fn plain(score: i64) -> usize {
    TIERS
        .iter()
        .rposition(|(_, lowest)| score >= *lowest)
        .unwrap_or(0)
}
