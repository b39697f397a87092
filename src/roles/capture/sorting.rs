//! Sorts log records into what becomes of them: a row, a duplicate, a dead letter. Pure.

use foldhash::HashMap;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::broker::StoredRecord;
use crate::event::wire::{self, WireError, WireRecord};
use crate::event::{Event, MAX_KEPT, Origin, Payload, Rejection, scan_object, validate};
use crate::store::batch::{Batch, DeadLetter, Row, Stage};
use crate::store::month::Month;

/// A clock off by more than this may put a copy into another month.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_hours(1);
/// Clocks of hosts that write to the log or read it differ by less than this, unless they are absurd: a clock that is
/// off by hours must not cost an event.
const FUTURE: SignedDuration = SignedDuration::from_hours(24);
/// A retry may come this late, so that a copy lies beyond the month's border.
const BORDER_HOURS: i64 = 24;

/// The bounds of `received_at`; outside them an event is a dead letter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Bounds {
    /// From the earliest history that is allowed to a day from now.
    pub(super) fn new(from: Timestamp, now: Timestamp) -> Self {
        Self {
            from,
            to: now.saturating_add(FUTURE).unwrap_or(now),
        }
    }

    fn contain(self, event: &Event<'_>) -> bool {
        event.received_at >= self.from && event.received_at <= self.to
    }
}

/// Sorts the records of one fetch; `from` is the position before them.
///
/// The batch ends before a record of a newer version, which has to wait for an upgrade.
///
/// # Errors
/// Only [`WireError::NewerVersion`], where such a record is the first one.
pub(super) fn sort<'a>(
    records: &'a [StoredRecord],
    from: i64,
    bounds: Bounds,
) -> Result<Batch<'a>, WireError> {
    let mut sorter = Sorter::default();
    let mut readable = records;
    for (index, record) in records.iter().enumerate() {
        if let Some(event) = wire::decode_storable(&record.value).filter(|event| bounds.contain(event)) {
            sorter.keep(event, record.offset);
            continue;
        }
        match wire::decode(&record.value) {
            Ok(WireRecord::Event(event)) => match check(&event, bounds) {
                Ok(()) => sorter.keep(*event, record.offset),
                Err(fault) => sorter
                    .batch
                    .dead_letters
                    .push(refused(record, Some(&event), fault)),
            },
            Ok(WireRecord::Rejection(rejection)) => {
                sorter.batch.dead_letters.push(rejected(*rejection, record));
            }
            Err(WireError::Foreign(reason)) => {
                sorter.batch.foreign += 1;
                let fault = Refusal::new("foreign_record", "", &reason);
                sorter.batch.dead_letters.push(refused(record, None, fault));
            }
            Err(newer @ WireError::NewerVersion(_)) if index == 0 => return Err(newer),
            Err(WireError::NewerVersion(_)) => {
                readable = &records[..index];
                break;
            }
        }
    }
    let mut batch = sorter.batch;
    batch.from = from;
    batch.to = readable.last().map_or(from, |record| record.offset + 1);
    batch.holes = batch.to - from - readable.len() as i64;
    batch.fingerprint = readable.last().map(|record| fingerprint(&record.value));
    Ok(batch)
}

/// Names a record in a position, so that a log made anew is noticed.
pub(super) fn fingerprint(value: &[u8]) -> Vec<u8> {
    Sha256::digest(value).to_vec()
}

/// Why capture keeps a record out of the store.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) pointer: String,
    pub(super) detail: String,
}

impl Refusal {
    pub(super) fn new(code: &str, pointer: &str, detail: &str) -> Self {
        Self {
            code: code.to_owned(),
            pointer: pointer.to_owned(),
            // PostgreSQL's text holds no NUL, and a message may quote the record.
            detail: without_nul(detail),
        }
    }
}

/// Validates again: others may write to the log.
fn check(event: &Event<'_>, bounds: Bounds) -> Result<(), Refusal> {
    validate(event, |_, _| ())
        .map_err(|fault| Refusal::new(fault.code.as_str(), &fault.pointer, &fault.detail))?;
    if !bounds.contain(event) {
        let detail = format!(
            "{} is outside {} to {}",
            event.received_at, bounds.from, bounds.to
        );
        return Err(Refusal::new("timestamp_out_of_bounds", "/received_at", &detail));
    }
    Ok(())
}

#[derive(Default)]
struct Sorter<'a> {
    batch: Batch<'a>,
    /// Where the first event with an id stands in `batch.rows`.
    seen: HashMap<Uuid, usize>,
}

impl<'a> Sorter<'a> {
    fn keep(&mut self, event: Event<'a>, offset: i64) {
        if let Some(first) = self.seen.get(&event.event_id) {
            self.batch.duplicates += 1;
            if !says_the_same(&self.batch.rows[*first].event, &event) {
                self.batch.conflicts += 1;
            }
            return;
        }
        self.seen.insert(event.event_id, self.batch.rows.len());
        self.batch.rows.push(Row {
            month: Month::of(event.received_at),
            roams: roams(&event),
            event,
            offset,
        });
    }
}

/// Whether two events with one id have the same content.
fn says_the_same(a: &Event<'_>, b: &Event<'_>) -> bool {
    (
        a.kind,
        &a.event,
        &a.name,
        &a.user_id,
        &a.anonymous_id,
        &a.properties,
    ) == (
        b.kind,
        &b.event,
        &b.name,
        &b.user_id,
        &b.anonymous_id,
        &b.properties,
    )
}

/// Whether a copy of the event may lie in another month than its own.
fn roams(event: &Event<'_>) -> bool {
    let Some(timestamp) = event.original_timestamp else {
        return true;
    };
    let month = Month::of(event.received_at);
    let client_clock = event.sent_at.unwrap_or(timestamp);
    event.origin != Origin::Live
        || event.accepted_at.duration_since(client_clock).abs() > CLOCK_TOLERANCE
        || Month::of(timestamp) != month
        || month.is_near_border(event.received_at, BORDER_HOURS)
}

/// A dead letter of a log record: the record is the payload.
pub(super) fn refused(record: &StoredRecord, event: Option<&Event<'_>>, refusal: Refusal) -> DeadLetter {
    DeadLetter {
        received_at: event.map_or(record.appended_at, |event| storable(event.received_at, record)),
        stage: Stage::Capture,
        code: refusal.code,
        pointer: refusal.pointer,
        detail: refusal.detail,
        source: event.map(|event| without_nul(&event.source)),
        event_id: event.map(|event| event.event_id),
        message_id: None,
        trusted: event.map(|event| event.trusted),
        origin: event.map(|event| event.origin),
        scope: None,
        payload: record.value[..record.value.len().min(MAX_KEPT)].to_vec(),
        payload_length: record.value.len() as i64,
        payload_sha256: fingerprint(&record.value),
        offset: record.offset,
    }
}

/// A dead letter that ingest sent: the client's JSON is the payload.
fn rejected(rejection: Rejection, record: &StoredRecord) -> DeadLetter {
    use base64::Engine as _;
    let payload = match rejection.payload {
        Payload::Text(text) => text.into_bytes(),
        Payload::Base64(text) => base64::engine::general_purpose::STANDARD
            .decode(&text)
            .unwrap_or_else(|_| text.into_bytes()),
    };
    let sha256 = rejection.payload_sha256.as_bytes();
    DeadLetter {
        received_at: storable(rejection.received_at, record),
        stage: Stage::Ingest,
        code: without_nul(&rejection.rejected.code),
        pointer: without_nul(&rejection.rejected.pointer),
        detail: without_nul(&rejection.rejected.detail),
        source: Some(without_nul(&rejection.source)),
        event_id: Some(rejection.event_id),
        message_id: rejection.message_id.as_deref().map(without_nul),
        trusted: Some(rejection.trusted),
        origin: Some(rejection.origin),
        scope: Some(rejection.scope).filter(is_storable),
        payload,
        payload_length: rejection.payload_length as i64,
        payload_sha256: from_hex(sha256),
        offset: record.offset,
    }
}

/// PostgreSQL's text holds no NUL.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\\0")
}

/// A time that PostgreSQL holds: a dead letter keeps whatever date its event had, but for absurd ones.
fn storable(at: Timestamp, record: &StoredRecord) -> Timestamp {
    const YEAR_1: Timestamp = Timestamp::constant(-62_135_596_800, 0);
    if at < YEAR_1 { record.appended_at } else { at }
}

/// Whether jsonb holds a value that others may have written.
fn is_storable(json: &serde_json::Value) -> bool {
    scan_object(&json.to_string(), |_, _, _| ()).is_ok()
}

fn from_hex(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
    text.chunks_exact(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(offset: i64, value: &'static str) -> StoredRecord {
        StoredRecord {
            offset,
            key: "u-1".into(),
            value: value.into(),
            appended_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_stands_before_a_newer_record_does_not_wait_with_it() {
        const NEWER: &str = r#"{"v":2,"event_id":"0198c7a2-5c5e-7cc0-9a2e-0123456789ab"}"#;
        let records = [record(5, "foreign"), record(6, NEWER), record(7, "foreign")];
        let bounds = Bounds::new(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let batch = sort(&records, 5, bounds).unwrap();
        assert_eq!((batch.from, batch.to, batch.foreign), (5, 6, 1));
        assert_eq!(batch.fingerprint, Some(fingerprint(b"foreign")));
        let refused = sort(&records[1..], 6, bounds).err();
        assert_eq!(refused, Some(WireError::NewerVersion(2)));
    }

    #[test]
    fn a_clock_that_is_hours_off_costs_no_event() {
        const EVENT: &str = r#"{"v":1,"event_id":"0198c7a2-5c5e-7cc0-9a2e-0123456789ab","type":"track","event":"E",
            "user_id":"u-1","received_at":"2026-11-24T06:00:00Z","accepted_at":"2026-11-24T06:00:00Z",
            "occurred_at":"2026-11-24T06:00:00Z","source":"s","trusted":true,"is_bot":false}"#;
        let received_at: Timestamp = "2026-11-24T06:00:00Z".parse().unwrap();
        for (behind, rows) in [(0, 1), (23, 1), (25, 0)] {
            let now = received_at - SignedDuration::from_hours(behind);
            let records = [record(0, EVENT)];
            let batch = sort(&records, 0, Bounds::new(Timestamp::UNIX_EPOCH, now)).unwrap();
            assert_eq!(batch.rows.len(), rows, "{:?}", batch.dead_letters);
        }
    }

    #[test]
    fn offsets_without_a_record_are_counted_and_are_no_gap() {
        let records = [record(6, "a"), record(7, "b"), record(10, "c")];
        let bounds = Bounds::new(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let batch = sort(&records, 5, bounds).unwrap();
        assert_eq!((batch.to, batch.holes, batch.gap), (11, 3, None));
    }
}
