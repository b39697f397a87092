//! What the writer thread and the callers share.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;
use uuid::Uuid;

use super::disk;
use super::read;
use super::segment::Segment;
use crate::broker::{LogError, OffsetRange, StoredRecord};
use crate::clock::Clock;
use crate::config;

/// What a log is from its making on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) log_id: Uuid,
    pub(super) partitions: i32,
}

/// The log's state.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    pub(super) settings: config::EventLog,
    pub(super) clock: Clock,
    pub(super) identity: Identity,
    pub(super) partitions: Vec<Partition>,
    segments: RwLock<VecDeque<Arc<Segment>>>,
    /// What the segments take on the disk.
    pub(super) bytes: AtomicU64,
    /// Why the log has taken no appends since something failed.
    pub(super) refusal: Mutex<Option<String>>,
}

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) range: watch::Sender<OffsetRange>,
    /// Everything before it is in the event store. Forgotten by a restart: its owner says it again.
    pub(super) released: AtomicI64,
}

impl Partition {
    fn new(earliest: i64, end: i64) -> Self {
        Self {
            range: watch::Sender::new(OffsetRange { earliest, end }),
            released: AtomicI64::new(earliest),
        }
    }
}

impl Shared {
    pub(super) fn new(
        folder: PathBuf,
        settings: config::EventLog,
        clock: Clock,
        identity: Identity,
        segments: VecDeque<Arc<Segment>>,
        ends: &[i64],
    ) -> Self {
        let earliest = segments.front().map(|segment| segment.head.starts.clone());
        let partitions = earliest.unwrap_or_default().into_iter().zip(ends);
        Self {
            folder,
            settings,
            clock,
            identity,
            partitions: partitions
                .map(|(earliest, end)| Partition::new(earliest, *end))
                .collect(),
            bytes: AtomicU64::new(segments.iter().map(|segment| segment.durable()).sum()),
            segments: RwLock::new(segments),
            refusal: Mutex::new(None),
        }
    }

    /// Says why there is too little free disk space, if so: `more` bytes beyond what stays free.
    pub(super) fn room(&self, more: u64) -> Result<(), String> {
        let folder = self.folder.display();
        let free = disk::free(&self.folder).map_err(|error| format!("{folder}: {error}"))?;
        let least = self.settings.min_free_disk.as_u64();
        if free < least.saturating_add(more) {
            return Err(format!(
                "{folder} has {free} bytes of disk left, of which {least} stay free"
            ));
        }
        Ok(())
    }

    /// The segments, oldest first.
    pub(super) fn segments(&self) -> RwLockReadGuard<'_, VecDeque<Arc<Segment>>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn segments_mut(&self) -> RwLockWriteGuard<'_, VecDeque<Arc<Segment>>> {
        self.segments.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads records of `offset..end`; see [`read::read`].
    pub(super) fn read(
        &self,
        partition: usize,
        offset: i64,
        end: i64,
        max_bytes: usize,
    ) -> Result<Vec<StoredRecord>, LogError> {
        let segments: Vec<_> = {
            let segments = self.segments();
            let later = segments.partition_point(|segment| segment.head.starts[partition] <= offset);
            segments.range(later.saturating_sub(1)..).cloned().collect()
        };
        read::read(&segments, partition, offset, end, max_bytes)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
