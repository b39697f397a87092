//! The fjall database beneath the log: one keyspace a partition, and one for what the log knows of itself.
//!
//! A frame's key is the offset of its *last* record, so that the frame which holds an offset is the first
//! one at or behind it, and the end of the partition is in the last key. Frames are written once, in rising
//! order, and leave by whole tables: hence FIFO compaction without a limit, which never rewrites anything.

use std::path::Path;
use std::time::{Duration, Instant};

use fjall::{AbstractTree, Database, Keyspace, PersistMode};
use uuid::Uuid;

use super::database;
use super::frame::{self, Frame};
use super::mark::{Identity, Mark};
use super::segment::Segments;
use crate::broker::{LogError, StoredRecord};

/// Sealed memtables at which commits wait. Below fjall's own limit of 4, at which it would wait inside of a
/// commit, for ever if its flusher has died.
const SEALED_LIMIT: usize = 2;
/// How long a flush may take before the log counts as stuck.
const FLUSH_PATIENCE: Duration = Duration::from_secs(30);

/// The open database.
pub(super) struct Store {
    database: Database,
    meta: Keyspace,
    partitions: Vec<Keyspace>,
    memtable_bytes: u64,
}

/// One frame on its way into the store.
pub(super) struct FrameWrite {
    pub(super) partition: usize,
    pub(super) last: i64,
    pub(super) bytes: Vec<u8>,
}

impl Store {
    /// Opens the store of `folder`, or makes one with `partitions`, and brings its journal's records into
    /// tables, so that they are on the disk whatever became of the fsync that failed or never was.
    pub(super) fn open(folder: &Path, partitions: i32) -> Result<(Self, Identity), LogError> {
        let database = database::open(folder).map_err(|error| open_error(folder, &error))?;
        let meta = database
            .keyspace("meta", database::meta_options)
            .map_err(|error| open_error(folder, &error))?;
        let identity = match Mark::identity(&meta).map_err(|error| read_error(&error))? {
            Some(identity) => identity,
            None => Self::found(&database, &meta, partitions).map_err(|error| open_error(folder, &error))?,
        };
        let memtable_bytes = database::memtable_bytes(identity.partitions);
        let partitions = (0..identity.partitions)
            .map(|partition| {
                database.keyspace(&format!("p{partition}"), || {
                    database::frames_options(memtable_bytes)
                })
            })
            .collect::<fjall::Result<_>>()
            .map_err(|error| open_error(folder, &error))?;
        let store = Self {
            database,
            meta,
            partitions,
            memtable_bytes,
        };
        Ok((store, identity))
    }

    fn found(database: &Database, meta: &Keyspace, partitions: i32) -> fjall::Result<Identity> {
        let identity = Identity {
            log_id: Uuid::new_v4(),
            partitions,
        };
        let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
        let (key, value) = identity.entry();
        batch.insert(meta, key, value);
        batch.commit()?;
        Ok(identity)
    }

    /// Writes frames and marks as one batch, on the disk when it returns.
    /// After an error the store takes no more writes and must be opened anew.
    pub(super) fn commit(&self, frames: Vec<FrameWrite>, marks: &[Mark]) -> fjall::Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for write in frames {
            batch.insert(
                &self.partitions[write.partition],
                offset_key(write.last),
                write.bytes,
            );
        }
        for mark in marks {
            match mark.entry() {
                (key, Some(value)) => batch.insert(&self.meta, key, value),
                (key, None) => batch.remove(&self.meta, key),
            }
        }
        batch.commit()
    }

    /// Waits until the flusher has caught up enough for a commit not to wait inside of fjall.
    ///
    /// # Errors
    /// When the flusher has died or does not get on.
    pub(super) fn wait_for_flusher(&self) -> Result<(), String> {
        let is_behind = || {
            self.partitions.iter().chain([&self.meta]).any(|keyspace| {
                keyspace.sealed_memtable_count() >= SEALED_LIMIT
                    || keyspace.tree.active_memtable().size() > 2 * self.memtable_bytes
            })
        };
        self.wait_while(is_behind)
    }

    /// Moves every record from memory into tables and waits until they are on the disk.
    pub(super) fn settle(&self) -> Result<(), String> {
        self.flush_keyspaces(|| self.partitions.iter().chain([&self.meta]))
    }

    fn flush_keyspaces<'a, I: Iterator<Item = &'a Keyspace>>(
        &self,
        keyspaces: impl Fn() -> I,
    ) -> Result<(), String> {
        for keyspace in keyspaces() {
            keyspace.rotate_memtable().map_err(|error| error.to_string())?;
        }
        self.wait_while(|| keyspaces().any(|keyspace| keyspace.sealed_memtable_count() > 0))
    }

    fn wait_while(&self, condition: impl Fn() -> bool) -> Result<(), String> {
        let start = Instant::now();
        while condition() {
            // Writing nothing is how one asks fjall whether a background task has failed.
            self.database
                .persist(PersistMode::Buffer)
                .map_err(|error| format!("writing to the disk failed in the background: {error}"))?;
            if start.elapsed() > FLUSH_PATIENCE {
                return Err(format!(
                    "the disk did not keep up for {} s",
                    FLUSH_PATIENCE.as_secs()
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The segments of a partition and its offsets, with what is behind the last mark read from the frames.
    pub(super) fn inventory(&self, partition: usize) -> Result<Inventory, LogError> {
        let marks = Mark::of_partition(&self.meta, partition).map_err(|error| read_error(&error))?;
        let mut segments = Segments::new(marks.segments);
        let mut end = segments.closed_end().unwrap_or(0).max(marks.earliest);
        for entry in self.partitions[partition].range(offset_key(end)..) {
            let (key, value) = entry.into_inner().map_err(|error| read_error(&error))?;
            let header = frame::header(&value).map_err(|error| corrupt(partition, &key, &error))?;
            end = header.base + i64::from(header.records);
            segments.add(end, header.appended_at, value.len() as u64);
        }
        Ok(Inventory {
            segments,
            earliest: marks.earliest,
            released: marks.released,
            end,
        })
    }

    /// Reads records of `offset..end` until they come to `max_bytes`; at least one if there is one.
    pub(super) fn read(
        &self,
        partition: usize,
        offset: i64,
        end: i64,
        max_bytes: usize,
    ) -> Result<Vec<StoredRecord>, LogError> {
        let mut records = Vec::new();
        let mut next = offset;
        let mut bytes = 0;
        for entry in self.partitions[partition].range(offset_key(offset)..offset_key(end)) {
            let (key, value) = entry.into_inner().map_err(|error| read_error(&error))?;
            let frame = Frame::decode(&value).map_err(|error| corrupt(partition, &key, &error))?;
            let base = frame.header.base;
            if base > next {
                return Err(missing(partition, next, base));
            }
            let appended_at = jiff::Timestamp::from_microsecond(frame.header.appended_at).unwrap_or_default();
            for (position, record) in (base..).zip(frame.records()) {
                let (key, value) = record.map_err(|error| corrupt(partition, &offset_key(base), &error))?;
                if position < next {
                    continue;
                }
                bytes += value.len();
                records.push(StoredRecord {
                    offset: position,
                    appended_at,
                    key,
                    value,
                });
                next = position + 1;
                if bytes >= max_bytes {
                    return Ok(records);
                }
            }
        }
        if records.is_empty() && offset < end {
            return Err(missing(partition, offset, end));
        }
        Ok(records)
    }

    /// Takes whole tables before `offset` out. Returns whether there was anything before it.
    pub(super) fn drop_before(&self, partition: usize, offset: i64) -> fjall::Result<bool> {
        let keyspace = &self.partitions[partition];
        let first = keyspace.first_key_value().map(fjall::Guard::key).transpose()?;
        let is_due = first.is_some_and(|key| key.as_ref() < offset_key(offset).as_slice());
        if is_due {
            keyspace.tree.drop_range(..offset_key(offset))?;
        }
        Ok(is_due)
    }

    /// Writes the memory of partitions to tables and waits for it, when nobody is in a hurry.
    pub(super) fn flush(&self, partitions: &[usize]) -> Result<(), String> {
        self.flush_keyspaces(|| partitions.iter().map(|partition| &self.partitions[*partition]))
    }

    /// Lets fjall delete the files and free the memory of what was dropped and flushed.
    ///
    /// It does so when some memtable is sealed and something newer than the removal was written: this writes
    /// that something and seals it. Old journals go with it.
    pub(super) fn sweep(&self) -> fjall::Result<()> {
        self.meta.insert(Mark::SWEPT, [])?;
        self.meta.rotate_memtable().map(drop)
    }
}

/// What a store holds of a partition.
#[derive(Debug)]
pub(super) struct Inventory {
    pub(super) segments: Segments,
    pub(super) earliest: i64,
    pub(super) released: i64,
    pub(super) end: i64,
}

/// Offsets are never negative, so that their big-endian bytes sort as they do.
fn offset_key(offset: i64) -> [u8; 8] {
    offset.to_be_bytes()
}

fn open_error(folder: &Path, error: &fjall::Error) -> LogError {
    let place = folder.display();
    LogError::Fatal(match error {
        fjall::Error::Locked => format!("{place} is in use by another process"),
        error => format!("{place} cannot be opened: {error}"),
    })
}

fn read_error(error: &fjall::Error) -> LogError {
    LogError::Fatal(format!("reading failed: {error}"))
}

fn corrupt(partition: usize, key: &[u8], error: &frame::FrameError) -> LogError {
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    LogError::Fatal(format!("partition {partition}, frame {key}: {error}"))
}

fn missing(partition: usize, from: i64, to: i64) -> LogError {
    LogError::Fatal(format!("partition {partition} lacks the offsets {from}..{to}"))
}
