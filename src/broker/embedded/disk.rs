//! The folder on the disk: whose it is, and what room is left.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use crate::broker::LogError;

/// Takes the folder for this process until the file is dropped.
pub(super) fn lock(folder: &Path) -> Result<File, LogError> {
    let place = folder.display();
    let failed = |error| LogError::Fatal(format!("{place} cannot be opened: {error}"));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let file = File::create(folder.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(LogError::Fatal(format!("{place} is in use by another process")))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Bytes that this process may still write to the file system of `path`.
pub(super) fn free(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
