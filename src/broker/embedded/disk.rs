//! What the disk has left, and what the log takes of it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes that this process may still write to the file system of `path`.
pub(super) fn free(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes that a folder really takes: blocks, not lengths, since the journal is a sparse file.
pub(super) fn used(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in folder.read_dir()? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => used(&entry.path())?,
            Ok(metadata) => metadata.blocks() * 512,
            // The store deletes files while this walks over them.
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}
