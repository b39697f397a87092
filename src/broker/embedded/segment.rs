//! A segment: one file of the log, with frames of all partitions in the order in which they were appended.
//!
//! ```text
//! magic 8 | number u64 | log_id 16 | newest i64 µs | partitions u32 | starts i64 each | crc32 u32 | frames
//! ```
//! The head says where each partition stands before the file's first frame, so that the files of a log follow
//! from one another and nothing needs to be kept beside them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::index::Index;

const MAGIC: &[u8; 8] = b"momslog\x01";
/// The head's bytes before the starts.
const FIXED: usize = 44;
const CRC: usize = 4;
pub(super) const EXTENSION: &str = "log";

/// What a segment's file begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    /// Segments are numbered without a gap.
    pub(super) number: u64,
    pub(super) log_id: Uuid,
    /// The newest append time before this segment, in microseconds.
    pub(super) newest: i64,
    /// For each partition the offset of its first record in this segment or behind it.
    pub(super) starts: Vec<i64>,
}

impl SegmentHead {
    /// Its bytes, which are as many as the frames' beginning.
    pub(super) fn length(&self) -> u64 {
        Self::length_of(self.starts.len())
    }

    /// The bytes of a head of so many partitions.
    pub(super) fn length_of(partitions: usize) -> u64 {
        (FIXED + partitions * 8 + CRC) as u64
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(self.log_id.as_bytes());
        bytes.extend_from_slice(&self.newest.to_be_bytes());
        bytes.extend_from_slice(&(self.starts.len() as u32).to_be_bytes());
        for start in &self.starts {
            bytes.extend_from_slice(&start.to_be_bytes());
        }
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads a head; `None` where there is none, or one that is damaged.
    fn read(file: &mut impl Read) -> io::Result<Option<Self>> {
        let mut bytes = up_to(file, FIXED as u64)?;
        if bytes.len() < FIXED || !bytes.starts_with(MAGIC) {
            return Ok(None);
        }
        let partitions = u32::from_be_bytes(array(&bytes, 40));
        let rest = u64::from(partitions) * 8 + CRC as u64;
        bytes.extend(up_to(file, rest)?);
        if bytes.len() as u64 != FIXED as u64 + rest {
            return Ok(None);
        }
        let (covered, crc) = bytes.split_at(bytes.len() - CRC);
        if crc32fast::hash(covered).to_be_bytes() != *crc {
            return Ok(None);
        }
        let starts = covered[FIXED..]
            .chunks_exact(8)
            .map(|start| i64::from_be_bytes(array(start, 0)));
        Ok(Some(Self {
            number: u64::from_be_bytes(array(&bytes, 8)),
            log_id: Uuid::from_bytes(array(&bytes, 16)),
            newest: i64::from_be_bytes(array(&bytes, 32)),
            starts: starts.collect(),
        }))
    }
}

/// A segment as writer and readers share it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) head: SegmentHead,
    pub(super) path: PathBuf,
    /// Its file's own head is damaged; nothing is appended to it.
    pub(super) is_rebuilt: bool,
    /// Bytes of its file that are on the disk; what is beyond was never acknowledged.
    durable: AtomicU64,
    index: Mutex<Index>,
}

impl Segment {
    /// Makes the file of a new segment, on the disk when it returns, to be appended to.
    pub(super) fn create(folder: &Path, head: SegmentHead) -> io::Result<(Self, File)> {
        let path = path(folder, head.number);
        let mut file = File::create(&path)?;
        file.write_all(&head.encode())?;
        file.sync_all()?;
        sync_folder(folder)?;
        let durable = head.length();
        Ok((Self::new(head, path, durable), file))
    }

    /// Reads the head of an existing file; `None` where it is none of a segment.
    pub(super) fn load(path: PathBuf) -> io::Result<Option<Self>> {
        let mut file = File::open(&path)?;
        let head = SegmentHead::read(&mut file)?;
        let length = file.metadata()?.len();
        Ok(head.map(|head| Self::new(head, path, length)))
    }

    /// A segment whose file of `length` bytes has lost its head; `head` stands in for it.
    pub(super) fn rebuilt(head: SegmentHead, path: PathBuf, length: u64) -> Self {
        Self {
            is_rebuilt: true,
            ..Self::new(head, path, length)
        }
    }

    fn new(head: SegmentHead, path: PathBuf, durable: u64) -> Self {
        Self {
            is_rebuilt: false,
            index: Mutex::new(Index::new(head.length(), &head.starts)),
            durable: AtomicU64::new(durable),
            head,
            path,
        }
    }

    /// Opens the file of the last segment anew, to append behind its durable bytes; what is there is cut off.
    pub(super) fn reopen(&self) -> io::Result<File> {
        let file = OpenOptions::new().append(true).open(&self.path)?;
        file.set_len(self.durable())?;
        file.sync_all()?;
        Ok(file)
    }

    /// Bytes of the file that hold frames on the disk, and its head.
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Says that frames up to `position` are on the disk.
    pub(super) fn set_durable(&self, position: u64) {
        self.durable.store(position, Ordering::Release);
    }

    /// Where it is known how far the partitions are.
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The segments' files of a folder by number.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let is_segment = path.extension().is_some_and(|extension| extension == EXTENSION);
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        found.extend(number.filter(|_| is_segment).map(|number| (number, path)));
    }
    found.sort();
    Ok(found)
}

/// Brings the making and the removal of files to the disk.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.{EXTENSION}"))
}

/// The next bytes, fewer at the end.
#[allow(clippy::disallowed_methods)]
fn up_to(file: &mut impl Read, bytes: u64) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    file.take(bytes).read_to_end(&mut read)?;
    Ok(read)
}

/// The caller has checked that the place is there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_head_comes_back_and_any_changed_bit_is_noticed() {
        let head = SegmentHead {
            number: 7,
            log_id: Uuid::from_u128(8),
            newest: 9,
            starts: vec![10, 11, 12],
        };
        let bytes = head.encode();
        assert_eq!(bytes.len() as u64, head.length());
        assert_eq!(SegmentHead::read(&mut bytes.as_slice()).unwrap(), Some(head));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                SegmentHead::read(&mut changed.as_slice()).unwrap(),
                None,
                "bit {bit}"
            );
        }
        assert_eq!(SegmentHead::read(&mut &bytes[..bytes.len() - 1]).unwrap(), None);
    }
}
