//! Logs full of events, put there by ingest itself.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use momsflow::broker::EventLog;
use momsflow::broker::embedded::EmbeddedLog;
use momsflow::broker::intake::Intake;
use momsflow::clock::Clock;
use momsflow::collector::{Collector, Shape, Submission};
use momsflow::config::{self, Config};
use momsflow::event::Client;

use crate::peer::trusted;
use crate::traffic::{Traffic, batch_of};

/// The middle of a month: nearer to its border every event could have a copy beyond it, which costs more.
pub const START: Timestamp = Timestamp::constant(1_794_700_800, 0); // 2026-11-15T00:00:00Z
const BATCH: usize = 100;
/// Between two batches.
const STEP: SignedDuration = SignedDuration::from_millis(10);

/// A log that holds events.
pub struct FilledLog {
    pub log: Arc<dyn EventLog>,
    pub clock: Clock,
}

/// What a log is filled with.
#[derive(Clone, Copy, Debug)]
pub struct Filling {
    pub events: usize,
    pub partitions: i32,
    /// Of a hundred events, how many carry the id and content of an earlier one.
    pub duplicates: usize,
    /// Batches that are sent side by side.
    pub at_once: usize,
}

impl FilledLog {
    /// Makes an embedded log and puts the same events into it each time.
    pub async fn embedded(folder: &Path, filling: Filling) -> Self {
        let clock = Clock::manual(START);
        let settings = config::EventLog {
            partitions: filling.partitions,
            ..config::EventLog::default()
        };
        let log = EmbeddedLog::open(folder, &settings, clock.clone()).unwrap();
        Self::fill(log, clock, filling).await
    }

    /// Puts the same events into a log each time; `clock` is the log's own, and set by hand.
    pub async fn fill(log: Arc<dyn EventLog>, clock: Clock, filling: Filling) -> Self {
        let ingest = Collector::new(
            Arc::new(Intake::of(log.clone())),
            clock.clone(),
            &Config::default(),
        );
        let mut events = Events::new(filling);
        let mut now = START;
        let mut left = filling.events;
        while left > 0 {
            let mut batches = Vec::new();
            while left > 0 && batches.len() < filling.at_once {
                now += STEP;
                let count = left.min(BATCH);
                batches.push((0..count).map(|_| events.next(now)).collect::<Vec<_>>());
                left -= count;
            }
            clock.set(now);
            join_all(batches.iter().map(|batch| submit(&ingest, batch, now))).await;
        }
        Self { log, clock }
    }

    /// The offset behind the last record, over all partitions.
    pub async fn records(&self) -> i64 {
        let mut records = 0;
        for partition in 0..self.log.partitions() {
            records += self.log.offsets(partition).await.unwrap().end;
        }
        records
    }
}

async fn submit(ingest: &Collector, batch: &[String], now: Timestamp) {
    let (body, _) = batch_of(batch, now);
    let submission = Submission {
        source: &trusted("website"),
        shape: Shape::Batch,
        client: Client {
            ip: Some([203, 0, 113, 7].into()),
            ..Client::default()
        },
    };
    let answer = ingest.submit(&body, &submission, |_| Ok(())).await.unwrap();
    assert_eq!(answer.accepted, batch.len());
}

struct Events {
    traffic: Traffic,
    /// One event in so many is a copy; 0 for none.
    every: usize,
    made: usize,
    /// Events that are to come again.
    held: VecDeque<String>,
    /// A copy comes a quarter of the stream later, so that its first is in the store by then.
    hold: usize,
}

impl Events {
    fn new(filling: Filling) -> Self {
        let every = 100_usize.checked_div(filling.duplicates).unwrap_or(0);
        Self {
            traffic: Traffic::new(770),
            every,
            made: 0,
            held: VecDeque::new(),
            hold: filling.events.checked_div(every * 4).unwrap_or(0),
        }
    }

    fn next(&mut self, now: Timestamp) -> String {
        self.made += 1;
        if self.every > 0
            && self.made.is_multiple_of(self.every)
            && self.held.len() > self.hold
            && let Some(copy) = self.held.pop_front()
        {
            return copy;
        }
        let id = self.traffic.id();
        let event = self.traffic.event(id, now);
        if self.every > 0 && self.made % self.every == 1 {
            self.held.push_back(event.clone());
        }
        event
    }
}
