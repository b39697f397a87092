//! Days and the stretches of them that models look at.

use serde::{Deserialize, Serialize};

/// A day in the platform's time zone, counted from any fixed day. Only differences matter.
pub type Day = i32;

/// How far models look ahead, in days.
pub const HORIZON_DAYS: u32 = 28;
/// What a model waits for: one horizon of history, and one that is held out to score it.
pub const REQUIRED_DAYS: u32 = 2 * HORIZON_DAYS;

/// The days of which there is data, both included. `last` is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub first: Day,
    pub last: Day,
}

impl Window {
    pub fn days(self) -> u32 {
        u32::try_from(i64::from(self.last) - i64::from(self.first) + 1).unwrap_or(0)
    }

    /// The last day before those that are held out.
    pub(super) fn cut(self) -> Day {
        self.last.saturating_sub_unsigned(HORIZON_DAYS)
    }
}

/// Whole days from `earlier` to `later`, none where it is the other way round.
pub(super) fn days_between(earlier: Day, later: Day) -> u32 {
    u32::try_from(i64::from(later) - i64::from(earlier)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_with_both_ends_and_never_below_none() {
        assert_eq!(Window { first: 3, last: 3 }.days(), 1);
        assert_eq!(Window { first: 4, last: 3 }.days(), 0);
        assert_eq!(
            Window {
                first: Day::MIN,
                last: Day::MAX
            }
            .days(),
            0
        );
        assert_eq!(Window { first: 0, last: 55 }.days(), REQUIRED_DAYS);
        assert_eq!(Window { first: 0, last: 55 }.cut(), 27);
        assert_eq!(days_between(5, 3), 0);
        assert_eq!(days_between(Day::MIN, Day::MAX), u32::MAX);
    }
}
