use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use super::anomaly::{self, Anomaly, Window};
use super::articles::{self, Article, Shelves};
use super::calendar::{Calendar, Day, HOUR, MINUTE, timestamp};
use super::people::{Counts, Kind, Person, make_all};
use super::random::{Purpose, stream};
use super::visit::{Errand, Visit};
use super::{bots, habits, mail};

/// Raised with each change of what the same settings make, so that ids never stand for two things.
const MODEL: u32 = 1;
/// Events that a person makes on a day of a history, on average, before and after the days that they are there too;
/// measured.
pub const EVENTS_PER_PERSON_DAY: f64 = 3.1;
/// Events of a visit; measured.
const EVENTS_PER_VISIT: f64 = 14.5;
/// How long a live run can go on.
pub const LIVE_DAYS: u32 = 30;
/// People who are in the middle of something when a live run begins.
const UNDER_WAY: i64 = 20 * MINUTE;
/// How many are asked whether they come instead of somebody who is busy.
const SUBSTITUTES: u32 = 16;
/// People for each crawler.
const PEOPLE_A_CRAWLER: u32 = 600;

/// All that a world depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    pub pace: Pace,
    /// Of a history: midnight in `zone`.
    pub start: Timestamp,
    /// Of a history; a live run has [`LIVE_DAYS`].
    pub days: u32,
    /// By whose clock people have their habits.
    pub zone: TimeZone,
    pub people: u32,
    pub articles: u32,
    pub anomalies: Vec<Anomaly>,
}

/// How many events there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As many as so many people make.
    History,
    /// So many on average, at any hour: people live all around the world, and come as often as that takes.
    Live { events_per_second: f64 },
}

/// A content platform with its people.
#[derive(Debug)]
pub(super) struct World {
    pub(super) settings: Settings,
    /// Of the settings.
    pub(super) key: u64,
    /// Begins the ids of people and articles, so that two worlds share none.
    pub(super) tag: String,
    pub(super) calendar: Calendar,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) windows: Vec<Window>,
    pub(super) people: Vec<Person>,
    pub(super) articles: Vec<Article>,
    pub(super) shelves: Shelves,
    /// As JSON, for `context`.
    pub(super) timezone: String,
    crawlers: Range<u32>,
    passers_by: Range<u32>,
    wave: Range<u32>,
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        let key = key(&settings);
        let tag = format!("{:06x}", key >> 40);
        let calendar = Calendar::new(settings.zone.clone(), settings.start);
        let days = i32::try_from(settings.days).unwrap_or(i32::MAX);
        let start = settings.start.as_millisecond();
        let (windows, events_a_day) = match settings.pace {
            Pace::History => (
                anomaly::in_history(&settings.anomalies, &calendar, days),
                f64::from(settings.people) * EVENTS_PER_PERSON_DAY,
            ),
            Pace::Live { events_per_second } => (
                anomaly::live(&settings.anomalies, start),
                events_per_second * 24.0 * 3600.0,
            ),
        };
        let counts = counts(settings.people, &windows, events_a_day);
        let is_live = settings.pace != Pace::History;
        let people = make_all(settings.seed, counts, days, is_live);
        let crawlers = counts.regular..counts.regular + counts.crawlers;
        let passers_by = crawlers.end..crawlers.end + counts.passers_by;
        let wave = passers_by.end..passers_by.end + counts.wave;
        let authors = authors(&people);
        let articles = articles::write_all(settings.seed, &tag, settings.articles, &calendar, days, &authors);
        let end = match is_live {
            true => start + i64::from(settings.days) * 24 * HOUR,
            false => calendar.day(days).start(),
        };
        let zone = settings
            .zone
            .iana_name()
            .map(|name| serde_json::Value::from(name).to_string());
        Self {
            key,
            tag,
            calendar,
            start,
            end,
            windows,
            people,
            articles,
            shelves: Shelves::empty(),
            timezone: zone.unwrap_or_else(|| "null".to_owned()),
            crawlers,
            passers_by,
            wave,
            settings,
        }
    }

    /// Fills the shelves for a day and gives what is going to happen on it, in order.
    pub(super) fn begin(&mut self, day: &Day) -> Vec<Visit> {
        self.shelves.fill(&self.articles, day);
        let mut visits = Vec::new();
        let seed = self.settings.seed;
        let pace = self.pace(day);
        for (number, person) in (0..self.crawlers.start).zip(&self.people) {
            let mut random = stream(seed, Purpose::Day, number.into(), day.index as u64);
            for _ in 0..habits::visits(habits::expected(person, day) * pace, &mut random) {
                visits.push(Visit {
                    at: habits::moment(person, day, &mut random),
                    person: number,
                    purpose: Errand::Read,
                    seed: random.random(),
                });
            }
            visits.extend(mail::opened(seed, number, person, day));
        }
        visits.extend(bots::crawls(seed, self.crawlers.clone(), day));
        self.add_publications(day, &mut visits);
        self.add_anomalies(day, &mut visits);
        if self.settings.pace != Pace::History {
            visits.retain(|visit| visit.at >= self.start - UNDER_WAY);
        }
        visits.sort_unstable();
        visits
    }

    /// How many visits there are on a day for one that habits would make.
    fn pace(&self, day: &Day) -> f64 {
        match self.settings.pace {
            Pace::History => 1.0,
            Pace::Live { events_per_second } => {
                let habitual: f64 = self
                    .people
                    .iter()
                    .map(|person| habits::expected(person, day))
                    .sum();
                let wanted = events_per_second * (day.end() - day.start()) as f64 / 1_000.0;
                wanted / (habitual * EVENTS_PER_VISIT).max(f64::MIN_POSITIVE)
            }
        }
    }

    fn add_publications(&self, day: &Day, visits: &mut Vec<Visit>) {
        let is_now = |at: i64| (day.start()..day.end()).contains(&at);
        for (number, article) in (0..).zip(&self.articles) {
            let publication = (article.published_at, Errand::Publish { article: number });
            let withdrawal = (article.withdrawn_at, Errand::Withdraw { article: number });
            for (at, purpose) in [publication, withdrawal] {
                if is_now(at) {
                    visits.push(Visit {
                        at,
                        person: article.author,
                        purpose,
                        seed: 0,
                    });
                }
            }
        }
    }

    fn add_anomalies(&self, day: &Day, visits: &mut Vec<Visit>) {
        let seed = self.settings.seed;
        for window in &self.windows {
            if !(day.start()..day.end()).contains(&window.from) {
                continue;
            }
            match window.anomaly {
                Anomaly::Outage => {}
                Anomaly::Spike => {
                    let strangers = self.passers_by.clone();
                    visits.extend(anomaly::passers_by(seed, strangers, *window, &self.articles));
                }
                Anomaly::BotWave => {
                    visits.extend(bots::wave(seed, self.wave.clone(), (window.from, window.to)));
                }
            }
        }
    }

    /// Nobody does two things at once: the visit of somebody who is busy falls out. In a live world somebody else comes
    /// instead, so that there are as many events as were asked for.
    pub(super) fn whoever_is_free(&self, visit: &Visit) -> Option<Visit> {
        let is_free = |person: u32| self.people[person as usize].state.free_at <= visit.at;
        let is_bound = !matches!(visit.purpose, Errand::Read | Errand::Mail { .. });
        if is_bound || is_free(visit.person) {
            return Some(*visit);
        }
        let is_live = self.settings.pace != Pace::History;
        if !is_live || visit.purpose != Errand::Read {
            return None;
        }
        let regular = self.crawlers.start;
        let mut others =
            (1..=SUBSTITUTES).map(|step| (visit.person + step * (regular / SUBSTITUTES + 1)) % regular);
        let person = others.find(|person| is_free(*person))?;
        Some(Visit { person, ..*visit })
    }

    /// Whether something that happens then is seen: within the world's time, and not while the site is away.
    pub(super) fn is_seen(&self, at: i64) -> bool {
        let is_away =
            |window: &Window| window.anomaly == Anomaly::Outage && (window.from..window.to).contains(&at);
        (self.start..self.end).contains(&at) && !self.windows.iter().any(is_away)
    }
}

fn counts(people: u32, windows: &[Window], events_a_day: f64) -> Counts {
    let crowd = |anomaly| {
        let window = windows.iter().find(|window| window.anomaly == anomaly);
        window.map_or(0, |window| anomaly.crowd(*window, events_a_day))
    };
    Counts {
        regular: people.max(1),
        crawlers: people / PEOPLE_A_CRAWLER + 2,
        passers_by: crowd(Anomaly::Spike),
        wave: crowd(Anomaly::BotWave),
    }
}

fn authors(people: &[Person]) -> Vec<u32> {
    (0..)
        .zip(people)
        .filter(|(_, person)| person.kind == Kind::Contributor)
        .map(|(number, _)| number)
        .collect()
}

/// The same for the same settings, and for no others.
fn key(settings: &Settings) -> u64 {
    let Settings {
        seed,
        pace,
        start,
        days,
        zone,
        people,
        articles,
        anomalies,
    } = settings;
    let zone = zone
        .iana_name()
        .map_or_else(|| format!("{zone:?}"), str::to_owned);
    let text = format!("{MODEL} {seed} {pace:?} {start} {days} {zone} {people} {articles} {anomalies:?}");
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(8)
        .fold(0, |key, byte| key << 8 | u64::from(*byte))
}

/// A moment for people.
pub(super) fn shown(at: i64) -> Timestamp {
    timestamp(at)
}
