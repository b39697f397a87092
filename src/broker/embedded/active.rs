//! The segment that takes the appends.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::builder::Sealed;
use super::frame::{HEAD, Place};
use super::recovery::Recovered;
use super::retention::Policy;
use super::segment::{Segment, SegmentHead};
use crate::broker::LogError;

/// Slices that one system call takes.
const SLICES: usize = 1024;

/// A sealed frame that has its place.
pub(super) struct Placed {
    head: [u8; HEAD],
    sealed: Sealed,
}

/// The last segment, open for writing.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    file: File,
    /// The append times of its first record, and of the newest one of the log, in microseconds.
    oldest: Option<i64>,
    newest: i64,
}

impl Active {
    /// Opens the last segment that was found.
    pub(super) fn open(recovered: &Recovered) -> Result<Self, LogError> {
        let segment = recovered.segments.back().cloned();
        let segment = segment.ok_or_else(|| LogError::Fatal("there is no segment".to_owned()))?;
        let file = segment
            .reopen()
            .map_err(|error| LogError::Fatal(format!("{}: {error}", segment.path.display())))?;
        Ok(Self {
            segment,
            file,
            oldest: recovered.oldest,
            newest: recovered.newest,
        })
    }

    /// Makes the segment that follows, in which the partitions begin at `starts`.
    pub(super) fn following(&self, folder: &Path, starts: Vec<i64>) -> io::Result<Self> {
        let head = SegmentHead {
            number: self.segment.head.number + 1,
            log_id: self.segment.head.log_id,
            newest: self.newest,
            starts,
        };
        let (segment, file) = Segment::create(folder, head)?;
        Ok(Self {
            segment: Arc::new(segment),
            file,
            oldest: None,
            newest: self.newest,
        })
    }

    /// Takes off the disk what a failed write left behind the acknowledged frames.
    pub(super) fn mend(&self) -> io::Result<()> {
        self.segment.reopen().map(drop)
    }

    /// Says whether it is large or old enough for another one to follow.
    pub(super) fn is_due(&self, policy: &Policy, is_released: bool, now: Timestamp) -> bool {
        self.oldest
            .is_some_and(|oldest| policy.closes(self.segment.durable(), oldest, is_released, now))
    }

    /// Gives frames their places, each behind the end of its partition, which it moves.
    pub(super) fn place(
        &self,
        frames: impl IntoIterator<Item = (usize, Sealed)>,
        ends: &mut [i64],
        now: Timestamp,
    ) -> Vec<Placed> {
        let place = |(partition, sealed): (usize, Sealed)| {
            let place = Place {
                commit: self.segment.durable() as u32,
                partition,
                base: ends[partition],
                appended_at: now.as_microsecond(),
            };
            ends[partition] += i64::from(sealed.records());
            let head = sealed.head(&place);
            Placed { head, sealed }
        };
        frames.into_iter().map(place).collect()
    }

    /// Writes frames; on the disk when it returns, with the partitions at `ends`.
    ///
    /// After an error, what is on the disk behind the durable bytes is unknown: nothing may be written to this
    /// file any more but through [`mend`](Self::mend) and [`following`](Self::following).
    pub(super) fn write(&mut self, frames: &[Placed], ends: &[i64], now: Timestamp) -> io::Result<()> {
        let mut position = self.segment.durable();
        for frames in frames.chunks(SLICES / 2) {
            let mut slices = Vec::with_capacity(frames.len() * 2);
            for frame in frames {
                slices.push(IoSlice::new(&frame.head));
                slices.push(IoSlice::new(frame.sealed.body()));
                position += (HEAD + frame.sealed.body().len()) as u64;
            }
            write_all(&mut self.file, &mut slices)?;
        }
        self.file.sync_data()?;
        self.segment.set_durable(position);
        self.segment.index().note(position, ends);
        self.oldest.get_or_insert(now.as_microsecond());
        self.newest = self.newest.max(now.as_microsecond());
        Ok(())
    }
}

fn write_all(file: &mut File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
