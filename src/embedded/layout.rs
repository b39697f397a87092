//! Where the files of the embedded PostgreSQL are.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::{During, EmbeddedError};
use crate::config::Secret;
use crate::private::{Owner, hex, make_socket_folder_for, write_whole};

const SOCKET_NAME_LENGTH: usize = "/.s.PGSQL.65535".len();

/// The files in `<data_dir>/postgres`.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// Names the files under an existing data dir; makes nothing.
    pub fn of(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let data_dir = data_dir
            .canonicalize()
            .during(|| format!("reading the data dir {}", data_dir.display()))?;
        Ok(Self {
            folder: data_dir.join("postgres"),
        })
    }

    /// Makes the folders, and lets `account` pass through those that momsflow owns.
    pub fn create(data_dir: &Path, account: Option<&Account>) -> Result<Self, EmbeddedError> {
        let creating = || format!("creating {}", data_dir.join("postgres").display());
        fs::create_dir_all(data_dir.join("postgres")).during(creating)?;
        let layout = Self::of(data_dir)?;
        let mode = if account.is_some() { 0o711 } else { 0o700 };
        fs::set_permissions(&layout.folder, Permissions::from_mode(mode)).during(creating)?;
        if let (Some(account), Some(data_dir)) = (account, layout.folder.parent()) {
            let metadata = data_dir.metadata().during(creating)?;
            if !account.may_enter(&metadata) {
                let mode = metadata.mode() & 0o7777 | 0o001;
                fs::set_permissions(data_dir, Permissions::from_mode(mode)).during(creating)?;
            }
        }
        Ok(layout)
    }

    /// `<data_dir>/postgres` itself, as an absolute path.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// PostgreSQL's data folder; exists only when initdb had finished.
    pub fn cluster(&self) -> PathBuf {
        self.folder.join("cluster")
    }

    /// Where initdb works before its result is renamed.
    pub fn unfinished_cluster(&self) -> PathBuf {
        self.folder.join("cluster.new")
    }

    pub fn owner_password(&self) -> PathBuf {
        self.folder.join("owner-password")
    }

    pub fn reader_password(&self) -> PathBuf {
        self.folder.join("reader-password")
    }

    pub fn port(&self) -> PathBuf {
        self.folder.join("port")
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    /// The major version that made the cluster; `None` where there is no cluster yet.
    pub fn made_by(&self) -> Result<Option<u32>, EmbeddedError> {
        let cluster = self.cluster();
        match fs::read_to_string(cluster.join("PG_VERSION")) {
            Ok(text) => match text.trim().parse() {
                Ok(major) => Ok(Some(major)),
                Err(_) => Err(EmbeddedError::NotACluster(cluster)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound && !cluster.exists() => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(EmbeddedError::NotACluster(cluster)),
            Err(error) => Err(error).during(|| format!("reading {}/PG_VERSION", cluster.display())),
        }
    }

    /// Makes the folder of the server's Unix socket. `None`: no place with a path that is short enough, so that
    /// only TCP is left.
    pub fn create_socket_folder(&self, account: Option<&Account>) -> Option<PathBuf> {
        let owner = account.map(|account| Owner {
            uid: account.uid,
            gid: account.gid,
        });
        make_socket_folder_for(&self.folder.join("socket"), SOCKET_NAME_LENGTH, owner)
    }
}

/// Reads a password, or makes one at random and keeps it with mode 600.
pub fn read_or_make_password(path: &Path) -> Result<Secret, EmbeddedError> {
    if let Some(password) = read_password(path)? {
        return Ok(password);
    }
    let password = hex(&rand::random::<[u8; 24]>());
    write_whole(path, &password).during(|| format!("writing {}", path.display()))?;
    Ok(Secret::new(password))
}

/// Reads a password; `None` where the file is missing.
pub fn read_password(path: &Path) -> Result<Option<Secret>, EmbeddedError> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(Secret::new(text.trim()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).during(|| format!("reading {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_password_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("owner-password");
        let made = read_or_make_password(&path).unwrap();
        assert_eq!(made.reveal().len(), 48);
        assert_eq!(read_or_make_password(&path).unwrap(), made);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_cluster_folder_without_a_version_is_refused() {
        let data_dir = tempfile::tempdir().unwrap();
        let layout = Layout::create(data_dir.path(), None).unwrap();
        assert_eq!(layout.made_by().unwrap(), None);
        fs::create_dir(layout.cluster()).unwrap();
        assert!(matches!(layout.made_by(), Err(EmbeddedError::NotACluster(_))));
        fs::write(layout.cluster().join("PG_VERSION"), "16\n").unwrap();
        assert_eq!(layout.made_by().unwrap(), Some(16));
    }
}
