//! Months: the partitions of `events`, by received_at in UTC.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A calendar month in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month {
    first: Date,
}

impl Month {
    /// The month that a moment lies in.
    pub fn of(at: Timestamp) -> Self {
        Self {
            first: at.to_zoned(TimeZone::UTC).date().first_of_month(),
        }
    }

    /// The month of its first day.
    pub fn from_first_day(first: Date) -> Self {
        Self {
            first: first.first_of_month(),
        }
    }

    /// The first day.
    pub fn first_day(self) -> Date {
        self.first
    }

    /// The month after.
    pub fn next(self) -> Self {
        // jiff's dates end in 9999; `received_at` is bounded far below.
        Self {
            first: self.first.saturating_add(1.month()),
        }
    }

    /// The first moment of the month.
    pub fn start(self) -> Timestamp {
        self.first
            .to_zoned(TimeZone::UTC)
            .map(|zoned| zoned.timestamp())
            .unwrap_or(Timestamp::MAX)
    }

    /// Whether a moment is within `hours` of the month's borders.
    pub fn is_near_border(self, at: Timestamp, hours: i64) -> bool {
        let margin = hours * 3600;
        at.as_second() - self.start().as_second() < margin
            || self.next().start().as_second() - at.as_second() <= margin
    }

    /// The month and the `ahead` months after it.
    pub fn with_following(self, ahead: u8) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |month| Some(month.next())).take(usize::from(ahead) + 1)
    }
}

/// Prints `2026_11`, the suffix of the partition's name.
impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}_{:02}", self.first.year(), self.first.month())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn borders_are_utc_and_near_is_a_day() {
        let november = Month::of(at("2026-11-24T05:36:00+00:00"));
        assert_eq!(november.to_string(), "2026_11");
        assert_eq!(november.next().next().to_string(), "2027_01");
        assert_eq!(Month::of(at("2026-12-01T00:30:00+01:00")), november);
        assert_eq!(november.start(), at("2026-11-01T00:00:00Z"));
        for (moment, near) in [
            ("2026-11-01T00:00:00Z", true),
            ("2026-11-01T23:59:59Z", true),
            ("2026-11-02T00:00:00Z", false),
            ("2026-11-29T23:59:59Z", false),
            ("2026-11-30T00:00:00Z", true),
        ] {
            assert_eq!(november.is_near_border(at(moment), 24), near, "{moment}");
        }
        let names: Vec<_> = november
            .with_following(2)
            .map(|month| month.to_string())
            .collect();
        assert_eq!(names, ["2026_11", "2026_12", "2027_01"]);
    }
}
