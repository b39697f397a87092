//! Newsletters: who gets which issue, opens it, and clicks.

use rand::Rng as _;

use super::calendar::Day;
use super::habits::comes;
use super::people::Person;
use super::random::{Purpose, stream};
use super::visit::{Errand, Visit};

pub(super) struct Newsletter {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// Of its issues; 0 for Monday.
    weekdays: &'static [usize],
}

pub(super) const NEWSLETTERS: [Newsletter; 3] = [
    Newsletter {
        id: "morning-brief",
        name: "Morning Brief",
        weekdays: &[0, 1, 2, 3, 4],
    },
    Newsletter {
        id: "weekend-recipes",
        name: "Weekend Recipes",
        weekdays: &[4],
    },
    Newsletter {
        id: "the-week",
        name: "The Week",
        weekdays: &[6],
    },
];

const OPENS: f64 = 0.4;
const CLICKS: f64 = 0.3;

/// The issue that somebody opens on a day, in the hour that is theirs.
pub(super) fn opened(seed: u64, number: u32, person: &Person, day: &Day) -> Option<Visit> {
    let newsletter = &NEWSLETTERS[person.newsletter as usize];
    let is_due = person.state.is_subscriber && newsletter.weekdays.contains(&day.weekday);
    if !is_due || !comes(person, day.index) {
        return None;
    }
    let mut random = stream(seed, Purpose::Mail, number.into(), day.index as u64);
    if !random.random_bool(OPENS) {
        return None;
    }
    Some(Visit {
        at: day.at(person.hour.into(), random.random_range(0.0..10.0)),
        person: number,
        purpose: Errand::Mail {
            newsletter: person.newsletter,
            issue: day.date.duration_since(jiff::civil::date(2000, 1, 1)).as_hours() as u32 / 24,
            clicks: random.random_bool(CLICKS),
        },
        seed: random.random(),
    })
}
