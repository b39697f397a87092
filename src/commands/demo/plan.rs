//! From flags to a world.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::super::WrongUse;
use crate::cli::DemoRun;
use crate::clock::Clock;
use crate::demo::{EVENTS_PER_PERSON_DAY, LIVE_DAYS, Pace, Settings};

const PEOPLE: u32 = 2_000;
/// The most people of a live run whose number is not given: they come more often instead.
const LIVE_PEOPLE: f64 = 300_000.0;
const FEWEST_LIVE_PEOPLE: f64 = 200.0;
const ARTICLES_A_DAY: u32 = 12;
/// Articles are there from so many days before.
const BACKLOG_DAYS: u32 = 30;

/// What is going to be sent.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) settings: Settings,
    /// Live: stops after so many events.
    pub(super) most: Option<u64>,
    /// Of a history: the day after its last.
    pub(super) until: Option<Date>,
}

impl Plan {
    pub(super) fn new(arguments: &DemoRun, backdate_from: Timestamp) -> Result<Self, WrongUse> {
        let zone = TimeZone::get(&arguments.zone).map_err(|_| {
            WrongUse(format!(
                "--zone {}: no time zone of the IANA database is called so\n\nhint: --zone Europe/Berlin",
                arguments.zone
            ))
        })?;
        let now = Clock::system().now();
        match arguments.days {
            Some(days) => history(arguments, days, zone, now, backdate_from),
            None => Ok(live(arguments, zone, now)),
        }
    }
}

fn history(
    arguments: &DemoRun,
    days: u32,
    zone: TimeZone,
    now: Timestamp,
    backdate_from: Timestamp,
) -> Result<Plan, WrongUse> {
    let today = now.to_zoned(zone.clone()).date();
    let until = arguments.until.unwrap_or(today);
    if until > today {
        return Err(WrongUse(format!(
            "--until {until}: a history ends today ({today}) or before"
        )));
    }
    let midnight = |date: Date| date.to_zoned(zone.clone()).map(|zoned| zoned.timestamp());
    let start = until
        .checked_sub(i64::from(days).days())
        .and_then(midnight)
        .map_err(|error| WrongUse(format!("--days {days}: {error}")))?;
    if start < backdate_from {
        return Err(WrongUse(format!(
            "--days {days}: the history would begin at {start}, but ingest.backdate_from is {backdate_from}"
        )));
    }
    let people = match (arguments.people, arguments.events) {
        (Some(people), _) => people,
        (None, Some(events)) => (events as f64 / (EVENTS_PER_PERSON_DAY * f64::from(days)))
            .ceil()
            .max(1.0) as u32,
        (None, None) => PEOPLE,
    };
    Ok(Plan {
        settings: Settings {
            seed: arguments.seed,
            pace: Pace::History,
            start,
            days,
            zone,
            people,
            articles: articles(arguments, days),
            anomalies: arguments.anomaly.clone(),
        },
        most: None,
        until: Some(until),
    })
}

fn live(arguments: &DemoRun, zone: TimeZone, now: Timestamp) -> Plan {
    let habitual = arguments.rate * 86_400.0 / EVENTS_PER_PERSON_DAY;
    let people = habitual.clamp(FEWEST_LIVE_PEOPLE, LIVE_PEOPLE) as u32;
    Plan {
        settings: Settings {
            seed: arguments.seed,
            pace: Pace::Live {
                events_per_second: arguments.rate,
            },
            start: now,
            days: LIVE_DAYS,
            zone,
            people: arguments.people.unwrap_or(people),
            articles: articles(arguments, LIVE_DAYS),
            anomalies: arguments.anomaly.clone(),
        },
        most: arguments.events,
        until: None,
    }
}

fn articles(arguments: &DemoRun, days: u32) -> u32 {
    arguments
        .articles
        .unwrap_or((days + BACKLOG_DAYS) * ARTICLES_A_DAY)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn plan(flags: &str, now: &str) -> Result<Plan, WrongUse> {
        let line = ["momsflow", "demo"].into_iter().chain(flags.split_whitespace());
        let Command::Demo(demo) = Cli::try_parse_from(line).unwrap().command else {
            panic!("another command");
        };
        let zone = TimeZone::get(&demo.run.zone).unwrap();
        let from = "2000-01-01T00:00:00Z".parse().unwrap();
        history(
            &demo.run,
            demo.run.days.unwrap(),
            zone,
            now.parse().unwrap(),
            from,
        )
    }

    #[test]
    fn a_history_ends_last_midnight_of_its_zone_and_is_no_longer_than_what_is_believed() {
        let late = "2026-12-01T23:30:00Z";
        let start = |flags| plan(flags, late).unwrap().settings.start.to_string();
        assert_eq!(start("--days 2"), "2026-11-29T00:00:00Z");
        assert_eq!(start("--days 2 --zone Europe/Berlin"), "2026-11-29T23:00:00Z");
        assert_eq!(
            start("--days 40 --until 2026-11-01 --zone Europe/Berlin"),
            "2026-09-21T22:00:00Z"
        );
        assert!(plan("--days 2 --until 2026-12-02", late).is_err());
        assert!(plan("--days 3000 --until 2003-01-01", late).is_err());
    }

    #[test]
    fn the_number_of_events_decides_how_many_people_there_are() {
        let people = |flags| plan(flags, "2026-12-01T00:00:00Z").unwrap().settings.people;
        assert_eq!(people("--days 90"), 2_000);
        let of_events = f64::from(people("--days 30 --events 1000000"));
        assert!((of_events * 30.0 * EVENTS_PER_PERSON_DAY - 1e6).abs() < 1e3);
    }
}
