//! Who sent a request: address, user agent and privacy signal.

use std::net::IpAddr;

use actix_web::http::header::USER_AGENT;
use ipnet::IpNet;

use super::head::Head;
use crate::event;

/// What is taken of a user agent; it is repeated in each event of a batch.
const MAX_USER_AGENT: usize = 512;

/// What a request tells about its client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    pub ip: Option<IpAddr>,
    pub user_agent: Option<String>,
    pub gpc: bool,
}

impl Client {
    pub(super) fn of(head: &dyn Head, trusted_proxies: &[IpNet]) -> Self {
        let forwarded = forwarded_for(head);
        Self {
            ip: head.peer().map(|peer| address(peer, &forwarded, trusted_proxies)),
            user_agent: head
                .header(USER_AGENT.as_str())
                .filter(|agent| !agent.is_empty())
                .map(|agent| agent[..agent.floor_char_boundary(MAX_USER_AGENT)].to_owned()),
            gpc: head.header("sec-gpc") == Some("1"),
        }
    }

    /// The same, as decoding wants it.
    pub fn for_event(&self) -> event::Client<'_> {
        event::Client {
            ip: self.ip,
            user_agent: self.user_agent.as_deref(),
            gpc: self.gpc,
            hit: None,
        }
    }
}

/// The scheme by which the client came: a trusted proxy's word, else what this server speaks.
pub(super) fn scheme(head: &dyn Head, trusted_proxies: &[IpNet]) -> &'static str {
    let peer = head.peer().map(|peer| peer.to_canonical());
    let is_proxy = peer.is_some_and(|peer| trusted_proxies.iter().any(|net| net.contains(&peer)));
    // What stands left, the client may have sent itself.
    let forwarded = head.headers_of("x-forwarded-proto");
    match forwarded.last().and_then(|list| list.rsplit(',').next()) {
        Some(scheme) if is_proxy && scheme.trim().eq_ignore_ascii_case("https") => "https",
        _ => "http",
    }
}

fn forwarded_for(head: &dyn Head) -> Vec<&str> {
    head.headers_of("x-forwarded-for")
        .into_iter()
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect()
}

/// The rightmost address that no trusted proxy has: what stands left of it, the client may have made up.
fn address(peer: IpAddr, forwarded: &[&str], trusted_proxies: &[IpNet]) -> IpAddr {
    let is_proxy = |ip: IpAddr| trusted_proxies.iter().any(|net| net.contains(&ip));
    let mut client = peer.to_canonical();
    for hop in forwarded.iter().rev() {
        if !is_proxy(client) {
            break;
        }
        match event::parse_ip(hop) {
            Some(ip) => client = ip.to_canonical(),
            None => break,
        }
    }
    client
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let nets: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        for (peer, forwarded, expected) in [
            ("198.51.100.7", vec!["203.0.113.1"], "198.51.100.7"),
            ("10.0.0.1", vec!["203.0.113.1"], "203.0.113.1"),
            (
                "10.0.0.1",
                vec!["1.1.1.1", "203.0.113.1", "10.9.9.9"],
                "203.0.113.1",
            ),
            ("10.0.0.1", vec!["203.0.113.1", "garbage"], "10.0.0.1"),
            ("10.0.0.1", vec!["203.0.113.1:55"], "203.0.113.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("::ffff:10.0.0.1", vec!["2001:db8::1"], "2001:db8::1"),
        ] {
            assert_eq!(
                address(ip(peer), &forwarded, &nets),
                ip(expected),
                "{peer} {forwarded:?}"
            );
        }
    }
}
