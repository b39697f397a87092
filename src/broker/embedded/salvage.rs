//! Reading on behind damage, for a log whose records are better late and incomplete than never: a spool.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::HEAD;
use super::recovery::heads;
use super::segment::{EXTENSION, Segment};
use super::walk::Walk;
use super::{EmbeddedLog, blocking};
use crate::broker::LogError;
use crate::private;

/// Damage that a reader has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Passed {
    /// The next offset that can be read.
    pub(in crate::broker) next: i64,
    /// The segment's file as it is, under another name; `None` where nothing is wrong with it, but offsets are missing
    /// behind it, or where it is gone.
    pub(in crate::broker) kept: Option<PathBuf>,
}

impl EmbeddedLog {
    /// Looks for the next frame behind `offset` that can be read, in a log of one partition, and keeps the file of the
    /// damaged segment in `folder`. Nothing of it changes when it can be read after all.
    ///
    /// # Errors
    /// Where that file cannot be looked at or kept now.
    pub(in crate::broker) async fn pass_damage(
        &self,
        offset: i64,
        folder: &Path,
    ) -> Result<Passed, LogError> {
        let (segment, until) = self.segment_of(offset)?;
        let folder = folder.to_owned();
        blocking(move || {
            let path = segment.path.display();
            let failed = |error: io::Error| LogError::Unavailable(format!("{path} is damaged, {error}"));
            let next = readable_from(&segment, offset).map_err(failed)?;
            let kept = match is_whole(&segment) {
                true => None,
                false => keep(&segment.path, &folder).map_err(failed)?,
            };
            Ok(Passed {
                next: next.unwrap_or(until),
                kept,
            })
        })
        .await
    }

    /// The segment that holds an offset, and the offset at which the next one begins.
    fn segment_of(&self, offset: i64) -> Result<(Arc<Segment>, i64), LogError> {
        let end = self.partition(0)?.1.range.borrow().end;
        let segments = self.shared.segments();
        let later = segments.partition_point(|segment| segment.head.starts[0] <= offset);
        let found = later.checked_sub(1).and_then(|at| segments.get(at));
        let found = found.ok_or_else(|| LogError::Fatal(format!("no segment holds offset {offset}")))?;
        Ok((
            found.clone(),
            segments.get(later).map_or(end, |next| next.head.starts[0]),
        ))
    }
}

/// The first offset from `offset` on whose frame is whole; readers find it from now on.
fn readable_from(segment: &Segment, offset: i64) -> io::Result<Option<i64>> {
    let bytes = match unless_unreadable(std::fs::read(&segment.path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?.unwrap_or_default(),
    };
    for (position, head) in heads(&bytes) {
        let body = bytes.get(position + HEAD..position + HEAD + head.stored_length);
        let is_whole = body.is_some_and(|body| head.verify(body).is_ok());
        if is_whole && head.end() > offset {
            segment.index().jump(position as u64, &[head.place.base]);
            return Ok(Some(head.place.base.max(offset)));
        }
    }
    Ok(None)
}

/// `None` where the disk cannot read what is on it (a bad sector), which no second try mends.
pub(super) fn unless_unreadable<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => Ok(None),
        read => read.map(Some),
    }
}

/// Says whether all frames of a segment's file follow from one another and can be read.
fn is_whole(segment: &Segment) -> bool {
    let Ok(file) = File::open(&segment.path) else {
        return false;
    };
    let mut walk = Walk::new(&file, segment.head.length(), segment.durable());
    let mut next = segment.head.starts[0];
    loop {
        match walk.next() {
            Ok(None) => return true,
            Ok(Some(head)) if head.place.base == next => {
                if !walk.body(&head).is_ok_and(|body| head.verify(body).is_ok()) {
                    return false;
                }
                next = head.end();
            }
            _ => return false,
        }
    }
}

/// Gives a segment's file a second name, so that it outlives the log's retention; `None` where there is no file.
///
/// What is in `folder` already stays: a log that was made anew numbers its segments from 1 again.
pub(super) fn keep(path: &Path, folder: &Path) -> io::Result<Option<PathBuf>> {
    private::make_private(folder)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let kept = private::free_name(folder, &stem, EXTENSION, |found| is_same(found, path));
    if kept.exists() {
        return Ok(Some(kept));
    }
    match std::fs::hard_link(path, &kept) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // Not on every file system.
        Err(_) => std::fs::copy(path, &kept).map(drop)?,
        Ok(()) => {}
    }
    private::sync_folder(folder)?;
    Ok(Some(kept))
}

/// Whether a file was kept before, by its name or as a copy.
fn is_same(kept: &Path, path: &Path) -> bool {
    let (Ok(one), Ok(other)) = (kept.metadata(), path.metadata()) else {
        return false;
    };
    if (one.dev(), one.ino()) == (other.dev(), other.ino()) {
        return true;
    }
    let read = |path| std::fs::read(path).ok();
    one.len() == other.len() && read(kept).is_some_and(|bytes| read(path) == Some(bytes))
}
