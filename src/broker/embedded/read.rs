//! Reads a partition's records out of the segments.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::frame::{FrameError, Head};
use super::segment::Segment;
use super::walk::{Walk, WalkError};
use crate::broker::{LogError, StoredRecord};

/// Reads records of `offset..end` until their values come to `max_bytes`; at least one if there is one.
///
/// `segments` are all from the one that holds `offset` on, and whatever is before `end` is on the disk.
///
/// # Errors
/// [`LogError::Fatal`] where a file cannot be read, is damaged or lacks an offset.
pub(super) fn read(
    segments: &[Arc<Segment>],
    partition: usize,
    offset: i64,
    end: i64,
    max_bytes: usize,
) -> Result<Vec<StoredRecord>, LogError> {
    let mut reading = Reading {
        partition,
        next: offset,
        room: max_bytes,
        records: Vec::new(),
    };
    for (index, segment) in segments.iter().enumerate() {
        let until = segments
            .get(index + 1)
            .map_or(end, |next| next.head.starts[partition].min(end));
        match reading.read(segment, until) {
            // What is before the damage is handed out first.
            Err(_) if !reading.records.is_empty() => break,
            outcome => outcome?,
        }
        if reading.is_full() || reading.next >= end {
            break;
        }
    }
    Ok(reading.records)
}

struct Reading {
    partition: usize,
    next: i64,
    room: usize,
    records: Vec<StoredRecord>,
}

impl Reading {
    /// Reads the records of a segment that are before `until`.
    fn read(&mut self, segment: &Segment, until: i64) -> Result<(), LogError> {
        if self.next >= until {
            return Ok(());
        }
        let failed = |error: WalkError| failure(&segment.path, &error);
        let file = File::open(&segment.path).map_err(|error| failed(error.into()))?;
        let (position, mut ends) = segment.index().before(self.partition, self.next);
        let mut walk = Walk::new(&file, position, segment.durable());
        while self.next < until && !self.is_full() {
            let head = walk.next().map_err(failed)?;
            let head = head.ok_or_else(|| self.missing(until))?;
            let place = head.place;
            if let Some(end) = ends.get_mut(place.partition) {
                *end = head.end();
            }
            segment.index().note(walk.position(), &ends);
            if place.partition != self.partition || head.end() <= self.next {
                continue;
            }
            if place.base > self.next {
                return Err(self.missing(place.base));
            }
            let body = walk.body(&head).map_err(|error| failed(error.into()))?;
            self.take(&head, body).map_err(|error| {
                let position = walk.position() - body_length(&head);
                failed(WalkError::Frame { position, error })
            })?;
        }
        Ok(())
    }

    fn take(&mut self, head: &Head, stored: &[u8]) -> Result<(), FrameError> {
        let appended_at = Timestamp::from_microsecond(head.place.appended_at).unwrap_or_default();
        for (offset, record) in (head.place.base..).zip(head.decode(stored)?.records()) {
            let (key, value) = record?;
            if offset < self.next {
                continue;
            }
            self.room = self.room.saturating_sub(value.len());
            self.next = offset + 1;
            self.records.push(StoredRecord {
                offset,
                appended_at,
                key,
                value,
            });
            if self.is_full() {
                break;
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.room == 0 && !self.records.is_empty()
    }

    fn missing(&self, until: i64) -> LogError {
        let Self { partition, next, .. } = self;
        LogError::Fatal(format!("partition {partition} lacks the offsets {next}..{until}"))
    }
}

fn body_length(head: &Head) -> u64 {
    (super::frame::HEAD + head.stored_length) as u64
}

fn failure(path: &Path, error: &WalkError) -> LogError {
    LogError::Fatal(format!("{} cannot be read: {error}", path.display()))
}
