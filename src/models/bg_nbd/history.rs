//! What the model has to know of a person.

use crate::models::Day;
use crate::models::day::days_between;

/// Days with a visit, until the end of some day. Days are whole, so that equal histories are equal integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct History {
    /// Days with a visit after the first one (x).
    pub repeats: u32,
    /// Days from the first to the last of them (t_x).
    pub recency: u32,
    /// Days from the first one to the end (T).
    pub age: u32,
}

impl History {
    /// The history until the end of `as_of`, of ascending days with a visit. `None` where the first is later.
    pub fn of(days: &[Day], as_of: Day) -> Option<Self> {
        let seen = &days[..days.partition_point(|day| *day <= as_of)];
        let (first, last) = (*seen.first()?, *seen.last()?);
        let distinct = seen.chunk_by(|one, next| one == next).count();
        Some(Self {
            repeats: u32::try_from(distinct - 1).unwrap_or(u32::MAX),
            recency: days_between(first, last),
            age: days_between(first, as_of),
        })
    }

    /// Days since the last visit.
    pub fn silence(self) -> u32 {
        self.age.saturating_sub(self.recency)
    }

    pub fn active_days(self) -> u32 {
        self.repeats.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_ends_with_its_day() {
        let days = [-3, 0, 0, 4, 9];
        let history = |repeats, recency, age| {
            Some(History {
                repeats,
                recency,
                age,
            })
        };
        assert_eq!(History::of(&days, -4), None);
        assert_eq!(History::of(&days, -3), history(0, 0, 0));
        assert_eq!(History::of(&days, 3), history(1, 3, 6));
        assert_eq!(History::of(&days, 4), history(2, 7, 7));
        assert_eq!(History::of(&days, 100), history(3, 12, 103));
        assert_eq!(History::of(&days, 100).map(History::silence), Some(91));
        assert_eq!(History::of(&[], 0), None);
    }
}
