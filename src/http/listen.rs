//! Addresses taken before anything else is made, so that a taken port is told at once.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;

/// An address that is taken and does not listen yet: clients are refused until the process is there for them.
#[derive(Debug)]
pub struct Bound {
    socket: TcpSocket,
    addr: SocketAddr,
}

impl Bound {
    /// Takes an address; port 0 takes a free one.
    ///
    /// # Errors
    /// Where somebody else listens there, or it is no address of this host.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = match addr {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Connections of a process before may still be closing.
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        let addr = socket.local_addr()?;
        Ok(Self { socket, addr })
    }

    /// The address with its port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Listens. Needs a Tokio runtime.
    pub(super) fn listen(self) -> io::Result<TcpListener> {
        self.socket.listen(BACKLOG)?.into_std()
    }
}

/// Who listens on a port, as in `process 4711 (nginx)`, as far as this user may see it.
pub fn holder(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|table| listening_inode(&fs::read_to_string(table).ok()?, port))?;
    let link = format!("socket:[{inode}]");
    let holds = |pid: u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
        files
            .flatten()
            .any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == link.as_str()))
    };
    let pid = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .find(|pid| holds(*pid))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} ({})", name.trim()))
}

/// The inode of the socket that listens on a port, in the format of /proc/net/tcp.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let (_, local_port) = columns.next()?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(local_port, 16).ok()? == port && columns.nth(1)? == LISTEN;
        is_it.then(|| columns.nth(5)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_told_with_its_holder() {
        let listener = Bound::bind("127.0.0.1:0".parse().unwrap())
            .unwrap()
            .listen()
            .unwrap();
        let addr = listener.local_addr().unwrap();
        let error = Bound::bind(addr).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let me = format!("process {} (", std::process::id());
        assert!(holder(addr.port()).unwrap().starts_with(&me));
    }

    #[tokio::test]
    async fn what_is_bound_refuses_clients_until_it_listens() {
        let bound = Bound::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = bound.addr();
        assert!(std::net::TcpStream::connect(addr).is_err());
        assert_eq!(holder(addr.port()), None);
        let _listener = bound.listen().unwrap();
        assert!(std::net::TcpStream::connect(addr).is_ok());
    }
}
