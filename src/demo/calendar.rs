use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// Milliseconds of an hour.
pub(super) const HOUR: i64 = 3_600_000;
pub(super) const MINUTE: i64 = 60_000;
pub(super) const SECOND: i64 = 1_000;

/// The days of a world, by its zone's clock.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    zone: TimeZone,
    first: Date,
}

/// A day; moments are milliseconds since 1970.
#[derive(Clone, Debug)]
pub(super) struct Day {
    /// Days since the world's first; articles are published before it, too.
    pub(super) index: i32,
    pub(super) date: Date,
    /// 0 for Monday.
    pub(super) weekday: usize,
    /// When each hour begins, and the next day. An hour that the clock leaves out begins with the one after.
    hours: [i64; 25],
}

impl Calendar {
    pub(super) fn new(zone: TimeZone, start: Timestamp) -> Self {
        let first = start.to_zoned(zone.clone()).date();
        Self { zone, first }
    }

    pub(super) fn day(&self, index: i32) -> Day {
        let date = self.first.saturating_add(index.days());
        let tomorrow = date.saturating_add(1.days());
        let mut hours = [0; 25];
        for (hour, at) in hours.iter_mut().enumerate() {
            *at = match hour {
                24 => self.moment(tomorrow, 0),
                hour => self.moment(date, hour as i8),
            };
        }
        Day {
            index,
            date,
            weekday: date.weekday().to_monday_zero_offset() as usize,
            hours,
        }
    }

    fn moment(&self, date: Date, hour: i8) -> i64 {
        let zoned = self.zone.to_ambiguous_zoned(date.at(hour, 0, 0, 0)).compatible();
        zoned.map_or(i64::MAX, |zoned| zoned.timestamp().as_millisecond())
    }
}

impl Day {
    pub(super) fn start(&self) -> i64 {
        self.hours[0]
    }

    pub(super) fn end(&self) -> i64 {
        self.hours[24]
    }

    /// A moment within an hour of the day, `minutes` after its begin.
    pub(super) fn at(&self, hour: usize, minutes: f64) -> i64 {
        self.hours[hour] + (minutes * MINUTE as f64) as i64
    }
}

/// A moment as a timestamp.
pub(super) fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn days_are_those_of_the_zone_on_both_changes_of_the_clock() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let calendar = Calendar::new(zone, "2026-03-28T12:00:00Z".parse().unwrap());
        let hours = |index| {
            let day = calendar.day(index);
            (day.end() - day.start()) / HOUR
        };
        assert_eq!([0, 1, 2].map(hours), [24, 23, 24]);
        let sunday = calendar.day(1);
        assert_eq!(
            (sunday.weekday, sunday.date.to_string()),
            (6, "2026-03-29".to_owned())
        );
        assert_eq!(timestamp(sunday.at(7, 30.0)).to_string(), "2026-03-29T05:30:00Z");
        assert_eq!(hours(211), 25, "the last Sunday of October");
    }
}
