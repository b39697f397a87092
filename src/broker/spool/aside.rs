//! What could not be replayed, in files of a folder beside the spool's segments, until somebody has looked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::broker::{Record, StoredRecord};
use crate::private;

const RECORD: &str = "json";
const SEGMENT: &str = "log";
/// Of a note that stands for a segment that is gone.
const MISSING: &str = "missing";
/// More than so many are no single records' fault, but the log's.
const MOST: usize = 1000;

/// The folder, which is made when it is needed.
#[derive(Debug)]
pub(super) struct Aside {
    folder: PathBuf,
}

/// What was set aside, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    pub folder: PathBuf,
    /// Records that the log does not take.
    pub records: usize,
    /// Segments of the spool of which a part could not be read, and notes of what was in none.
    pub damaged_files: usize,
    pub bytes: u64,
    /// Why the log does not take the newest of the records.
    pub reason: Option<String>,
}

/// A record in its file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    reason: String,
    spooled_at: Timestamp,
    key: Text,
    value: Text,
}

/// Bytes as people can read them, if they can.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Text {
    Text(String),
    Base64(String),
}

impl Text {
    fn of(bytes: &Bytes) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(STANDARD.encode(bytes)),
        }
    }

    fn bytes(self) -> io::Result<Bytes> {
        match self {
            Self::Text(text) => Ok(text.into()),
            Self::Base64(text) => {
                let decoded = STANDARD.decode(text).map_err(io::Error::other)?;
                Ok(decoded.into())
            }
        }
    }
}

impl Aside {
    pub(super) fn new(spool: &Path) -> Self {
        Self {
            folder: spool.join("aside"),
        }
    }

    /// Where it is or will be.
    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    /// The folder, made if it is not there.
    pub(super) fn folder(&self) -> io::Result<&Path> {
        private::make_private(&self.folder)?;
        Ok(&self.folder)
    }

    /// Keeps a record; on the disk when it returns. Replaces nothing but the same record, from before a kill: a spool
    /// that was made anew has the same offsets again.
    pub(super) fn keep(&self, record: &StoredRecord, reason: &str) -> io::Result<PathBuf> {
        if self.records()?.len() >= MOST {
            return Err(io::Error::other(format!(
                "the log does not take more than {MOST} records, too many to be their fault: {reason}"
            )));
        }
        let kept = Kept {
            reason: reason.to_owned(),
            spooled_at: record.appended_at,
            key: Text::of(&record.key),
            value: Text::of(&record.value),
        };
        let folder = self.folder()?;
        let is_same = |path: &Path| read_kept(path).is_ok_and(|found| found.is_of(&kept));
        let path = private::free_name(folder, &format!("{:020}", record.offset), RECORD, is_same);
        private::write_whole(&path, &serde_json::to_string(&kept)?)?;
        Ok(path)
    }

    /// Notes that offsets of the spool are in no file; on the disk when it returns.
    pub(super) fn note_missing(&self, from: i64, to: i64, reason: &str) -> io::Result<PathBuf> {
        let path = private::free_name(self.folder()?, &format!("{from:020}"), MISSING, |_| false);
        let text = format!(
            "{} events of the spool, offsets {from}..{to}, are lost: {reason}",
            to - from
        );
        private::write_whole(&path, &text)?;
        Ok(path)
    }

    /// The files of records, oldest first.
    pub(super) fn records(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = self.files()?;
        files.retain(|path| has_extension(path, RECORD));
        // Not by name: an earlier spool's offsets may be higher.
        files.sort_by_cached_key(|path| (modified(path), path.clone()));
        Ok(files)
    }

    /// Reads a record back from its file.
    pub(super) fn read(path: &Path) -> io::Result<Record> {
        let kept = read_kept(path)?;
        Ok(Record {
            key: kept.key.bytes()?,
            value: kept.value.bytes()?,
        })
    }

    /// What there is; nothing where nothing is.
    pub(super) fn look(&self) -> io::Result<Option<SetAside>> {
        let files = self.files()?;
        if files.is_empty() {
            return Ok(None);
        }
        let records = self.records()?;
        let newest = records.last().and_then(|path| read_kept(path).ok());
        let lengths = files
            .iter()
            .map(|path| fs::metadata(path).map_or(0, |file| file.len()));
        Ok(Some(SetAside {
            folder: self.folder.clone(),
            damaged_files: files.len() - records.len(),
            bytes: lengths.sum(),
            records: records.len(),
            reason: newest.map(|kept| kept.reason),
        }))
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        match fs::read_dir(&self.folder) {
            Ok(entries) => {
                let mut files = entries
                    .map(|entry| Ok(entry?.path()))
                    .collect::<io::Result<Vec<_>>>()?;
                // Not those that a kill left unfinished.
                files.retain(|path| {
                    [RECORD, SEGMENT, MISSING]
                        .iter()
                        .any(|extension| has_extension(path, extension))
                });
                Ok(files)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl Kept {
    /// Whether both are of one record, whatever the reasons.
    fn is_of(&self, other: &Self) -> bool {
        (self.spooled_at, &self.key, &self.value) == (other.spooled_at, &other.key, &other.value)
    }
}

fn read_kept(path: &Path) -> io::Result<Kept> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was_kept() {
        let spool = tempfile::tempdir().unwrap();
        let aside = Aside::new(spool.path());
        assert_eq!(aside.look().unwrap(), None);
        let record = |offset, value: &'static [u8]| StoredRecord {
            offset,
            appended_at: Timestamp::UNIX_EPOCH,
            key: "ü".into(),
            value: value.into(),
        };
        for (offset, value) in [(7, &b"text"[..]), (8, b"\xff\x00")] {
            let path = aside.keep(&record(offset, value), "too long").unwrap();
            let read = Aside::read(&path).unwrap();
            assert_eq!((&read.key[..], &read.value[..]), ("ü".as_bytes(), value));
        }
        // A kill came between the file and what followed it.
        aside.keep(&record(8, b"\xff\x00"), "still too long").unwrap();
        let found = aside.look().unwrap().unwrap();
        assert_eq!((found.records, found.damaged_files), (2, 0));
        assert_eq!(found.reason.unwrap(), "still too long");
    }

    #[test]
    fn a_spool_made_anew_overwrites_nothing_that_was_set_aside() {
        let spool = tempfile::tempdir().unwrap();
        let aside = Aside::new(spool.path());
        let values = ["first", "second", "third"];
        for (seconds, value) in (1..).zip(values) {
            let record = StoredRecord {
                offset: 7,
                appended_at: Timestamp::UNIX_EPOCH,
                key: "k".into(),
                value: value.into(),
            };
            let file = aside.keep(&record, &format!("{value} reason")).unwrap();
            let kept_at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            fs::File::open(file).unwrap().set_modified(kept_at).unwrap();
        }
        let files = aside.records().unwrap();
        let kept: Vec<_> = files
            .iter()
            .map(|file| Aside::read(file).unwrap().value)
            .collect();
        assert_eq!(kept, values);
        assert_eq!(aside.look().unwrap().unwrap().reason.unwrap(), "third reason");
    }
}
