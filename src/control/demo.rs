//! What `momsflow demo` gets from the running serve: an address and a key of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::server::Control;
use crate::config::Role;
use crate::http::Source;

/// The name that the demo's events are stored with, and by which they are removed.
pub const DEMO_SOURCE: &str = "demo";

/// What a config with `[[sources]]` says to allow the demo.
const SECTION: &str = "\n\n  [[sources]]\n  name = \"demo\"\n  key_env = \"DEMO_WRITE_KEY\"   # or key_file, key\n  trusted = true\n  may_backdate = true\n";

/// Where the demo sends, and with which key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DemoSource {
    pub http: SocketAddr,
    /// `None` where the configuration has a source of that name, and so its key.
    pub key: Option<String>,
}

impl Control {
    /// Lets the demo send. Whoever can ask may import whatever they like under any name, so this adds no right.
    ///
    /// # Errors
    /// A sentence for people, with what to do.
    pub(super) fn begin_demo(&self) -> Result<DemoSource, String> {
        let ingest = self.roles.contains(&Role::Ingest);
        let (Some(http), true) = (self.http, ingest) else {
            return Err(
                "this momsflow does not run the role ingest, which would take the demo's events\n\n\
                 hint: run it beside one that does (--data-dir)"
                    .to_owned(),
            );
        };
        let http = reachable(http);
        if self.sources.is_empty() {
            let source = Source {
                name: DEMO_SOURCE.to_owned(),
                trusted: true,
                origins: Vec::new(),
                may_backdate: true,
            };
            let key = self.gate.sources().lend(source).reveal().to_owned();
            return Ok(DemoSource { http, key: Some(key) });
        }
        match self.sources.iter().find(|source| source.name == DEMO_SOURCE) {
            None => Err(format!(
                "with [[sources]] configured the demo needs one of its own, so that its events can be told apart \
                 and removed\n\nhint: add it to the config, and start serve again:{SECTION}"
            )),
            Some(source) if !source.trusted || !source.may_backdate => Err(format!(
                "the source {DEMO_SOURCE} has to be trusted and to have may_backdate\n\n\
                 hint: configure it so, and start serve again:{SECTION}"
            )),
            Some(_) => Ok(DemoSource { http, key: None }),
        }
    }

    /// Takes a lent key back.
    pub(super) fn end_demo(&self) {
        self.gate.sources().take_back();
    }
}

/// Where a listener is reached from its own host.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}
