//! What the writer does between commits: moves retention on, and opens a broken store anew.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tracing::{error, info, warn};

use super::{REOPEN_EVERY, Tail, Writer};
use crate::broker::LogError;
use crate::broker::embedded::frame::Builder;
use crate::broker::embedded::mark::Mark;
use crate::broker::embedded::segment::expired;
use crate::broker::embedded::shared::{inventories, lock};
use crate::broker::embedded::store::Store;

/// Free disk space without which opening anew would only fail again: it writes what the journal holds.
const REOPEN_ROOM: u64 = 16 << 20;

impl Writer {
    /// Moves the earliest offsets past what is expired, on the disk before anything is deleted.
    pub(super) fn retain(&mut self) -> Result<Vec<usize>, LogError> {
        if let Some((reason, _)) = &self.broken {
            return Err(LogError::Unavailable(reason.clone()));
        }
        let now = self.shared.clock.now();
        let mut marks = self.released_marks();
        for (partition, tail) in self.tails.iter_mut().enumerate() {
            if let Some(segment) = tail.segments.close_if_due(&self.policy, now) {
                marks.push(Mark::Closed { partition, segment });
            }
        }
        let released: Vec<_> = self.tails.iter().map(|tail| tail.released).collect();
        let segments: Vec<_> = self.tails.iter().map(|tail| tail.segments.clone()).collect();
        let mut earliest = Vec::new();
        for (partition, count) in expired(&segments, &released, &self.policy, now)
            .into_iter()
            .enumerate()
        {
            let dropped = self.tails[partition].segments.take(count);
            let Some(last) = dropped.last() else { continue };
            earliest.push((partition, last.end));
            marks.push(Mark::Earliest {
                partition,
                offset: last.end,
            });
            marks.extend(dropped.iter().map(|segment| Mark::Dropped {
                partition,
                segment: *segment,
            }));
        }
        self.write_marks(&marks).map_err(LogError::Unavailable)?;
        for (partition, offset) in earliest {
            self.shared.partitions[partition]
                .range
                .send_modify(|range| range.earliest = offset);
        }
        let idle = self.tails.iter_mut().enumerate();
        Ok(idle
            .filter_map(|(index, tail)| tail.cool_down().then_some(index))
            .collect())
    }

    fn released_marks(&mut self) -> Vec<Mark> {
        let mut marks = Vec::new();
        for (partition, tail) in self.tails.iter_mut().enumerate() {
            let offset = self.shared.partitions[partition].released.load(Ordering::Acquire);
            if offset > tail.released {
                tail.released = offset;
                marks.push(Mark::Released { partition, offset });
            }
        }
        marks
    }

    fn write_marks(&mut self, marks: &[Mark]) -> Result<(), String> {
        if marks.is_empty() {
            return Ok(());
        }
        let written = self.with_store(|store| {
            store.wait_for_flusher()?;
            store.commit(Vec::new(), marks).map_err(|error| error.to_string())
        });
        written.inspect_err(|reason| self.fail(reason))
    }

    /// Refuses appends until the store has been opened anew. Readers go on with the old one.
    pub(super) fn fail(&mut self, reason: &str) {
        error!(
            reason,
            "the event log cannot write; appends are refused until it can"
        );
        self.broken = Some((reason.to_owned(), Instant::now()));
        *lock(&self.shared.refusal) = Some(reason.to_owned());
    }

    /// Opens a broken store anew, when there is room for it.
    pub(super) fn repair(&mut self) {
        let Some((_, tried)) = &mut self.broken else {
            return;
        };
        let is_time = tried.elapsed() >= REOPEN_EVERY;
        if !is_time || self.shared.room(REOPEN_ROOM).is_err() {
            return;
        }
        *tried = Instant::now();
        match self.reopen() {
            Ok(()) => {
                info!("the event log can write again");
                self.broken = None;
                *lock(&self.shared.refusal) = None;
            }
            Err(error) => {
                warn!(%error, "the event log cannot write yet");
                *lock(&self.shared.refusal) = Some(error.to_string());
            }
        }
    }

    /// Replaces the store, and takes the ends over from it: a batch that failed may have arrived whole.
    /// It becomes visible only now that it has been written once more, into tables.
    fn reopen(&mut self) -> Result<(), LogError> {
        let mut slot = self.shared.store.write().unwrap_or_else(PoisonError::into_inner);
        // The folder's lock goes with the last handle.
        *slot = None;
        let (store, identity) = Store::open(&self.shared.folder, self.shared.identity.partitions)?;
        let store = slot.insert(store);
        if identity != self.shared.identity {
            return Err(LogError::Fatal(format!(
                "another log, {}, has taken its place",
                identity.log_id
            )));
        }
        store.settle().map_err(LogError::Unavailable)?;
        let inventories = inventories(store, &identity)?;
        drop(slot);
        for (index, inventory) in inventories.iter().enumerate() {
            let known = self.shared.partitions[index].range.borrow().end;
            if inventory.end < known {
                let lost = format!(
                    "partition {index} ends at {}, acknowledged was {known}",
                    inventory.end
                );
                return Err(LogError::Fatal(lost));
            }
        }
        self.tails = inventories.into_iter().map(Tail::new).collect();
        self.builder = Builder::default();
        self.publish();
        Ok(())
    }

    pub(super) fn close(&mut self) {
        let marks = self.released_marks();
        if self.broken.is_none()
            && let Err(reason) = self.write_marks(&marks)
        {
            warn!(
                reason,
                "the event log could not note what was stored; more than needed will stay"
            );
        }
        self.shared
            .store
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}
