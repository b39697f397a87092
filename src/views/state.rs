//! Everything about a person that adds up, in a few hundred bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::content::Moment;
use super::decayed::Decayed;
use super::fragment::{Counts, First, earlier};
use super::person_day::{By, PersonDay};
use super::{Arrival, Day, DaySet};

/// Days whose activity is kept one by one: as many as any window looks back, and those that a tier's memory needs.
pub const RECENT: i32 = 63;

/// What one day came to; of recent days only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentDay {
    pub reads: u32,
    pub engaged_seconds: u32,
}

/// What a person's days came to.
///
/// A day may be added again when it has grown: [`PersonState::change`] takes what it was. Days never shrink, as long as the
/// streams are the same person's; otherwise the state is made anew from all days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonState {
    pub days: DaySet,
    pub counts: Counts,
    pub sessions: i64,
    /// Of all sessions, from first to last event, in microseconds.
    pub session_time: i64,
    pub reads: i64,
    pub completed_reads: i64,
    pub engaged_seconds: i64,
    /// On how many days there was an event in each hour.
    pub hours: [u32; 24],
    pub first_seen: i64,
    pub last_seen: i64,
    pub first: Option<First>,
    pub subscribed: Option<(Moment, bool)>,
    pub signed_up_at: Option<i64>,
    /// The last 63 days up to the last active one.
    pub recent: BTreeMap<Day, RecentDay>,
    pub devices: BTreeMap<String, u32>,
    pub browsers: BTreeMap<String, u32>,
    pub languages: BTreeMap<String, u32>,
    pub topics: BTreeMap<String, Decayed>,
    pub authors: BTreeMap<String, Decayed>,
}

/// A day as it counts for the person: what happened, and the sessions that began on it.
#[derive(Clone, Copy, Debug)]
pub struct DayPart<'a> {
    pub facts: &'a PersonDay,
    pub sessions: i64,
    /// Of those sessions, in microseconds.
    pub session_time: i64,
}

impl PersonState {
    /// Replaces what a day was by what it is. False where the state cannot follow, and has to be made anew from all days:
    /// a later event has said that something read is about something else.
    #[must_use]
    pub fn change(&mut self, day: Day, old: Option<DayPart<'_>>, new: DayPart<'_>) -> bool {
        let facts = new.facts;
        let before = old.map(|old| old.facts);
        self.days.insert(day);
        let grown = |of: &dyn Fn(&PersonDay) -> i64| of(facts) - before.map_or(0, of);
        self.counts = self
            .counts
            .plus(facts.counts)
            .minus(before.map(|old| old.counts).unwrap_or_default());
        self.sessions += new.sessions - old.map_or(0, |old| old.sessions);
        self.session_time += new.session_time - old.map_or(0, |old| old.session_time);
        self.reads += grown(&PersonDay::reads);
        self.completed_reads += grown(&PersonDay::completed_reads);
        self.engaged_seconds += grown(&|day| day.engaged_seconds);
        for (hour, days) in self.hours.iter_mut().enumerate() {
            let had = before.is_some_and(|old| old.hours >> hour & 1 == 1);
            *days += u32::from(facts.hours >> hour & 1 == 1 && !had);
        }
        self.see(facts);
        self.keep_recent(day, facts);
        self.count_devices(before, facts);
        let topics = like(&mut self.topics, By::Topic, day, before, facts);
        let authors = like(&mut self.authors, By::Author, day, before, facts);
        topics && authors
    }

    fn see(&mut self, facts: &PersonDay) {
        let (first, last) = facts.bounds();
        let is_empty = self.first.is_none();
        self.first_seen = if is_empty {
            first
        } else {
            self.first_seen.min(first)
        };
        self.last_seen = if is_empty { last } else { self.last_seen.max(last) };
        let first = facts.pieces.iter().map(|piece| &piece.first).min();
        if let Some(first) = first.filter(|first| self.first.as_ref().is_none_or(|known| *first < known)) {
            self.first = Some(first.clone());
        }
        self.subscribed = self.subscribed.max(facts.subscribed);
        self.signed_up_at = earlier(self.signed_up_at, facts.signed_up_at);
    }

    fn keep_recent(&mut self, day: Day, facts: &PersonDay) {
        let recent = RecentDay {
            reads: u32::try_from(facts.reads()).unwrap_or(u32::MAX),
            engaged_seconds: u32::try_from(facts.engaged_seconds).unwrap_or(u32::MAX),
        };
        self.recent.insert(day, recent);
        let oldest = self
            .recent
            .last_key_value()
            .map_or(day, |(last, _)| last.plus(1 - RECENT));
        self.recent = self.recent.split_off(&oldest);
    }

    /// Sessions' first events say with what somebody came; a visit counts once however it grows, by how many visits of the
    /// day had it.
    fn count_devices(&mut self, before: Option<&PersonDay>, facts: &PersonDay) {
        type Told = fn(&Arrival) -> &Option<String>;
        let told: [(&mut BTreeMap<String, u32>, Told); 3] = [
            (&mut self.devices, |arrival| &arrival.device),
            (&mut self.browsers, |arrival| &arrival.browser),
            (&mut self.languages, |arrival| &arrival.language),
        ];
        for (counted, told) in told {
            let count = |facts: &PersonDay| {
                let mut counts = BTreeMap::<String, i64>::new();
                for name in facts
                    .pieces
                    .iter()
                    .filter_map(|piece| told(&piece.first.arrival).as_ref())
                {
                    *counts.entry(name.clone()).or_default() += 1;
                }
                counts
            };
            let (old, new) = (before.map(count).unwrap_or_default(), count(facts));
            let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for name in names {
                let change = new.get(name).unwrap_or(&0) - old.get(name).unwrap_or(&0);
                let known = counted.get(name).copied().unwrap_or(0);
                match u32::try_from(i64::from(known) + change) {
                    Ok(0) | Err(_) => counted.remove(name),
                    Ok(now) => counted.insert(name.clone(), now),
                };
            }
        }
    }

    /// For the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("no type of it can fail")
    }

    /// From the store.
    ///
    /// # Errors
    /// Where they are not what [`PersonState::to_bytes`] made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes)
    }
}

/// Adds what a day says more of somebody's taste. Marks only rise, and so do weights; but what is read may turn out to be
/// about something else, and nothing can be taken from a sum that forgets.
fn like(
    liked: &mut BTreeMap<String, Decayed>,
    by: By,
    day: Day,
    before: Option<&PersonDay>,
    facts: &PersonDay,
) -> bool {
    let mut change = facts.weights(by);
    for (name, weight) in before.map(|old| old.weights(by)).unwrap_or_default() {
        *change.entry(name).or_insert(0) -= weight;
    }
    for (name, weight) in &change {
        if *weight > 0 {
            let sum = liked.entry((*name).to_owned()).or_default();
            *sum = sum.plus(Decayed::new(*weight, day));
        }
    }
    change.values().all(|weight| *weight >= 0)
}
