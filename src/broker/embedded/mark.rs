//! What the log keeps about itself beside the frames, as entries of the store's keyspace `meta`.

use fjall::{Keyspace, Slice};
use uuid::Uuid;

use super::segment::Segment;

const IDENTITY: &[u8] = b"identity";
const EARLIEST: u8 = b'e';
const RELEASED: u8 = b'r';
const SEGMENT: u8 = b's';

/// What a log is from its making on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) log_id: Uuid,
    pub(super) partitions: i32,
}

impl Identity {
    /// The entry that keeps it.
    pub(super) fn entry(&self) -> (Vec<u8>, Vec<u8>) {
        let mut value = self.log_id.as_bytes().to_vec();
        value.extend_from_slice(&self.partitions.to_be_bytes());
        (IDENTITY.to_vec(), value)
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let (log_id, partitions) = value.split_at_checked(16)?;
        Some(Self {
            log_id: Uuid::from_slice(log_id).ok()?,
            partitions: i32::from_be_bytes(partitions.try_into().ok()?),
        })
    }
}

/// A change of what is kept about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Records before the offset are gone, or on their way out.
    Earliest {
        partition: usize,
        offset: i64,
    },
    /// Records before the offset are in the event store.
    Released {
        partition: usize,
        offset: i64,
    },
    Closed {
        partition: usize,
        segment: Segment,
    },
    Dropped {
        partition: usize,
        segment: Segment,
    },
}

/// All marks of a partition.
#[derive(Debug, Default)]
pub(super) struct PartitionMarks {
    pub(super) earliest: i64,
    pub(super) released: i64,
    pub(super) segments: Vec<Segment>,
}

impl Mark {
    /// A key that is written for the sake of writing.
    pub(super) const SWEPT: &[u8] = b"swept";

    /// The entry to write, or with `None` to remove.
    pub(super) fn entry(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        match *self {
            Self::Earliest { partition, offset } => {
                (key(EARLIEST, partition), Some(offset.to_be_bytes().to_vec()))
            }
            Self::Released { partition, offset } => {
                (key(RELEASED, partition), Some(offset.to_be_bytes().to_vec()))
            }
            Self::Closed { partition, segment } => {
                let mut value = segment.newest.to_be_bytes().to_vec();
                value.extend_from_slice(&segment.bytes.to_be_bytes());
                (segment_key(partition, segment.end), Some(value))
            }
            Self::Dropped { partition, segment } => (segment_key(partition, segment.end), None),
        }
    }

    /// Reads the log's identity; `None` in a store that was just made.
    pub(super) fn identity(meta: &Keyspace) -> fjall::Result<Option<Identity>> {
        match meta.get(IDENTITY)? {
            None => Ok(None),
            Some(value) => Identity::decode(&value)
                .map(Some)
                .ok_or(fjall::Error::Unrecoverable),
        }
    }

    /// Reads the marks of a partition.
    pub(super) fn of_partition(meta: &Keyspace, partition: usize) -> fjall::Result<PartitionMarks> {
        let offset = |kind| -> fjall::Result<i64> {
            match meta.get(key(kind, partition))? {
                None => Ok(0),
                Some(value) => number(&value, 0).ok_or(fjall::Error::Unrecoverable),
            }
        };
        let mut marks = PartitionMarks {
            earliest: offset(EARLIEST)?,
            released: offset(RELEASED)?,
            segments: Vec::new(),
        };
        for entry in meta.prefix(key(SEGMENT, partition)) {
            let (key, value) = entry.into_inner()?;
            let segment = decode_segment(&key, &value).ok_or(fjall::Error::Unrecoverable)?;
            marks.segments.push(segment);
        }
        Ok(marks)
    }
}

fn decode_segment(key: &Slice, value: &Slice) -> Option<Segment> {
    Some(Segment {
        end: number(key, 5)?,
        newest: number(value, 0)?,
        bytes: number(value, 8)?.cast_unsigned(),
    })
}

fn number(bytes: &[u8], at: usize) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn key(kind: u8, partition: usize) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&(partition as u32).to_be_bytes());
    key
}

fn segment_key(partition: usize, end: i64) -> Vec<u8> {
    let mut key = key(SEGMENT, partition);
    key.extend_from_slice(&end.to_be_bytes());
    key
}
