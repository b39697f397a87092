//! The control socket: how subcommands speak to the serve that runs on the same data dir.
//!
//! HTTP over a Unix socket that only the user of the process may open. What needs the running log goes this
//! way (status, tail, import, replay); what only needs PostgreSQL asks it directly.

mod assign;
pub mod client;
pub mod demo;
pub mod former_log;
pub mod message;
pub mod pixel;
pub mod rates;
mod replay;
pub mod server;
mod status;
mod tail;

use std::path::{Path, PathBuf};

use crate::private::{find_socket, make_socket_folder};

const SOCKET: &str = "control.sock";

/// The socket to listen on, its folder made. `None`: no place has a path that is short enough.
pub fn new_socket(data_dir: &Path) -> Option<PathBuf> {
    Some(make_socket_folder(&data_dir.join("control"), SOCKET)?.join(SOCKET))
}

/// The socket of the serve that runs on a data dir, or ran there.
fn running_socket(data_dir: &Path) -> Option<PathBuf> {
    let data_dir = data_dir.canonicalize().ok()?;
    find_socket(&data_dir.join("control"), SOCKET)
}
