//! Where a test's process runs: on this machine, or in a network namespace of its own.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use crate::serve::free_address;

#[derive(Clone, Debug)]
pub struct Place {
    netns: Option<String>,
    /// Its address for this process.
    ip: IpAddr,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            netns: None,
            ip: Ipv4Addr::LOCALHOST.into(),
        }
    }
}

impl Place {
    pub fn namespace(name: &str, ip: Ipv4Addr) -> Self {
        Self {
            netns: Some(name.to_owned()),
            ip: ip.into(),
        }
    }

    /// A command that runs there, as the process that it is spawned as: no other stands in between.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(name) = &self.netns else {
            return Command::new(program);
        };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", name]).arg(program);
        command
    }

    /// An address there that this process reaches.
    pub fn free_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, free_address().port())
    }
}
