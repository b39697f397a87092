//! Repairs what a loss of power leaves of fjall's journal.
//!
//! Power that fails in the middle of an fsync leaves some of the last batch's pages written and others zero.
//! fjall drops a batch that is cut off, but refuses to open a journal whose last batch is whole in length and
//! wrong in content. That batch was never acknowledged, since its fsync never returned; it may be cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const END_MAGIC: &[u8] = b"FJL\x03";

/// Cuts the newest journal of a folder at its torn last batch, and keeps what is cut off beside it.
/// Returns how many bytes that were; `None` where the journal is whole, or broken in another way.
pub(super) fn cut_torn_tail(folder: &Path) -> io::Result<Option<u64>> {
    let Some(path) = newest(folder)? else {
        return Ok(None);
    };
    let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
    let Some(position) = torn_tail(&mut BufReader::new(&file))? else {
        return Ok(None);
    };
    file.seek(SeekFrom::Start(position))?;
    let mut aside = File::create(path.with_extension("torn"))?;
    let bytes = io::copy(&mut file, &mut aside)?;
    aside.sync_all()?;
    file.set_len(position)?;
    file.sync_all()?;
    Ok(Some(bytes))
}

fn newest(folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let is_journal = path.extension().is_some_and(|extension| extension == "jnl");
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let Some(number) = number.filter(|_| is_journal) {
            newest = newest.max(Some((number, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// The position of the last batch, if its checksum is wrong and no good batch follows.
fn torn_tail(journal: &mut impl Read) -> io::Result<Option<u64>> {
    let mut torn = None;
    let mut position = 0;
    loop {
        match batch(journal) {
            Ok(Batch {
                length,
                is_good: true,
            }) if torn.is_none() => position += length,
            Ok(Batch { is_good: true, .. }) => return Ok(None),
            Ok(Batch {
                length,
                is_good: false,
            }) => {
                torn.get_or_insert(position);
                position += length;
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(torn),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(torn),
            Err(error) => return Err(error),
        }
    }
}

struct Batch {
    length: u64,
    is_good: bool,
}

/// Reads one batch: a start with the number of items, the items, an end with their checksum.
fn batch(journal: &mut impl Read) -> io::Result<Batch> {
    let [tag] = bytes(journal)?;
    if tag != START {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let items = u32::from_le_bytes(bytes(journal)?);
    let _sequence: [u8; 8] = bytes(journal)?;
    let mut length = 13;
    let mut checksum = Xxh3::new();
    for _ in 0..items {
        length += item(journal, &mut checksum)?;
    }
    let [tag] = bytes(journal)?;
    let expected = u64::from_le_bytes(bytes(journal)?);
    let magic: [u8; 4] = bytes(journal)?;
    if tag != END || magic != END_MAGIC {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Batch {
        length: length + 13,
        is_good: checksum.digest() == expected,
    })
}

fn item(journal: &mut impl Read, checksum: &mut Xxh3) -> io::Result<u64> {
    let [tag] = bytes(journal)?;
    checksum.update(&[tag]);
    if tag == CLEAR {
        let keyspace: [u8; 8] = bytes(journal)?;
        checksum.update(&keyspace);
        return Ok(9);
    }
    // Value type, compression (one byte, as this log compresses nothing there), keyspace, lengths.
    let head: [u8; 20] = bytes(journal)?;
    if tag != ITEM {
        return Err(io::ErrorKind::InvalidData.into());
    }
    checksum.update(&head);
    let key = u16::from_le_bytes([head[10], head[11]]);
    let value = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
    let mut rest = u64::from(key) + u64::from(value);
    let length = 21 + rest;
    let mut buffer = [0; 8192];
    while rest > 0 {
        let part = rest.min(buffer.len() as u64) as usize;
        journal.read_exact(&mut buffer[..part])?;
        checksum.update(&buffer[..part]);
        rest -= part as u64;
    }
    Ok(length)
}

fn bytes<const N: usize>(journal: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    journal.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use fjall::{CompressionType, Database, KeyspaceCreateOptions};

    use super::*;

    /// A store with two batches in its journal, of which `spoilt` has a page of zeros in its value.
    fn store_with_a_hole(folder: &Path, spoilt: u8) {
        {
            let database = open(folder).unwrap();
            let keyspace = database.keyspace("k", KeyspaceCreateOptions::default).unwrap();
            for number in [1, 2] {
                keyspace.insert([number], [0x40 + number; 20_000]).unwrap();
            }
        }
        let path = newest(folder).unwrap().unwrap();
        let mut journal = std::fs::read(&path).unwrap();
        let page = vec![0x40 + spoilt; 4096];
        let at = journal.windows(4096).position(|window| window == page).unwrap();
        journal[at + 4000..at + 8096].fill(0);
        std::fs::write(&path, journal).unwrap();
    }

    fn open(folder: &Path) -> fjall::Result<Database> {
        Database::builder(folder)
            .journal_compression(CompressionType::None)
            .open()
    }

    #[test]
    fn a_torn_last_batch_is_cut_off_and_what_is_before_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        store_with_a_hole(folder.path(), 2);
        assert!(
            open(folder.path()).is_err(),
            "fjall has learnt to do it; this module can go"
        );
        assert!(cut_torn_tail(folder.path()).unwrap().unwrap() >= 20_000);
        let database = open(folder.path()).unwrap();
        let keyspace = database.keyspace("k", KeyspaceCreateOptions::default).unwrap();
        assert_eq!(keyspace.get([1]).unwrap().unwrap().len(), 20_000);
        assert_eq!(keyspace.get([2]).unwrap(), None);
        drop((keyspace, database));
        assert_eq!(
            cut_torn_tail(folder.path()).unwrap(),
            None,
            "a whole journal is left alone"
        );
    }

    #[test]
    fn damage_before_a_good_batch_is_no_torn_tail() {
        let folder = tempfile::tempdir().unwrap();
        store_with_a_hole(folder.path(), 1);
        assert_eq!(cut_torn_tail(folder.path()).unwrap(), None);
    }
}
