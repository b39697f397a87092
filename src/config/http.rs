use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// The public listener.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Http {
    /// Address and port; port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Worker threads; 0 is one a core.
    pub workers: usize,
    /// The largest request body, as sent.
    #[schemars(with = "String")]
    pub max_body: ByteSize,
    /// The largest request body after decompression.
    #[schemars(with = "String")]
    pub max_decompressed_body: ByteSize,
    /// Memory for connections and the requests that are being worked on; above it new requests get 503 with a
    /// Retry-After. A connection counts 16 KiB; together they leave requests a quarter at least.
    #[schemars(with = "String")]
    pub in_flight: ByteSize,
    /// How long a client may take to send its headers and its body.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub client_timeout: Duration,
    /// The most connections held open at a time.
    pub max_connections: usize,
    /// Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, as addresses or networks.
    #[serde(deserialize_with = "networks")]
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            workers: 0,
            max_body: ByteSize::mib(4),
            max_decompressed_body: ByteSize::mib(16),
            in_flight: ByteSize::mib(64),
            client_timeout: Duration::from_secs(10),
            max_connections: 25_000,
            trusted_proxies: Vec::new(),
        }
    }
}

/// The private listener: metrics and the health of the process. Never put it on a public address.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Admin {
    /// Address and port; port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
        }
    }
}

/// Reads networks; an address is the network of it alone.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: &String| match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => text
            .parse()
            .map_err(|_| D::Error::custom("expected an address or a network, as in 10.0.0.0/8")),
    };
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(network)
        .collect()
}
