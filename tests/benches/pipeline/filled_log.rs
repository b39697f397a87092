//! Logs full of events, put there by ingest itself.

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use momsflow::broker::EventLog;
use momsflow::broker::embedded::EmbeddedLog;
use momsflow::clock::Clock;
use momsflow::config::{self, Config};
use momsflow::event::Client;
use momsflow::roles::ingest::{Ingest, Shape, Submission};
use uuid::Uuid;

use crate::peer::trusted;
use crate::traffic::{Traffic, batch_of};

/// The middle of a month: nearer to its border every event could have a copy beyond it, which costs more.
pub const START: Timestamp = Timestamp::constant(1_794_700_800, 0); // 2026-11-15T00:00:00Z
const BATCH: usize = 100;
/// Between two batches.
const STEP: SignedDuration = SignedDuration::from_millis(10);

/// A log that holds events.
pub struct FilledLog {
    pub log: Arc<EmbeddedLog>,
    pub clock: Clock,
}

/// What a log is filled with.
#[derive(Clone, Copy, Debug)]
pub struct Filling {
    pub events: usize,
    pub partitions: i32,
    /// Of a hundred events, how many carry the id and content of an earlier one.
    pub duplicates: usize,
}

impl FilledLog {
    /// Makes a log and puts the same events into it each time.
    pub async fn make(folder: &Path, filling: Filling) -> Self {
        let clock = Clock::manual(START);
        let settings = config::EventLog {
            partitions: filling.partitions,
            ..config::EventLog::default()
        };
        let log = EmbeddedLog::open(folder, &settings, clock.clone()).unwrap();
        let ingest = Ingest::new(log.clone(), clock.clone(), &Config::default());
        let mut events = Events::new(filling.duplicates);
        let mut now = START;
        let mut left = filling.events;
        while left > 0 {
            now += STEP;
            clock.set(now);
            let count = left.min(BATCH);
            let batch: Vec<_> = (0..count).map(|_| events.next(now)).collect();
            let (body, _) = batch_of(&batch, now);
            let submission = Submission {
                source: &trusted("website"),
                shape: Shape::Batch,
                client: Client {
                    ip: Some([203, 0, 113, 7].into()),
                    ..Client::default()
                },
            };
            let answer = ingest.submit(&body, &submission, |_| Ok(())).await.unwrap();
            assert_eq!(answer.accepted, count);
            left -= count;
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

struct Events {
    traffic: Traffic,
    duplicates: usize,
    made: usize,
    /// Ids of earlier events with their content.
    earlier: Vec<String>,
}

impl Events {
    fn new(duplicates: usize) -> Self {
        Self {
            traffic: Traffic::new(770),
            duplicates,
            made: 0,
            earlier: Vec::new(),
        }
    }

    fn next(&mut self, now: Timestamp) -> String {
        self.made += 1;
        if self.duplicates > 0 && self.made.is_multiple_of(100 / self.duplicates) {
            if let Some(copy) = self.earlier.pop() {
                return copy;
            }
        }
        let id: Uuid = self.traffic.id();
        let event = self.traffic.event(id, now);
        // A retry comes seconds later: keep one in so many, and bring it back after some thousand events.
        if self.duplicates > 0 && self.made % (100 / self.duplicates) == 1 {
            self.earlier.insert(0, event.clone());
        }
        event
    }
}
