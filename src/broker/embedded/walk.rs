//! Goes over the frames of a segment's file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::frame::{FrameError, HEAD, Head};

/// Bytes that are read at once.
const CHUNK: usize = 128 << 10;

/// Why a walk came to an end before its time.
#[derive(Debug, thiserror::Error)]
pub(super) enum WalkError {
    #[error("at byte {position}: {error}")]
    Frame { position: u64, error: FrameError },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A walk from one place between frames to another.
pub(super) struct Walk<'a> {
    file: &'a File,
    position: u64,
    end: u64,
    chunk: Vec<u8>,
    chunk_at: u64,
}

impl<'a> Walk<'a> {
    /// A walk over the frames from `position` to `end`.
    pub(super) fn new(file: &'a File, position: u64, end: u64) -> Self {
        Self {
            file,
            position,
            end,
            chunk: Vec::new(),
            chunk_at: position,
        }
    }

    /// Where it stands: behind the last frame.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next frame's head. Its body may be read until the next call, and is not verified.
    pub(super) fn next(&mut self) -> Result<Option<Head>, WalkError> {
        let position = self.position;
        if position >= self.end {
            return Ok(None);
        }
        let malformed = |error| WalkError::Frame { position, error };
        let cut_off = || malformed(FrameError::Malformed("it is cut off"));
        let bytes = self.bytes(position, HEAD)?.and_then(|bytes| bytes.first_chunk());
        let head = Head::parse(bytes.ok_or_else(cut_off)?).map_err(malformed)?;
        let next = position + (HEAD + head.stored_length) as u64;
        if next > self.end {
            return Err(cut_off());
        }
        self.position = next;
        Ok(Some(head))
    }

    /// The body of the frame whose head came last.
    pub(super) fn body(&mut self, head: &Head) -> io::Result<&[u8]> {
        let length = head.stored_length;
        let at = self.position - length as u64;
        self.bytes(at, length)?
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Bytes of the file; `None` beyond the end.
    fn bytes(&mut self, at: u64, length: usize) -> io::Result<Option<&[u8]>> {
        let until = at + length as u64;
        if until > self.end {
            return Ok(None);
        }
        if at < self.chunk_at || until > self.chunk_at + self.chunk.len() as u64 {
            let rest = usize::try_from(self.end - at).unwrap_or(usize::MAX);
            self.chunk.resize(length.max(CHUNK).min(rest), 0);
            self.chunk_at = at;
            self.file.read_exact_at(&mut self.chunk, at)?;
        }
        let start = (at - self.chunk_at) as usize;
        Ok(self.chunk.get(start..start + length))
    }
}
