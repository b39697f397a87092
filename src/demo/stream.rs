use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::Rng as _;
use uuid::Uuid;

use super::calendar::{HOUR, MINUTE, SECOND};
use super::client::PHONES;
use super::event::{Event, What};
use super::random::{Purpose, Random, stream};
use super::session;
use super::tally::Tallies;
use super::truth::Truth;
use super::visit::{Errand, Visit};
use super::world::{Settings, World};
use super::write::{message_id, write};

/// Of a thousand visits by phone so many are told late, since there was no network.
const LATE: f64 = 0.01;
const LATE_BY: std::ops::Range<i64> = 20 * MINUTE..30 * HOUR;
/// Of a thousand events so many are sent once more, since an answer was lost.
const REPEATED: f64 = 0.003;
const REPEATED_AFTER: std::ops::Range<i64> = SECOND..2 * HOUR;

/// The events of a world in the order in which they are sent: nearly that in which they occur.
#[derive(Debug)]
pub struct Stream {
    world: World,
    /// The day that comes next.
    day: i32,
    /// Of the day; those up to `next` are over.
    visits: Vec<Visit>,
    next: usize,
    queue: BinaryHeap<Reverse<Queued>>,
    delivery: Random,
    /// Events so far: the place in it makes an event's id.
    events: u64,
    tallies: Tallies,
    /// Reused for each visit.
    played: Vec<Event>,
}

/// What was written of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The event was written before.
    pub is_copy: bool,
}

#[derive(Debug)]
struct Queued {
    send_at: i64,
    number: u64,
    is_copy: bool,
    is_late: bool,
    event: Event,
}

impl Stream {
    /// Makes the world; nothing has happened in it yet.
    pub fn new(settings: Settings) -> Self {
        let world = World::new(settings);
        Self {
            day: 0,
            visits: Vec::new(),
            next: 0,
            queue: BinaryHeap::new(),
            delivery: stream(world.settings.seed, Purpose::Delivery, 0, 0),
            events: 0,
            tallies: Tallies::new(world.people.len()),
            played: Vec::new(),
            world,
        }
    }

    /// When the next event is to be sent, in milliseconds since 1970; `None` when there are no more.
    pub fn due(&mut self) -> Option<i64> {
        self.play_on();
        self.queue.peek().map(|Reverse(queued)| queued.send_at)
    }

    /// Writes the next event, a JSON object as `/v1/batch` takes it, behind what `text` holds, and counts it.
    pub fn write_next(&mut self, text: &mut String) -> Option<Sent> {
        self.play_on();
        let Reverse(queued) = self.queue.pop()?;
        write(&self.world, &queued.event, queued.number, text);
        let Queued { is_copy, is_late, .. } = queued;
        self.tallies.count(&queued.event, is_copy, is_late);
        Some(Sent { is_copy })
    }

    /// The least and the greatest id that an event of this world can have; those of other worlds are outside.
    pub fn ids(&self) -> (Uuid, Uuid) {
        (message_id(&self.world, 0), message_id(&self.world, u64::MAX))
    }

    /// What is true of all that was written so far.
    pub fn truth(&self) -> Truth {
        self.tallies.truth(&self.world)
    }

    /// Plays all visits that begin before the next event is due.
    fn play_on(&mut self) {
        while let Some(at) = self.next_visit() {
            if self
                .queue
                .peek()
                .is_some_and(|Reverse(queued)| queued.send_at < at)
            {
                return;
            }
            let visit = self.visits[self.next];
            self.next += 1;
            self.play(&visit);
        }
    }

    /// When the next visit begins; goes on to the next day where one is over.
    fn next_visit(&mut self) -> Option<i64> {
        while self.next == self.visits.len() {
            let day = self.world.calendar.day(self.day);
            if day.start() >= self.world.end {
                return None;
            }
            self.visits = self.world.begin(&day);
            self.next = 0;
            self.day += 1;
        }
        Some(self.visits[self.next].at)
    }

    fn play(&mut self, visit: &Visit) {
        let Some(visit) = self.world.whoever_is_free(visit) else {
            return;
        };
        let visit = &visit;
        self.played.clear();
        let state = session::play(&self.world, visit, &mut self.played);
        let world = &self.world;
        if !is_told(&self.played, |event| world.is_seen(event.at)) {
            return;
        }
        self.played.retain(|event| world.is_seen(event.at));
        self.world.people[visit.person as usize].state = state;
        mend_engagement(&mut self.played);
        self.enqueue(visit);
    }

    fn enqueue(&mut self, visit: &Visit) {
        let is_phone = self
            .played
            .first()
            .and_then(|event| event.agent)
            .is_some_and(|agent| agent < PHONES);
        let is_late = visit.purpose == Errand::Read && is_phone && self.delivery.random_bool(LATE);
        let delay = if is_late {
            self.delivery.random_range(LATE_BY)
        } else {
            0
        };
        for event in &self.played {
            let send_at = event.at + delay;
            let queued = |send_at, is_copy| {
                Reverse(Queued {
                    send_at,
                    number: self.events,
                    is_copy,
                    is_late,
                    event: *event,
                })
            };
            self.queue.push(queued(send_at, false));
            if self.delivery.random_bool(REPEATED) {
                let again_at = send_at + self.delivery.random_range(REPEATED_AFTER);
                self.queue.push(queued(again_at, true));
            }
            self.events += 1;
        }
    }
}

/// Whether enough of a visit is seen. Of one that is cut off before its log-in, a device would be left that nothing says
/// whose it is: such a visit did not happen.
fn is_told(events: &[Event], is_seen: impl Fn(&Event) -> bool) -> bool {
    let is_cut_off = events.last().is_some_and(|last| !is_seen(last));
    let loses_log_in = events
        .iter()
        .any(|event| event.what == What::Identify && !is_seen(event));
    events.iter().any(&is_seen) && !(is_cut_off && loses_log_in)
}

/// Where the heartbeats before were not seen, the next one brings all of the time.
fn mend_engagement(events: &mut [Event]) {
    let mut before: Option<(Option<u32>, u16)> = None;
    for event in events {
        match &mut event.what {
            What::Page => before = None,
            What::Read {
                article,
                seconds,
                more,
            } => since(&mut before, Some(*article), *seconds, more),
            What::Engaged {
                article,
                seconds,
                more,
            } => since(&mut before, *article, *seconds, more),
            _ => {}
        }
    }
}

fn since(before: &mut Option<(Option<u32>, u16)>, article: Option<u32>, seconds: u16, more: &mut u16) {
    *more = match *before {
        Some((same, told)) if same == article && told < seconds => seconds - told,
        _ => seconds,
    };
    *before = Some((article, seconds));
}

impl Queued {
    fn rank(&self) -> (i64, u64, bool) {
        (self.send_at, self.number, self.is_copy)
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}
