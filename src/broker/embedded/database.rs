//! How fjall is set up beneath the log.

use std::path::Path;
use std::sync::Arc;

use fjall::compaction::Fifo;
use fjall::config::{CompressionPolicy, FilterPolicy};
use fjall::{CompressionType, Database, JournalRecoveryError, KeyspaceCreateOptions};
use tracing::warn;

use super::journal;

/// Memory for blocks of tables. Reads are scans, which no cache helps; this holds what they are on.
const CACHE_BYTES: u64 = 2 << 20;
/// Memory for records that are in the journal and not yet in a table, over all partitions.
const MEMTABLES_BYTES: u64 = 16 << 20;
/// Bytes of old journals at which lagging partitions are flushed; the least that fjall takes.
const JOURNALS_BYTES: u64 = 64 << 20;

/// Opens or makes the database of a folder, after a repair where power failed.
pub(super) fn open(folder: &Path) -> fjall::Result<Database> {
    let open_once = || {
        Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNALS_BYTES)
            // Frames are compressed already, and the journal's repair relies on it.
            .journal_compression(CompressionType::None)
            .manual_journal_persist(true)
            // Two: a flusher that hands itself a message through a full queue would wait for ever alone.
            .worker_threads(2)
            .open()
    };
    match open_once() {
        Err(fjall::Error::JournalRecovery(JournalRecoveryError::ChecksumMismatch)) => {
            if let Some(bytes) = journal::cut_torn_tail(folder)? {
                warn!(
                    bytes,
                    "power failed during a write; its torn end, never acknowledged, was cut off"
                );
            }
            open_once()
        }
        opened => opened,
    }
}

/// The size at which a partition's memtable is sealed, so that all of them together stay within bounds.
pub(super) fn memtable_bytes(partitions: i32) -> u64 {
    (MEMTABLES_BYTES / u64::from(partitions.max(1).unsigned_abs())).clamp(1 << 18, 8 << 20)
}

/// For marks: few and small, overwritten and removed.
pub(super) fn meta_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(1 << 20)
        .manual_journal_persist(true)
}

/// For frames: never overwritten, in rising order, so that no compaction has anything to do.
pub(super) fn frames_options(memtable_bytes: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .compaction_strategy(Arc::new(Fifo::new(u64::MAX, None)))
        .filter_policy(FilterPolicy::disabled())
        .data_block_compression_policy(CompressionPolicy::disabled())
        .max_memtable_size(memtable_bytes)
        .manual_journal_persist(true)
}
