//! postmaster.pid, where a server tells who and where it is.

use std::path::{Path, PathBuf};

/// What stands in a cluster's postmaster.pid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PidFile {
    pub pid: i32,
    pub port: u16,
    /// `None` where the server listens on TCP alone.
    pub socket_folder: Option<PathBuf>,
    /// Whether it takes connections.
    pub is_ready: bool,
}

impl PidFile {
    /// Reads it; `None` where there is none or it is still being written.
    pub fn read(cluster: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(cluster.join("postmaster.pid")).ok()?)
    }

    /// Lines: pid, data folder, start, port, socket folder, address, shared memory, state.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        let line = |number: usize| lines.get(number).copied().unwrap_or_default();
        Some(Self {
            pid: line(0).parse().ok().filter(|pid| *pid > 0)?,
            port: line(3).parse().unwrap_or(0),
            socket_folder: Some(line(4)).filter(|path| !path.is_empty()).map(PathBuf::from),
            is_ready: line(7) == "ready",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_server_is_read_and_a_half_written_file_is_not_ready() {
        let text = "4242\n/d/cluster\n1700000000\n20001\n/d/socket\n127.0.0.1\n  123456   7\nready   \n";
        let file = PidFile::parse(text).expect("it is whole");
        assert_eq!((file.pid, file.port, file.is_ready), (4242, 20001, true));
        assert_eq!(file.socket_folder, Some(PathBuf::from("/d/socket")));
        let half = PidFile::parse("4242\n/d/cluster\n1700000000\n20001\n\n").expect("the pid is there");
        assert_eq!((half.socket_folder, half.is_ready), (None, false));
        assert_eq!(PidFile::parse(""), None);
        assert_eq!(PidFile::parse("-1\n"), None);
    }
}
