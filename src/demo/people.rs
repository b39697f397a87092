use rand::Rng as _;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use serde::Serialize;

use super::articles::language;
use super::client::{AGENT_COUNT, CRAWLERS, HEADLESS, PHONES};
use super::habits::{Habit, habit};
use super::random::{Purpose, Random, stream};
use super::topics::{Language, TOPICS, Topic};

/// What somebody is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Reads in the morning of most weekdays, to the end.
    DailyReader,
    /// Looks for recipes in the evening.
    RecipeReader,
    /// Comes on Saturdays and Sundays, and stays.
    WeekendBrowser,
    /// Opens many articles and reads few.
    NewsSkimmer,
    /// Writes articles, and reads too.
    Contributor,
    /// Never signs up.
    Lurker,
    /// Stops at a planted day and never comes back.
    Churner,
    /// Is away for weeks and comes back.
    Resurrected,
    /// Orders things.
    Buyer,
    /// Comes once, by the link that makes the anomaly `spike`.
    PasserBy,
    /// A robot, by its user agent.
    Bot,
}

impl Kind {
    /// Those that `people` counts.
    pub(super) const REGULAR: [Self; 9] = [
        Self::DailyReader,
        Self::RecipeReader,
        Self::WeekendBrowser,
        Self::NewsSkimmer,
        Self::Contributor,
        Self::Lurker,
        Self::Churner,
        Self::Resurrected,
        Self::Buyer,
    ];
}

/// Somebody. What never changes is drawn at the beginning of the world.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) kind: Kind,
    /// In the world's zone.
    pub(super) hour: u8,
    /// 0 for Monday.
    pub(super) weekday: u8,
    /// Most liked first.
    pub(super) topics: [Topic; 2],
    pub(super) language: Language,
    /// Places of `client::agent`; the second one is used by who has two.
    pub(super) devices: [u8; 2],
    pub(super) has_two: bool,
    pub(super) visits_a_week: f64,
    /// How likely an article is read to its end.
    pub(super) completes: f64,
    /// The first day on which they may come.
    pub(super) arrives: i32,
    /// The first day on which they never come again.
    pub(super) stops: Option<i32>,
    /// From the first day of a long absence to the first one after it.
    pub(super) pause: Option<(i32, i32)>,
    /// The visit in which they sign up: 0 for a member from before, `None` for never.
    pub(super) joins_at: Option<u16>,
    /// The first visit in which a member may subscribe to the newsletter.
    pub(super) subscribes_at: Option<u16>,
    pub(super) newsletter: u8,
    pub(super) state: State,
}

/// What changes with each visit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    pub(super) visits: u16,
    pub(super) is_member: bool,
    pub(super) is_subscriber: bool,
    pub(super) knows_second: bool,
    pub(super) orders: u16,
    /// Before this moment no other visit begins.
    pub(super) free_at: i64,
    /// Articles that were opened last, which are not opened again soon.
    pub(super) recent: [Option<u32>; 8],
}

impl State {
    pub(super) fn note(&mut self, article: u32) {
        self.recent.rotate_right(1);
        self.recent[0] = Some(article);
    }
}

/// Whom a world is made of: regular people, then crawlers, then those of the anomalies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) regular: u32,
    pub(super) crawlers: u32,
    pub(super) passers_by: u32,
    pub(super) wave: u32,
}

pub(super) fn make_all(seed: u64, counts: Counts, days: i32, around_the_clock: bool) -> Vec<Person> {
    let mut random = stream(seed, Purpose::People, 0, 0);
    let mut kinds = kinds(counts.regular);
    kinds.shuffle(&mut random);
    let mut people: Vec<_> = kinds
        .into_iter()
        .map(|kind| regular(&mut random, kind, days, around_the_clock))
        .collect();
    let crawler = |number| u8::try_from(number % u32::from(CRAWLERS)).unwrap_or_default() + AGENT_COUNT;
    people.extend((0..counts.crawlers).map(|number| stranger(&mut random, Kind::Bot, crawler(number))));
    for _ in 0..counts.passers_by {
        let device = random.random_range(0..AGENT_COUNT);
        people.push(stranger(&mut random, Kind::PasserBy, device));
    }
    people.extend((0..counts.wave).map(|_| stranger(&mut random, Kind::Bot, HEADLESS)));
    people
}

/// So many of each kind as its share says; somebody always writes.
fn kinds(count: u32) -> Vec<Kind> {
    let mut kinds = Vec::with_capacity(count as usize);
    kinds.push(Kind::Contributor);
    for kind in Kind::REGULAR {
        let share = (habit(kind).share * f64::from(count)).round() as usize;
        kinds.extend(std::iter::repeat_n(kind, share));
    }
    kinds.resize(count.max(1) as usize, Kind::Lurker);
    kinds
}

fn regular(random: &mut Random, kind: Kind, days: i32, around_the_clock: bool) -> Person {
    let habit = habit(kind);
    let share_of_days = |share: f64| (share * f64::from(days)) as i32;
    let is_old = random.random_bool(habit.old);
    let hour = random.random_range(habit.hours.0..=habit.hours.1);
    let elsewhere = if around_the_clock {
        random.random_range(0..24)
    } else {
        0
    };
    let device = device(random, kind);
    Person {
        kind,
        hour: (hour + elsewhere) % 24,
        weekday: *habit.weekdays.choose(random).unwrap_or(&0),
        topics: topics(random, &habit),
        language: language(random),
        devices: [
            device,
            if device < PHONES { PHONES } else { 0 } + random.random_range(0..PHONES),
        ],
        has_two: random.random_bool(0.3),
        visits_a_week: habit.visits_a_week * random.random_range(0.6..1.4),
        completes: (habit.completes * random.random_range(0.7..1.3)).min(0.95),
        arrives: if is_old || around_the_clock {
            0
        } else {
            share_of_days(random.random_range(0.0..0.85))
        },
        stops: (kind == Kind::Churner).then(|| share_of_days(random.random_range(0.3..0.8)).max(1)),
        pause: (kind == Kind::Resurrected).then(|| {
            let from = share_of_days(random.random_range(0.25..0.35));
            (
                from,
                from + share_of_days(random.random_range(0.42..0.52)).min(60),
            )
        }),
        joins_at: random
            .random_bool(habit.joins)
            .then(|| if is_old { 0 } else { random.random_range(1..5) }),
        subscribes_at: random
            .random_bool(habit.subscribes)
            .then(|| random.random_range(1..6)),
        newsletter: habit.newsletter,
        state: State::default(),
    }
}

/// Somebody who is known by nothing but a visit.
fn stranger(random: &mut Random, kind: Kind, device: u8) -> Person {
    Person {
        kind,
        hour: 12,
        weekday: 0,
        topics: [0, 1],
        language: language(random),
        devices: [device, device],
        has_two: false,
        visits_a_week: 0.0,
        completes: 0.2,
        arrives: 0,
        stops: None,
        pause: None,
        joins_at: None,
        subscribes_at: None,
        newsletter: 0,
        state: State::default(),
    }
}

fn device(random: &mut Random, kind: Kind) -> u8 {
    let phones = match kind {
        Kind::NewsSkimmer | Kind::RecipeReader => 0.75,
        _ => 0.5,
    };
    if random.random_bool(phones) {
        random.random_range(0..PHONES)
    } else {
        random.random_range(PHONES..AGENT_COUNT)
    }
}

/// Two different ones, the first of them one that the kind is about.
fn topics(random: &mut Random, habit: &Habit) -> [Topic; 2] {
    let first = match habit.topics.choose(random) {
        Some(topic) => *topic,
        None => random.random_range(0..TOPICS.len()) as Topic,
    };
    let step = random.random_range(1..TOPICS.len()) as Topic;
    [first, (first + step) % TOPICS.len() as Topic]
}
