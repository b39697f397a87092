//! Files and folders that only their owner may read, whole or not at all, and Unix sockets whose path fits.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The longest path that a Unix socket's address holds: 107 bytes on Linux, 103 elsewhere.
const SOCKET_PATH_LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// A user that shall own a folder instead of the one that runs this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// Makes a folder for a Unix socket of this process: `preferred`, or a short one where the path of a socket with
/// this name would be too long. `None`: neither can be had.
pub fn make_socket_folder(preferred: &Path, socket_name: &str) -> Option<PathBuf> {
    make_socket_folder_for(preferred, socket_name.len() + 1, None)
}

/// Finds the socket for which [`make_socket_folder`] made the folder, in another process. In /tmp anybody may have
/// put one there: its folder must be private to this user, root, or the owner of the folder around `preferred`.
pub fn find_socket(preferred: &Path, socket_name: &str) -> Option<PathBuf> {
    let mut trusted = vec![0, rustix::process::geteuid().as_raw()];
    trusted.extend(
        preferred
            .parent()
            .and_then(|around| Some(around.metadata().ok()?.uid())),
    );
    socket_folders(preferred, socket_name.len() + 1)
        .into_iter()
        .filter(|folder| is_private_to(folder, &trusted))
        .map(|folder| folder.join(socket_name))
        .find(|socket| socket.exists())
}

fn is_private_to(folder: &Path, owners: &[u32]) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|metadata| {
        metadata.is_dir() && metadata.mode() & 0o077 == 0 && owners.contains(&metadata.uid())
    })
}

/// Makes a folder that nobody but its owner and root can enter, or closes one that is there.
pub fn make_private(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if folder.metadata()?.mode() & 0o077 != 0 {
                fs::set_permissions(folder, Permissions::from_mode(0o700))?;
            }
            Ok(())
        }
        made => made,
    }
}

/// As [`make_socket_folder`], for a name of `name_length` bytes, its slash included, and for another user.
pub fn make_socket_folder_for(preferred: &Path, name_length: usize, owner: Option<Owner>) -> Option<PathBuf> {
    socket_folders(preferred, name_length)
        .into_iter()
        .find(|folder| private_folder(folder, owner).is_ok())
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

/// Makes a folder that only `owner` (or this process's user) and root can enter. One that exists must be theirs
/// already: in /tmp anybody may have put it there.
fn private_folder(folder: &Path, owner: Option<Owner>) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    let uid = owner.map_or(own, |owner| owner.uid);
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {
            if let Some(owner) = owner {
                chown(folder, Some(owner.uid), Some(owner.gid))?;
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(folder)?;
            if !metadata.is_dir() || (metadata.uid() != uid && metadata.uid() != own) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            if let Some(owner) = owner {
                chown(folder, Some(owner.uid), Some(owner.gid))?;
            }
            fs::set_permissions(folder, Permissions::from_mode(0o700))
        }
        Err(error) => Err(error),
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

/// A path in `folder` that nothing has, or something that may be replaced: `stem.extension`, `stem-2.extension` and so on.
pub fn free_name(
    folder: &Path,
    stem: &str,
    extension: &str,
    may_be_replaced: impl Fn(&Path) -> bool,
) -> PathBuf {
    let mut path = folder.join(format!("{stem}.{extension}"));
    let mut number = 1;
    while path.symlink_metadata().is_ok() && !may_be_replaced(&path) {
        number += 1;
        path = folder.join(format!("{stem}-{number}.{extension}"));
    }
    path
}

/// Makes a rename in `folder` durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_short_path_keeps_its_socket_and_a_long_one_gets_a_stand_in() {
        let short = Path::new("/srv/momsflow/postgres/socket");
        assert_eq!(socket_folders(short, 15)[0], short);

        let long = PathBuf::from(format!("/srv/{}/postgres/socket", "x".repeat(90)));
        let folders = socket_folders(&long, 15);
        assert!(!folders.contains(&long));
        assert!(folders.iter().any(|folder| folder.starts_with("/tmp")));
        assert_eq!(folders, socket_folders(&long, 15), "stays the same");
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
    fn a_folder_of_somebody_else_is_not_taken_for_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(private_folder(&link, None).is_err());
        private_folder(&folder.path().join("fine"), None).unwrap();
    }

    #[test]
    fn a_socket_of_a_stranger_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let preferred = folder.path().join("control");
        let made = make_socket_folder(&preferred, "admin.sock").unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(made.join("admin.sock")).unwrap();
        assert!(find_socket(&preferred, "admin.sock").is_some());

        fs::set_permissions(&made, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(
            find_socket(&preferred, "admin.sock"),
            None,
            "others may have come in"
        );
        fs::set_permissions(&made, Permissions::from_mode(0o700)).unwrap();

        if !rustix::process::geteuid().is_root() {
            return;
        }
        chown(&made, Some(12_345), None).unwrap();
        assert_eq!(find_socket(&preferred, "admin.sock"), None, "it is a stranger's");
        chown(folder.path(), Some(12_345), None).unwrap();
        assert!(
            find_socket(&preferred, "admin.sock").is_some(),
            "the data dir is theirs"
        );
    }

    #[test]
    fn a_private_folder_is_closed_where_it_was_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("event-log");
        let mode = || path.metadata().unwrap().mode() & 0o777;
        make_private(&path).unwrap();
        assert_eq!(mode(), 0o700);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        make_private(&path).unwrap();
        assert_eq!(mode(), 0o700);
    }
}
