//! The control socket: how subcommands speak to the serve that runs on the same data dir.
//!
//! HTTP over a Unix socket that only the user of the process may open. What needs the running log goes this
//! way (status, tail, import, replay); what only needs PostgreSQL asks it directly.

pub mod client;
pub mod message;
mod replay;
pub mod server;
mod tail;

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What fits into a Unix socket's address on every system that momsflow runs on.
const LONGEST_PATH: usize = 103;

/// Where the control socket of a data dir is: in it, or in a private folder under /tmp if its path is too long.
pub fn socket_path(data_dir: &Path) -> io::Result<PathBuf> {
    let data_dir = data_dir.canonicalize()?;
    let inside = data_dir.join("control.sock");
    if inside.as_os_str().len() <= LONGEST_PATH {
        return Ok(inside);
    }
    let digest = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
    let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(PathBuf::from(format!("/tmp/momsflow-control-{name}")).join("control.sock"))
}

/// Makes the socket's folder where it is not the data dir, and refuses one that is somebody else's.
pub fn prepare_folder(socket: &Path) -> io::Result<()> {
    let Some(folder) = socket.parent() else {
        return Ok(());
    };
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let metadata = std::fs::symlink_metadata(folder)?;
    let mine = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if mine {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{} belongs to another user", folder.display()),
    ))
}
