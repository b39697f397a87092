//! Opens a log's folder: checks that its segments follow from one another, and finds where the last one ends.
//!
//! Of what was being written when the process or the power died, some pages may be on the disk and others not.
//! Nobody was told that it is durable, so that it may be cut off; but only it. Every frame says where the frames
//! begin that were synced with it, which tells a torn end from damage to what was acknowledged.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use tracing::warn;
use uuid::Uuid;

use super::frame::{HEAD, Head, MAGIC};
use super::remains;
use super::segment::{self, Segment, SegmentHead};
use super::shared::Identity;
use super::walk::{Walk, WalkError};
use crate::broker::LogError;

/// What a folder holds.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) identity: Identity,
    /// At least one; the last one is open for appends.
    pub(super) segments: VecDeque<Arc<Segment>>,
    /// Where each partition ends.
    pub(super) ends: Vec<i64>,
    /// The append times of the first and the newest record of the last segment, in microseconds.
    pub(super) oldest: Option<i64>,
    pub(super) newest: i64,
}

/// What becomes of damage to what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Damage<'a> {
    /// The log is not opened.
    Refuse,
    /// What can be read is left to readers, and appends go to a new segment. Files that cannot be opened at all get a
    /// name in this folder. For a log of one partition.
    Keep(&'a Path),
}

/// Opens the log of a folder, or makes one with `partitions`. All that it holds is on the disk afterwards.
///
/// # Errors
/// [`LogError::Fatal`] where files are missing, damaged or of another log, or cannot be read or written.
pub(super) fn recover(folder: &Path, partitions: i32, damage: Damage<'_>) -> Result<Recovered, LogError> {
    let failed =
        |error: io::Error| LogError::Fatal(format!("{} cannot be opened: {error}", folder.display()));
    if folder.join("keyspaces").exists() {
        return Err(LogError::Fatal(format!(
            "{} holds a log of a momsflow before 0.1, which this one does not read; start with another folder",
            folder.display()
        )));
    }
    let count = usize::try_from(partitions).unwrap_or(1);
    let mut segments = match damage {
        Damage::Refuse => load(folder, count).map_err(failed)??,
        Damage::Keep(aside) => remains::load(folder, aside).map_err(failed)?,
    };
    if segments.is_empty() {
        let head = SegmentHead {
            number: 1,
            log_id: Uuid::new_v4(),
            newest: 0,
            starts: vec![0; count],
        };
        let (segment, _) = Segment::create(folder, head).map_err(failed)?;
        segments.push_back(Arc::new(segment));
    }
    if damage == Damage::Refuse {
        follows_on(&segments)?;
    }
    let Some(last) = segments.back().cloned() else {
        return Err(LogError::Fatal("there is no segment".to_owned()));
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&last.path)
        .map_err(failed)?;
    let mut found = scan(&file, &last, damage)?;
    // What a killed process had written and not yet synced was just read as if it were on the disk.
    file.sync_all()
        .and_then(|()| segment::sync_folder(folder))
        .map_err(failed)?;
    if found.is_damaged {
        segments.push_back(Arc::new(found.follow(folder, &last).map_err(failed)?));
    }
    Ok(Recovered {
        identity: Identity {
            log_id: last.head.log_id,
            partitions: i32::try_from(last.head.starts.len()).unwrap_or(i32::MAX),
        },
        segments,
        ends: found.ends,
        oldest: found.oldest,
        newest: found.newest,
    })
}

/// Reads the heads of all segments. A last file without a head is one whose making was interrupted; it goes.
fn load(folder: &Path, partitions: usize) -> io::Result<Result<VecDeque<Arc<Segment>>, LogError>> {
    let mut segments: VecDeque<Arc<Segment>> = VecDeque::new();
    let mut files = segment::list(folder)?.into_iter().peekable();
    while let Some((number, path)) = files.next() {
        match Segment::load(path.clone())? {
            Some(segment) if segment.head.number == number => segments.push_back(Arc::new(segment)),
            None if files.peek().is_none()
                && remains::is_unborn(
                    &path,
                    segments.back().map_or(partitions, |last| last.head.starts.len()),
                )? =>
            {
                std::fs::remove_file(&path)?;
            }
            _ => {
                return Ok(Err(LogError::Fatal(format!(
                    "{} has no good head",
                    path.display()
                ))));
            }
        }
    }
    Ok(Ok(segments))
}

fn follows_on(segments: &VecDeque<Arc<Segment>>) -> Result<(), LogError> {
    for (one, other) in segments.iter().zip(segments.iter().skip(1)) {
        let (one, path) = (&one.head, other.path.display());
        let other = &other.head;
        let fault = if other.number != one.number + 1 {
            format!("segment {} is missing before {path}", one.number + 1)
        } else if other.log_id != one.log_id || other.starts.len() != one.starts.len() {
            format!("{path} belongs to another log")
        } else if other
            .starts
            .iter()
            .zip(&one.starts)
            .any(|(other, one)| other < one)
        {
            format!("{path} begins before the segment before it")
        } else {
            continue;
        };
        return Err(LogError::Fatal(fault));
    }
    Ok(())
}

struct Found {
    ends: Vec<i64>,
    oldest: Option<i64>,
    newest: i64,
    is_damaged: bool,
}

/// Verifies all frames of the last segment and cuts its torn end off.
fn scan(file: &File, segment: &Segment, damage: Damage<'_>) -> Result<Found, LogError> {
    let path = segment.path.display();
    let failed = |error: io::Error| LogError::Fatal(format!("{path} cannot be read: {error}"));
    let mut found = Found {
        ends: segment.head.starts.clone(),
        oldest: None,
        newest: segment.head.newest,
        is_damaged: segment.is_rebuilt,
    };
    let mut walk = Walk::new(file, segment.head.length(), segment.durable());
    loop {
        let position = walk.position();
        match found.take_next(&mut walk) {
            Ok(true) => segment.index().note(walk.position(), &found.ends),
            Ok(false) => return Ok(found),
            Err(WalkError::Io(error)) => return Err(failed(error)),
            Err(WalkError::Frame { error, .. }) => {
                if segment.is_rebuilt || is_damaged(file, position).map_err(failed)? {
                    if damage != Damage::Refuse {
                        found.pass_over(&rest(file, position).map_err(failed)?);
                        return Ok(found);
                    }
                    return Err(LogError::Fatal(format!(
                        "{path} is damaged at byte {position}: {error}"
                    )));
                }
                cut(file, segment, position).map_err(failed)?;
                warn!(
                    segment = %path,
                    position,
                    "a write was interrupted; its torn end, never acknowledged, was cut off"
                );
                return Ok(found);
            }
        }
    }
}

impl Found {
    /// Makes the segment that goes on behind a damaged one.
    fn follow(&mut self, folder: &Path, damaged: &Segment) -> io::Result<Segment> {
        self.oldest = None;
        let head = SegmentHead {
            number: damaged.head.number + 1,
            log_id: damaged.head.log_id,
            newest: self.newest,
            starts: self.ends.clone(),
        };
        Ok(Segment::create(folder, head)?.0)
    }

    /// Takes note of all frames behind damage, so that no offset of theirs is given again.
    fn pass_over(&mut self, rest: &[u8]) {
        self.is_damaged = true;
        for (_, head) in heads(rest) {
            if let Some(end) = self.ends.get_mut(head.place.partition) {
                *end = head.end().max(*end);
            }
            self.newest = self.newest.max(head.place.appended_at);
        }
    }

    fn take_next(&mut self, walk: &mut Walk<'_>) -> Result<bool, WalkError> {
        use super::frame::FrameError;
        let position = walk.position();
        let Some(head) = walk.next()? else {
            return Ok(false);
        };
        let wrong = |error| WalkError::Frame { position, error };
        head.verify(walk.body(&head)?).map_err(wrong)?;
        let end = self.ends.get_mut(head.place.partition);
        match end.filter(|end| **end == head.place.base) {
            Some(end) => *end = head.end(),
            None => return Err(wrong(FrameError::Malformed("its offset does not follow"))),
        }
        self.oldest.get_or_insert(head.place.appended_at);
        self.newest = self.newest.max(head.place.appended_at);
        Ok(true)
    }
}

/// Says whether a bad frame at `position` was on the disk once: a frame behind it says that it was written later.
fn is_damaged(file: &File, position: u64) -> io::Result<bool> {
    Ok(heads(&rest(file, position)?).any(|(_, head)| u64::from(head.place.commit) > position))
}

fn rest(file: &File, position: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len().saturating_sub(position);
    let mut rest = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut rest, position)?;
    Ok(rest)
}

/// All good heads of frames in some bytes, wherever they begin, and where.
pub(super) fn heads(bytes: &[u8]) -> impl Iterator<Item = (usize, Head)> + '_ {
    let windows = bytes.windows(HEAD).enumerate();
    windows
        .filter(|(_, window)| window.starts_with(&MAGIC))
        .filter_map(|(at, window)| Some((at, Head::parse(window.first_chunk()?).ok()?)))
}

/// Cuts the last segment's file off at `position`, and keeps what is cut off beside it.
fn cut(file: &File, segment: &Segment, position: u64) -> io::Result<()> {
    let torn = rest(file, position)?;
    // For whoever wants to look; a full disk must not keep the log from opening.
    if let Err(error) = std::fs::write(segment.path.with_extension("torn"), torn) {
        warn!(%error, "the torn end could not be kept");
    }
    file.set_len(position)?;
    segment.set_durable(position);
    Ok(())
}
