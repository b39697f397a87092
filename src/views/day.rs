//! Local days. Habits and lifecycles go by the calendar of the place where the readers are.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Unit};
use serde::{Deserialize, Serialize};

/// A day of the configured zone's calendar, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Day(pub i32);

impl Day {
    /// The calendar's date.
    pub fn date(self) -> Date {
        EPOCH.checked_add(i64::from(self.0).days()).unwrap_or(Date::MAX)
    }

    /// The day before, or so many days later.
    #[must_use]
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// 0 for Monday to 6 for Sunday.
    pub fn weekday(self) -> usize {
        // 1970-01-01 was a Thursday.
        (i64::from(self.0) + 3).rem_euclid(7) as usize
    }
}

impl From<Date> for Day {
    fn from(date: Date) -> Self {
        let days = EPOCH.until((Unit::Day, date)).map_or(0, |span| span.get_days());
        Self(days)
    }
}

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// The time zone that decides which day and hour it is.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// That of an IANA name such as `Europe/Berlin`.
    ///
    /// # Errors
    /// Where there is no such zone.
    pub fn named(name: &str) -> Result<Self, jiff::Error> {
        TimeZone::get(name).map(Self)
    }

    /// UTC.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The day, and the hour (0 to 23), of a moment.
    pub fn day_and_hour(&self, at: Timestamp) -> (Day, u8) {
        let local = self.0.to_datetime(at);
        (Day::from(local.date()), local.hour().unsigned_abs())
    }

    /// The day of a moment.
    pub fn day(&self, at: Timestamp) -> Day {
        self.day_and_hour(at).0
    }

    /// When a day begins.
    pub fn start(&self, day: Day) -> Timestamp {
        self.0
            .to_zoned(day.date().at(0, 0, 0, 0))
            .map_or(Timestamp::MAX, |start| start.timestamp())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_moment_has_the_day_and_hour_of_its_place() {
        let at: Timestamp = "2026-11-30T23:30:00Z".parse().unwrap();
        let berlin = Zone::named("Europe/Berlin").unwrap();
        assert_eq!(Zone::utc().day_and_hour(at).1, 23);
        let (day, hour) = berlin.day_and_hour(at);
        assert_eq!((day.date().to_string().as_str(), hour), ("2026-12-01", 0));
        assert_eq!(day.weekday(), 1, "a Tuesday");
        assert_eq!(berlin.start(day).to_string(), "2026-11-30T23:00:00Z");
    }

    #[test]
    fn days_before_1970_count_backwards() {
        assert_eq!(Day(-1).date().to_string(), "1969-12-31");
        assert_eq!(Day(-1).weekday(), 2, "a Wednesday");
        assert_eq!(Day::from(Day(-400).date()), Day(-400));
    }
}
