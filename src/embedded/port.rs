//! The loopback port that dashboards connect to.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use tracing::warn;

use super::error::{During, EmbeddedError};
use crate::private::write_whole;

/// Below the range from which systems take the ports of outgoing connections, so that a kept one stays free.
const RANGE: std::ops::Range<u16> = 20_000..30_000;

/// Chooses the port: the configured one, else the one kept from an earlier start, else a free one. What was chosen
/// is kept, so that dashboards find the server again.
pub fn choose(configured: u16, kept_in: &Path) -> Result<u16, EmbeddedError> {
    let kept = read(kept_in);
    let port = match (configured, kept) {
        (0, Some(kept)) if is_free(kept) => kept,
        (0, Some(kept)) => {
            let port = free()?;
            warn!(
                kept,
                port, "the kept port is taken by another process; dashboards must be told the new one"
            );
            port
        }
        (0, None) => free()?,
        (configured, _) if is_free(configured) => configured,
        (configured, _) => return Err(EmbeddedError::PortTaken { port: configured }),
    };
    if kept != Some(port) {
        write_whole(kept_in, &port.to_string()).during(|| format!("writing {}", kept_in.display()))?;
    }
    Ok(port)
}

/// Whether a server could listen on this loopback port now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn read(path: &Path) -> Option<u16> {
    let port = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (port != 0).then_some(port)
}

fn free() -> Result<u16, EmbeddedError> {
    let drawn = (0..100)
        .map(|_| rand::random_range(RANGE))
        .find(|port| is_free(*port));
    match drawn {
        Some(port) => Ok(port),
        None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map(|address| address.port())
            .during(|| "looking for a free port".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_port_is_kept_until_somebody_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        let kept_in = folder.path().join("port");
        let first = choose(0, &kept_in).unwrap();
        assert_eq!(choose(0, &kept_in).unwrap(), first);

        let thief = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        let second = choose(0, &kept_in).unwrap();
        assert_ne!(second, first);
        assert!(matches!(choose(first, &kept_in), Err(EmbeddedError::PortTaken { port }) if port == first));
        drop(thief);
        assert_eq!(choose(0, &kept_in).unwrap(), second, "the new one is kept");
        assert_eq!(
            choose(first, &kept_in).unwrap(),
            first,
            "the config has the last word"
        );
    }
}
