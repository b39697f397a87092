use rand::Rng as _;
use rand_distr::{Distribution as _, Poisson};

use super::calendar::Day;
use super::people::{Kind, Person};
use super::random::Random;
use super::topics::{FOOD, RECIPES, Topic};

/// How likely a visit is in the preferred hour, and in each of its neighbours.
const IN_HOUR: f64 = 0.68;
const BESIDE: f64 = 0.08;
/// When the rest of the visits are: the waking hours.
const AWAKE: std::ops::Range<u8> = 7..23;
/// Visits begin early enough in an hour that most of them end in it.
const LATEST_MINUTE: f64 = 40.0;
/// Who is about to stop comes less often for so many days.
const TAPER_DAYS: i32 = 14;
const TAPER: f64 = 0.55;

/// What a kind of people does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habit {
    /// Of all regular people.
    pub(super) share: f64,
    pub(super) visits_a_week: f64,
    /// From which hour to which the preferred one is drawn.
    pub(super) hours: (u8, u8),
    /// Of which days the preferred one is.
    pub(super) weekdays: &'static [u8],
    /// Articles a visit.
    pub(super) depth: f64,
    pub(super) completes: f64,
    /// How likely they were there before the world began.
    pub(super) old: f64,
    pub(super) joins: f64,
    pub(super) subscribes: f64,
    pub(super) newsletter: u8,
    /// Of which the favourite is one; empty for any.
    pub(super) topics: &'static [Topic],
}

const WORKDAYS: &[u8] = &[0, 1, 2, 3, 4];
const WEEKEND: &[u8] = &[5, 6];
const ANY_DAY: &[u8] = &[0, 1, 2, 3, 4, 5, 6];

const READER: Habit = Habit {
    share: 0.16,
    visits_a_week: 4.0,
    hours: (6, 9),
    weekdays: WORKDAYS,
    depth: 2.6,
    completes: 0.6,
    old: 0.5,
    joins: 0.9,
    subscribes: 0.5,
    newsletter: 0,
    topics: &[],
};

const RECIPE_READER: Habit = Habit {
    share: 0.15,
    visits_a_week: 1.7,
    hours: (17, 20),
    weekdays: ANY_DAY,
    joins: 0.75,
    newsletter: 1,
    topics: &[RECIPES, FOOD],
    ..READER
};

const WEEKEND_BROWSER: Habit = Habit {
    share: 0.14,
    visits_a_week: 1.3,
    hours: (9, 12),
    weekdays: WEEKEND,
    depth: 4.5,
    completes: 0.5,
    joins: 0.7,
    newsletter: 2,
    ..READER
};

const NEWS_SKIMMER: Habit = Habit {
    share: 0.1,
    visits_a_week: 4.5,
    hours: (7, 18),
    depth: 3.4,
    completes: 0.06,
    joins: 0.5,
    subscribes: 0.2,
    ..READER
};

const CONTRIBUTOR: Habit = Habit {
    share: 0.03,
    visits_a_week: 2.4,
    hours: (9, 16),
    old: 1.0,
    joins: 1.0,
    ..READER
};

const LURKER: Habit = Habit {
    share: 0.22,
    visits_a_week: 0.6,
    hours: (8, 21),
    weekdays: ANY_DAY,
    depth: 1.7,
    completes: 0.3,
    joins: 0.0,
    subscribes: 0.0,
    ..READER
};

const CHURNER: Habit = Habit {
    share: 0.1,
    visits_a_week: 3.2,
    hours: (7, 21),
    old: 1.0,
    ..READER
};

const RESURRECTED: Habit = Habit {
    share: 0.04,
    visits_a_week: 2.4,
    hours: (7, 21),
    old: 1.0,
    ..READER
};

const BUYER: Habit = Habit {
    share: 0.06,
    visits_a_week: 1.6,
    hours: (12, 21),
    weekdays: ANY_DAY,
    joins: 1.0,
    ..READER
};

pub(super) fn habit(kind: Kind) -> Habit {
    match kind {
        Kind::DailyReader => READER,
        Kind::RecipeReader => RECIPE_READER,
        Kind::WeekendBrowser => WEEKEND_BROWSER,
        Kind::NewsSkimmer => NEWS_SKIMMER,
        Kind::Contributor => CONTRIBUTOR,
        Kind::Lurker | Kind::PasserBy | Kind::Bot => LURKER,
        Kind::Churner => CHURNER,
        Kind::Resurrected => RESURRECTED,
        Kind::Buyer => BUYER,
    }
}

/// How many visits somebody makes on a day, on average.
pub(super) fn expected(person: &Person, day: &Day) -> f64 {
    if !comes(person, day.index) {
        return 0.0;
    }
    let is_ending = person.stops.is_some_and(|stops| stops - day.index <= TAPER_DAYS);
    let taper = if is_ending { TAPER } else { 1.0 };
    person.visits_a_week / 7.0 * weekday(person, day.weekday) * season(person.kind, day) * taper
}

/// How many they make, where so many are to be expected.
pub(super) fn visits(expected: f64, random: &mut Random) -> u32 {
    Poisson::new(expected).map_or(0, |distribution| distribution.sample(random) as u32)
}

/// Whether somebody is there at all on a day.
pub(super) fn comes(person: &Person, day: i32) -> bool {
    person.arrives <= day
        && person.stops.is_none_or(|stops| day < stops)
        && person.pause.is_none_or(|(from, to)| day < from || day >= to)
}

/// When a visit begins.
pub(super) fn moment(person: &Person, day: &Day, random: &mut Random) -> i64 {
    let drawn: f64 = random.random();
    let hour = if drawn < IN_HOUR {
        person.hour
    } else if drawn < IN_HOUR + BESIDE {
        (person.hour + 23) % 24
    } else if drawn < IN_HOUR + 2.0 * BESIDE {
        (person.hour + 1) % 24
    } else {
        random.random_range(AWAKE)
    };
    day.at(hour.into(), random.random_range(0.0..LATEST_MINUTE))
}

/// How much more or less than usual a day of the week is somebody's; 1 on average.
fn weekday(person: &Person, weekday: usize) -> f64 {
    let is_preferred = usize::from(person.weekday) == weekday;
    match person.kind {
        Kind::WeekendBrowser => match (is_preferred, weekday >= 5) {
            (true, _) => 3.8,
            (_, true) => 1.7,
            _ => 0.3,
        },
        _ if is_preferred => 2.2,
        _ => 0.8,
    }
}

/// The year: everybody reads more in winter, and cooks for its feasts.
fn season(kind: Kind, day: &Day) -> f64 {
    let year = std::f64::consts::TAU * f64::from(day.date.day_of_year()) / 365.25;
    let winter = year.cos();
    match kind {
        Kind::RecipeReader => 1.0 + 0.3 * winter,
        _ => 1.0 + 0.1 * winter,
    }
}
