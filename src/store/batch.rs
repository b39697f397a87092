//! What capture asks the store to write in one transaction.

use std::ops::Range;

use foldhash::HashMap;
use jiff::Timestamp;
use uuid::Uuid;

use super::month::Month;
use crate::event::{Event, EventKind, Origin};

/// An event to store.
#[derive(Debug)]
pub struct Row<'a> {
    pub event: Event<'a>,
    pub offset: i64,
    /// The month of `received_at`.
    pub month: Month,
    /// Whether a copy may lie in another month: its id is claimed, and looked for in all months.
    pub roams: bool,
}

/// An event to keep out of the store, with its reason.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    pub received_at: Timestamp,
    pub stage: Stage,
    pub code: String,
    pub pointer: String,
    pub detail: String,
    pub source: Option<String>,
    pub event_id: Option<Uuid>,
    pub message_id: Option<String>,
    /// Whether its source was trusted then.
    pub trusted: Option<bool>,
    pub origin: Option<Origin>,
    pub scope: Option<serde_json::Value>,
    /// What is kept of the payload.
    pub payload: Vec<u8>,
    /// Length of the whole payload.
    pub payload_length: i64,
    /// Of the whole payload.
    pub payload_sha256: Vec<u8>,
    pub offset: i64,
}

/// Who refused an event, which says what its payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The payload is the client's JSON.
    Ingest,
    /// The payload is the log record.
    Capture,
}

impl Stage {
    /// The name in `dead_letters.stage`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Capture => "capture",
        }
    }
}

/// How often a property was seen with a JSON type, since the last time that was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PropertyCount {
    pub source: String,
    pub kind: EventKind,
    pub event: String,
    pub property: String,
    pub json_type: &'static str,
    pub events: i64,
}

/// The consecutive records `from..to` of a partition, sorted into what becomes of them.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    pub from: i64,
    pub to: i64,
    /// SHA-256 of the record before `to`.
    pub fingerprint: Option<Vec<u8>>,
    pub rows: Vec<Row<'a>>,
    pub dead_letters: Vec<DeadLetter>,
    /// How many of `dead_letters` are no records of momsflow.
    pub foreign: i64,
    /// Copies of `rows` within this batch.
    pub duplicates: i64,
    /// How many of `duplicates` differ from what they copy.
    pub conflicts: i64,
    /// Offsets that the log had lost before they were read.
    pub gap: Option<Range<i64>>,
    /// How many other offsets hold no record, such as the markers of others' transactions.
    pub holes: i64,
    /// What the event catalogue learns, when it is time to write it.
    pub properties: Vec<PropertyCount>,
}

impl Batch<'_> {
    /// The months that rows go to.
    pub fn months(&self) -> Vec<Month> {
        let mut months: Vec<_> = self.rows.iter().map(|row| row.month).collect();
        months.sort_unstable();
        months.dedup();
        months
    }
}

/// What became of a batch's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub stored: i64,
    pub duplicate: i64,
    pub dead_letter: i64,
    pub foreign: i64,
    /// Of visitors who asked to be forgotten.
    pub suppressed: i64,
    pub gap: i64,
    /// Duplicates with other content; part of `duplicate`.
    pub conflict: i64,
}

/// Counts of stored rows by minute, source, type and name.
#[derive(Debug, Default)]
pub struct Minutes<'a>(HashMap<(Timestamp, &'a str, EventKind, &'a str), (i64, i64)>);

impl<'a> Minutes<'a> {
    /// Counts a stored event under `name`.
    pub fn add(&mut self, event: &'a Event<'_>, name: &'a str) {
        let second = event.received_at.as_second();
        let minute = Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(event.received_at);
        let (people, bots) = self
            .0
            .entry((minute, &event.source, event.kind, name))
            .or_default();
        *(if event.is_bot { bots } else { people }) += 1;
    }

    /// The counts in the order of their key: minute, source, type, name, people's events, bots' events.
    pub fn sorted(&self) -> Vec<(Timestamp, &str, EventKind, &str, i64, i64)> {
        let counts = self.0.iter();
        let mut sorted: Vec<_> = counts
            .map(|((minute, source, kind, name), (people, bots))| {
                (*minute, *source, *kind, *name, *people, *bots)
            })
            .collect();
        sorted.sort_unstable();
        sorted
    }
}
