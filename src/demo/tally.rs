//! Counts events as they are written, each once.

use std::collections::BTreeMap;

use super::client::Channel;
use super::event::{CURRENCY, Event, Ids, LABELS, PRODUCTS, What};
use super::people::{Kind, Person};
use super::topics::TOPICS;
use super::truth::{AnomalyTruth, EventTruth, HabitTruth, PersonTruth, Truth, WorldTruth};
use super::world::{World, shown};
use super::write::{anonymous_id, user_id};

/// Channels that a person did not come by.
const NO_CHANNEL: u8 = u8::MAX;

/// The counts, by label and person.
#[derive(Debug)]
pub(super) struct Tallies {
    labels: [u64; LABELS.len()],
    robots: [u64; LABELS.len()],
    duplicates: u64,
    late: u64,
    people: Vec<Tally>,
}

#[derive(Clone, Copy, Debug)]
struct Tally {
    first: i64,
    last: i64,
    signed_up_at: Option<i64>,
    subscribed_at: Option<i64>,
    events: u32,
    views: u32,
    reads: u32,
    completed: u32,
    completed_videos: u32,
    engaged: u32,
    published: u32,
    orders: u32,
    cents: u64,
    has_user: bool,
    /// A bit a device.
    devices: u8,
    channel: u8,
    /// When the page of that channel was opened.
    entered: i64,
}

impl Tally {
    const NONE: Self = Self {
        first: i64::MAX,
        last: i64::MIN,
        signed_up_at: None,
        subscribed_at: None,
        events: 0,
        views: 0,
        reads: 0,
        completed: 0,
        completed_videos: 0,
        engaged: 0,
        published: 0,
        orders: 0,
        cents: 0,
        has_user: false,
        devices: 0,
        channel: NO_CHANNEL,
        entered: i64::MAX,
    };

    fn count(&mut self, event: &Event) {
        self.events += 1;
        self.first = self.first.min(event.at);
        self.last = self.last.max(event.at);
        self.has_user |= event.ids != Ids::Visitor;
        if event.ids != Ids::User {
            self.devices |= 1 << event.device;
        }
        // By when it occurred, since a late event may be written after later ones.
        if let (What::Page, Some(channel)) = (event.what, event.entry)
            && event.at < self.entered
        {
            self.entered = event.at;
            self.channel = channel.number();
        }
        match event.what {
            What::Viewed(_) => self.views += 1,
            What::Read { seconds, more, .. } => {
                self.reads += u32::from(seconds == more);
                self.engaged += u32::from(more);
            }
            What::Engaged { more, .. } => self.engaged += u32::from(more),
            What::Completed(_) => self.completed += 1,
            What::VideoCompleted(_) => self.completed_videos += 1,
            What::SignedUp => self.signed_up_at = Some(event.at),
            What::Subscribed(_) => self.subscribed_at = Some(event.at),
            What::Published(_) => self.published += 1,
            What::Ordered { product, .. } => {
                self.orders += 1;
                self.cents += u64::from(PRODUCTS[product as usize].1);
            }
            _ => {}
        }
    }
}

impl Tallies {
    pub(super) fn new(people: usize) -> Self {
        Self {
            labels: [0; LABELS.len()],
            robots: [0; LABELS.len()],
            duplicates: 0,
            late: 0,
            people: vec![Tally::NONE; people],
        }
    }

    pub(super) fn count(&mut self, event: &Event, is_copy: bool, is_late: bool) {
        if is_copy {
            self.duplicates += 1;
            return;
        }
        let label = event.what.label();
        self.labels[label] += 1;
        self.robots[label] += u64::from(
            event
                .agent
                .is_some_and(|agent| agent >= super::client::AGENT_COUNT),
        );
        self.late += u64::from(is_late);
        self.people[event.person as usize].count(event);
    }

    pub(super) fn truth(&self, world: &World) -> Truth {
        let people: Vec<_> = (0..)
            .zip(self.people.iter().zip(&world.people))
            .filter(|(_, (tally, _))| tally.events > 0)
            .map(|(number, (tally, person))| person_truth(world, number, tally, person))
            .collect();
        let mut people_by_kind = BTreeMap::new();
        for person in &people {
            *people_by_kind.entry(person.kind).or_default() += 1;
        }
        let by_name = |counts: &[u64; LABELS.len()]| {
            let named = LABELS.into_iter().zip(*counts);
            named.filter(|(_, count)| *count > 0).collect()
        };
        let anomaly = |window: &super::anomaly::Window| AnomalyTruth {
            kind: window.anomaly,
            from: shown(window.from),
            to: shown(window.to),
        };
        Truth {
            world: WorldTruth {
                tag: world.tag.clone(),
                seed: world.settings.seed,
                from: shown(world.start),
                to: shown(world.end),
                zone: world.settings.zone.iana_name().unwrap_or("UTC").to_owned(),
                people: world.settings.people,
                articles: world.settings.articles,
            },
            events: EventTruth {
                total: self.labels.iter().sum(),
                by_name: by_name(&self.labels),
                bots: self.robots.iter().sum(),
                bots_by_name: by_name(&self.robots),
                duplicates: self.duplicates,
                late: self.late,
            },
            people_by_kind,
            anomalies: world.windows.iter().map(anomaly).collect(),
            people,
        }
    }
}

fn person_truth(world: &World, number: u32, tally: &Tally, person: &Person) -> PersonTruth {
    let devices = (0..2).filter(|device| tally.devices & (1 << device) != 0);
    PersonTruth {
        kind: person.kind,
        user_id: tally.has_user.then(|| user_id(world, number)),
        anonymous_ids: devices
            .map(|device| anonymous_id(world, number, device).to_string())
            .collect(),
        first_seen_at: shown(tally.first),
        last_seen_at: shown(tally.last),
        events: tally.events,
        views: tally.views,
        reads: tally.reads,
        completed_reads: tally.completed,
        completed_videos: tally.completed_videos,
        engaged_seconds: tally.engaged,
        first_channel: Channel::NAMES.get(usize::from(tally.channel)).copied(),
        signed_up_at: tally.signed_up_at.map(shown),
        subscribed_at: tally.subscribed_at.map(shown),
        published: tally.published,
        orders: tally.orders,
        revenue: tally.cents as f64 / 100.0,
        currency: CURRENCY,
        habit: habit_truth(world, person),
    }
}

fn habit_truth(world: &World, person: &Person) -> Option<HabitTruth> {
    let date = |index| world.calendar.day(index).date;
    (!matches!(person.kind, Kind::Bot | Kind::PasserBy)).then(|| HabitTruth {
        preferred_hour: person.hour,
        preferred_weekday: person.weekday + 1,
        topics: person
            .topics
            .iter()
            .map(|topic| TOPICS[*topic as usize])
            .collect(),
        language: super::topics::LANGUAGES[person.language as usize].0,
        churned_on: person.stops.map(date),
        away: person.pause.map(|(from, to)| (date(from), date(to))),
    })
}
