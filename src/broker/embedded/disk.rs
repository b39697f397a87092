//! What the disk has left.

use std::io;
use std::path::Path;

/// Bytes that this process may still write to the file system of `path`.
pub(super) fn free(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
