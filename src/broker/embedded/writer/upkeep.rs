//! What the writer does between commits: begins new segments, deletes old ones, mends what failed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tracing::{error, info, warn};

use super::{Active, MEND_EVERY, Writer};
use crate::broker::LogError;
use crate::broker::embedded::retention::Closed;
use crate::broker::embedded::segment::{Segment, sync_folder};
use crate::broker::embedded::shared::lock;

/// Free disk space without which mending would only fail again.
const MEND_ROOM: u64 = 16 << 20;

impl Writer {
    /// Begins another segment, because the last one is full, old or in doubt.
    pub(super) fn roll(&mut self) -> Result<(), String> {
        let next = self.active.following(&self.shared.folder, self.ends.clone());
        let next = next.map_err(|error| self.fail(&error.to_string()))?;
        self.go_on_in(next);
        Ok(())
    }

    fn go_on_in(&mut self, next: Active) {
        self.shared
            .bytes
            .fetch_add(next.segment.durable(), Ordering::AcqRel);
        self.shared.segments_mut().push_back(next.segment.clone());
        self.active = next;
    }

    /// Deletes the segments that are expired and released.
    pub(super) fn retain(&mut self) -> Result<(), LogError> {
        if let Some((reason, _)) = &self.broken {
            return Err(LogError::Unavailable(reason.clone()));
        }
        let released = self.released();
        let is_released = self
            .ends
            .iter()
            .zip(&released)
            .all(|(end, released)| end <= released);
        if self
            .active
            .is_due(&self.policy, is_released, self.shared.clock.now())
        {
            self.roll().map_err(LogError::Unavailable)?;
        }
        let expired = self.expired(&released);
        self.delete(expired).map_err(|error| {
            let folder = self.shared.folder.display();
            LogError::Unavailable(format!("{folder}: {error}"))
        })
    }

    fn released(&self) -> Vec<i64> {
        let partitions = self.shared.partitions.iter();
        partitions
            .map(|partition| partition.released.load(Ordering::Acquire))
            .collect()
    }

    fn expired(&self, released: &[i64]) -> usize {
        let segments = self.shared.segments();
        let closed: Vec<_> = segments
            .iter()
            .zip(segments.iter().skip(1))
            .map(|(segment, next)| Closed {
                ends: next.head.starts.clone(),
                newest: next.head.newest,
                bytes: segment.durable(),
            })
            .collect();
        let growing = self.active.segment.durable();
        self.policy
            .expired(&closed, growing, released, self.shared.clock.now())
    }

    /// Deletes the oldest `count` segments. Readers are told first; a segment whose file resists stays listed.
    fn delete(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let (oldest, next) = {
                let segments = self.shared.segments();
                (segments.front().cloned(), segments.get(1).cloned())
            };
            let (Some(oldest), Some(next)) = (oldest, next) else {
                break;
            };
            for (partition, start) in self.shared.partitions.iter().zip(&next.head.starts) {
                partition.range.send_modify(|range| range.earliest = *start);
            }
            self.remove(&oldest)?;
            self.shared.segments_mut().pop_front();
            self.shared.bytes.fetch_sub(oldest.durable(), Ordering::AcqRel);
        }
        Ok(())
    }

    /// Removes a segment's file. In rising order and one by one on the disk, so that no gap can be left.
    fn remove(&self, segment: &Arc<Segment>) -> io::Result<()> {
        match std::fs::remove_file(&segment.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let _ = std::fs::remove_file(segment.path.with_extension("torn"));
        sync_folder(&self.shared.folder)
    }

    /// Refuses appends until the log has been mended. Readers go on. Returns the reason.
    pub(super) fn fail(&mut self, reason: &str) -> String {
        error!(
            reason,
            "the event log cannot write; appends are refused until it can"
        );
        self.broken = Some((reason.to_owned(), Instant::now()));
        *lock(&self.shared.refusal) = Some(reason.to_owned());
        reason.to_owned()
    }

    /// Tries to write again after a failure, when there is room for it.
    ///
    /// A page that could not be synced may be lost although the kernel calls it clean, so that what failed is
    /// cut off and never synced again: a new segment follows.
    pub(super) fn mend(&mut self) {
        let Some((_, tried)) = &mut self.broken else {
            return;
        };
        if tried.elapsed() < MEND_EVERY || self.shared.room(MEND_ROOM).is_err() {
            return;
        }
        *tried = Instant::now();
        let mended = self
            .active
            .mend()
            .and_then(|()| self.active.following(&self.shared.folder, self.ends.clone()));
        match mended {
            Ok(active) => {
                info!("the event log can write again");
                self.go_on_in(active);
                self.broken = None;
                *lock(&self.shared.refusal) = None;
            }
            Err(error) => {
                warn!(%error, "the event log cannot write yet");
                *lock(&self.shared.refusal) = Some(error.to_string());
            }
        }
    }
}
