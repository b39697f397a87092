//! What the writer thread and the callers share.

use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use metrics::gauge;
use tokio::sync::watch;

use super::disk;
use super::mark::Identity;
use super::store::{Inventory, Store};
use crate::broker::{LogError, OffsetRange};
use crate::clock::Clock;
use crate::config;
use crate::telemetry::metric;

/// The log's state.
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    pub(super) settings: config::EventLog,
    pub(super) clock: Clock,
    pub(super) identity: Identity,
    pub(super) partitions: Vec<Partition>,
    /// `None` while the store is being opened anew, and after the close.
    pub(super) store: RwLock<Option<Store>>,
    /// Why the log has taken no appends since something failed.
    pub(super) refusal: Mutex<Option<String>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) range: watch::Sender<OffsetRange>,
    pub(super) released: AtomicI64,
}

impl Partition {
    pub(super) fn new(inventory: &Inventory) -> Self {
        let range = OffsetRange {
            earliest: inventory.earliest,
            end: inventory.end,
        };
        Self {
            range: watch::Sender::new(range),
            released: AtomicI64::new(inventory.released),
        }
    }
}

impl Shared {
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

    pub(super) fn with_store<T>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        match store.as_ref() {
            Some(store) => read(store),
            None => Err(LogError::Unavailable("its store is closed".to_owned())),
        }
    }

    /// Takes what is before the partitions' earliest offsets off the disk, in whole tables. `idle` partitions
    /// give the memory of their records back as well.
    pub(super) fn reclaim(&self, idle: &[usize]) -> Result<(), LogError> {
        let reclaimed = self.with_store(|store| {
            store
                .wait_for_flusher()
                .and_then(|()| store.flush(idle))
                .and_then(|()| {
                    self.drop_expired(store, !idle.is_empty())
                        .map_err(|error| error.to_string())
                })
                .map_err(LogError::Unavailable)
        });
        if let Ok(bytes) = disk::used(&self.folder) {
            gauge!(metric::LOG_DISK_BYTES).set(bytes as f64);
        }
        reclaimed
    }

    fn drop_expired(&self, store: &Store, flushed: bool) -> fjall::Result<()> {
        let mut sweep = flushed;
        for (index, partition) in self.partitions.iter().enumerate() {
            let earliest = partition.range.borrow().earliest;
            sweep |= store.drop_before(index, earliest)?;
        }
        if sweep {
            store.sweep()?;
        }
        Ok(())
    }
}

pub(super) fn inventories(store: &Store, identity: &Identity) -> Result<Vec<Inventory>, LogError> {
    (0..identity.partitions as usize)
        .map(|partition| store.inventory(partition))
        .collect()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
