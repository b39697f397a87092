//! The data dir: one process at a time, and the secrets that momsflow makes for itself.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::config::Secret;
use crate::private::{make_private, write_whole};

/// Why the data dir cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error(
        "another momsflow (process {holder}) is using {}\nhint: stop it, or choose another folder with --data-dir",
        path.display()
    )]
    Locked { path: PathBuf, holder: String },
    #[error("{}: {source}\nhint: choose a folder that you may write to with --data-dir", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Holds the data dir against other processes, until it is dropped or the process ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// It lives as long as the open file.
    lock: File,
}

impl DataDir {
    /// Creates the folder where it is missing and locks it.
    ///
    /// # Errors
    /// [`DataDirError::Locked`] while another process has it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Io {
            path: path.to_owned(),
            source,
        };
        // Others may pass through: the embedded PostgreSQL may run as another user. What is secret has mode 600, and
        // folders of events 700.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .map_err(failed)?;
        let path = std::path::absolute(path).map_err(failed)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = (&mut lock).take(32).read_to_string(&mut holder);
                let holder = holder.trim().to_owned();
                return Err(DataDirError::Locked { path, holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Self { path, lock })
    }

    /// The absolute path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder of it that only its owner and root can enter, made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made or closed to others.
    pub fn private_folder(&self, name: &str) -> Result<PathBuf, DataDirError> {
        let path = self.path.join(name);
        match make_private(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(DataDirError::Io { path, source }),
        }
    }

    /// Reads the write key, or makes one.
    pub fn write_key(&self) -> Result<Secret, DataDirError> {
        self.secret("write-key", || {
            let random: [u8; 24] = rand::random();
            URL_SAFE_NO_PAD.encode(random)
        })
        .map(Secret::new)
    }

    /// Names this installation, in leases for one; made once and kept.
    pub fn instance_id(&self) -> Result<String, DataDirError> {
        self.secret("instance-id", || Uuid::new_v4().to_string())
    }

    /// Names the folder on this machine until its next boot. A copy of it, and a restored one, has another name, and who
    /// holds the lock is the only process that has this one.
    pub fn place(&self) -> Result<String, DataDirError> {
        let lock = self.lock.metadata().map_err(|source| DataDirError::Io {
            path: self.path.join("lock"),
            source,
        })?;
        // Only Linux tells one boot from another; elsewhere the name of the machine has to do.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_else(|_| rustix::system::uname().nodename().to_string_lossy().into_owned());
        Ok(format!("{}:{}:{}", boot.trim(), lock.dev(), lock.ino()))
    }

    /// Reads a small file of mode 600, or makes it with what `make` gives.
    fn secret(&self, name: &str, make: impl FnOnce() -> String) -> Result<String, DataDirError> {
        let path = self.path.join(name);
        let failed = |source| DataDirError::Io {
            path: path.clone(),
            source,
        };
        match std::fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let value = make();
        write_whole(&path, &value).map_err(failed)?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_opener_hears_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::open(folder.path()).unwrap();
        let error = DataDir::open(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        drop(first);
        DataDir::open(folder.path()).unwrap();
    }

    #[test]
    fn the_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(folder.path()).unwrap();
        let key = data_dir.write_key().unwrap();
        assert!(key.reveal().len() >= 32);
        assert_eq!(data_dir.write_key().unwrap(), key);
        let mode = std::fs::metadata(folder.path().join("write-key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
