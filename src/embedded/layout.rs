//! Where the files of the embedded PostgreSQL are.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::account::Account;
use super::error::{During, EmbeddedError};
use crate::config::Secret;

/// The longest path that a Unix socket's address holds: 107 bytes on Linux, 103 elsewhere.
const SOCKET_PATH_LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
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
        first_private(&self.folder.join("socket"), SOCKET_NAME_LENGTH, account)
    }
}

/// Makes a folder for a Unix socket of this process: `preferred`, or a short one where the path of a socket with
/// this name would be too long. `None`: neither can be had.
pub fn make_socket_folder(preferred: &Path, socket_name: &str) -> Option<PathBuf> {
    first_private(preferred, socket_name.len() + 1, None)
}

/// Finds the socket for which [`make_socket_folder`] made the folder, in another process.
pub fn find_socket(preferred: &Path, socket_name: &str) -> Option<PathBuf> {
    socket_folders(preferred, socket_name.len() + 1)
        .into_iter()
        .map(|folder| folder.join(socket_name))
        .find(|socket| socket.exists())
}

fn first_private(preferred: &Path, name_length: usize, account: Option<&Account>) -> Option<PathBuf> {
    socket_folders(preferred, name_length)
        .into_iter()
        .find(|folder| private_folder(folder, account).is_ok())
}

/// The folders where a Unix socket may stand, best first: `preferred` if a name of `name_length` bytes (its slash
/// included) fits behind it, then short ones that are named after it.
fn socket_folders(preferred: &Path, name_length: usize) -> Vec<PathBuf> {
    let digest = Sha256::digest(preferred.as_os_str().as_encoded_bytes());
    let name = format!("momsflow-{}", hex(&digest[..6]));
    let run = rustix::process::geteuid()
        .is_root()
        .then(|| PathBuf::from("/run"));
    let user = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    std::iter::once(preferred.to_owned())
        .chain(
            [run, user, Some("/tmp".into())]
                .into_iter()
                .flatten()
                .map(|at| at.join(&name)),
        )
        .filter(|folder| folder.as_os_str().len() + name_length <= SOCKET_PATH_LIMIT)
        .collect()
}

/// Makes a folder that only `account` (or this process's user) and root can enter. One that exists must be theirs
/// already: in /tmp anybody may have put it there.
fn private_folder(folder: &Path, account: Option<&Account>) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    let owner = account.map_or(own, |account| account.uid);
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {
            if let Some(account) = account {
                chown(folder, Some(account.uid), Some(account.gid))?;
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(folder)?;
            if !metadata.is_dir() || (metadata.uid() != owner && metadata.uid() != own) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            if let Some(account) = account {
                chown(folder, Some(account.uid), Some(account.gid))?;
            }
            fs::set_permissions(folder, Permissions::from_mode(0o700))
        }
        Err(error) => Err(error),
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

/// Writes a file with mode 600 so that it is there whole, even after a loss of power, or not at all.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    sync_folder(path.parent().unwrap_or(path))
}

/// Makes a rename in `folder` durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_short_path_keeps_its_socket_and_a_long_one_gets_a_stand_in() {
        let short = Path::new("/srv/momsflow/postgres/socket");
        assert_eq!(socket_folders(short, SOCKET_NAME_LENGTH)[0], short);

        let long = PathBuf::from(format!("/srv/{}/postgres/socket", "x".repeat(90)));
        let folders = socket_folders(&long, SOCKET_NAME_LENGTH);
        assert!(!folders.contains(&long));
        assert!(folders.iter().any(|folder| folder.starts_with("/tmp")));
        assert_eq!(
            folders,
            socket_folders(&long, SOCKET_NAME_LENGTH),
            "stays the same"
        );
    }

    #[test]
    fn another_process_finds_the_socket_wherever_it_had_to_go() {
        let folder = tempfile::tempdir().unwrap();
        for preferred in [folder.path().join("near"), folder.path().join("far".repeat(40))] {
            let made = make_socket_folder(&preferred, "admin.sock").unwrap();
            assert_eq!(find_socket(&preferred, "admin.sock"), None);
            let socket = made.join("admin.sock");
            let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            assert_eq!(find_socket(&preferred, "admin.sock"), Some(socket));
            drop(listener);
            fs::remove_dir_all(made).unwrap();
        }
    }

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
    fn a_folder_of_somebody_else_is_not_taken_for_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(private_folder(&link, None).is_err());
        private_folder(&folder.path().join("fine"), None).unwrap();
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
