//! Opens what is left of a log of one partition, whatever has become of some of its files: for a spool, whose records
//! are better late and incomplete than never.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::error;
use uuid::Uuid;

use super::recovery::heads;
use super::salvage::{keep, unless_unreadable};
use super::segment::{self, Segment, SegmentHead};

/// Loads all segments of the last one's log, and keeps every file with a fault in `aside`.
///
/// A file without a good head goes on by the frames that it holds. One that holds none, or is another log's, goes.
pub(super) fn load(folder: &Path, aside: &Path) -> io::Result<VecDeque<Arc<Segment>>> {
    let mut files = Vec::new();
    for (number, path) in segment::list(folder)? {
        let loaded = unless_unreadable(Segment::load(path.clone()))?.flatten();
        let loaded = loaded.filter(|segment| segment.head.number == number);
        files.push((number, path, loaded));
    }
    let last = files.iter().rev().find_map(|(_, _, segment)| segment.as_ref());
    let log_id = last.map_or_else(Uuid::new_v4, |segment| segment.head.log_id);
    let mut remains = Remains {
        aside,
        log_id,
        segments: VecDeque::new(),
    };
    let count = files.len();
    for (place, (number, path, loaded)) in files.into_iter().enumerate() {
        match loaded {
            Some(segment) => remains.take(segment)?,
            None if place + 1 == count && is_unborn(&path, 1)? => std::fs::remove_file(path)?,
            None => remains.take_headless(number, path)?,
        }
    }
    Ok(remains.segments)
}

/// Says whether a last file without a good head is one whose making was interrupted: it is no longer than a head.
pub(super) fn is_unborn(path: &Path, partitions: usize) -> io::Result<bool> {
    Ok(path.metadata()?.len() <= SegmentHead::length_of(partitions))
}

struct Remains<'a> {
    aside: &'a Path,
    log_id: Uuid,
    segments: VecDeque<Arc<Segment>>,
}

impl Remains<'_> {
    fn take(&mut self, segment: Segment) -> io::Result<()> {
        let start = self.segments.back().map_or(0, |last| last.head.starts[0]);
        if segment.head.log_id != self.log_id || segment.head.starts.len() != 1 {
            return self.remove(&segment.path, "it belongs to another log");
        }
        if segment.head.starts[0] < start {
            return self.remove(&segment.path, "it begins before the segment before it");
        }
        self.push(segment);
        Ok(())
    }

    /// Goes by the frames of a file whose head says nothing.
    fn take_headless(&mut self, number: u64, path: PathBuf) -> io::Result<()> {
        let bytes = unless_unreadable(std::fs::read(&path))?.unwrap_or_default();
        let Some((_, first)) = heads(&bytes).next() else {
            return self.remove(&path, "it has no good head and no events");
        };
        let before = self.segments.back();
        // What is between them, if anything, is passed as damage of this file.
        let start = before.map(|before| end_of(before)).transpose()?;
        let head = SegmentHead {
            number,
            log_id: self.log_id,
            newest: before.map_or(first.place.appended_at, |before| before.head.newest),
            starts: vec![start.unwrap_or(first.place.base)],
        };
        self.tell(&path, "it has no good head")?;
        self.push(Segment::rebuilt(head, path, bytes.len() as u64));
        Ok(())
    }

    fn push(&mut self, segment: Segment) {
        let number = segment.head.number;
        if let Some(last) = self.segments.back()
            && last.head.number + 1 != number
        {
            let missing = last.head.number + 1..number;
            error!(
                ?missing,
                "segments of the spool are missing; what is left is sent"
            );
        }
        self.segments.push_back(Arc::new(segment));
    }

    fn remove(&self, path: &Path, fault: &str) -> io::Result<()> {
        self.tell(path, fault)?;
        std::fs::remove_file(path)
    }

    fn tell(&self, path: &Path, fault: &str) -> io::Result<()> {
        let kept = keep(path, self.aside)?;
        error!(file = %path.display(), fault, ?kept, "a segment of the spool is damaged; what it holds is sent as far as it can be read");
        Ok(())
    }
}

/// The offset behind the last frame of a segment.
fn end_of(segment: &Segment) -> io::Result<i64> {
    let bytes = unless_unreadable(std::fs::read(&segment.path))?.unwrap_or_default();
    let ends = heads(&bytes).map(|(_, head)| head.end());
    Ok(ends.fold(segment.head.starts[0], i64::max))
}
