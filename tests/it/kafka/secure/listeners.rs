//! One broker for these tests, with a listener for every way in and for every way that is barred.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::certificates::Authority;
use crate::kafka::broker::{Broker, Extra, Listener, shared};
use crate::serve::free_address;

pub const USER: &str = "reader";
/// Whose password a test changes.
pub const CHANGING: &str = "changing";
pub const PASSWORD: &str = "hush hush 12=x!";
const HOST: &str = "127.0.0.1";

/// Name, protocol, and the certificate that it shows.
const LISTENERS: [(&str, &str, &str); 7] = [
    ("SSL", "SSL", "server"),
    ("MTLS", "SSL", "server"),
    ("EXPIRED", "SSL", "expired"),
    ("FOREIGN", "SSL", "foreign"),
    ("SASLSSL", "SASL_SSL", "server"),
    ("SASLPLAIN", "SASL_PLAINTEXT", "server"),
    // Where a log-in holds for two seconds only.
    ("BRIEF", "SASL_PLAINTEXT", "server"),
];

static SECURED: OnceLock<Option<Secured>> = OnceLock::new();

/// Where the broker is reached, and the files that its clients need.
pub struct Secured {
    folder: PathBuf,
    addresses: HashMap<&'static str, String>,
}

impl Secured {
    pub fn address(&self, listener: &str) -> String {
        self.addresses[listener].clone()
    }

    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

/// The broker, started by the first test that asks; `None`, with a line that says why, where there is none.
pub fn secured() -> Option<&'static Secured> {
    let found = SECURED.get_or_init(start).as_ref();
    if found.is_none() {
        shared();
    }
    found
}

fn start() -> Option<Secured> {
    let made = Mutex::new(None);
    let broker = Broker::start_with(|folder| {
        let (extra, addresses) = configure(folder);
        *made.lock().unwrap_or_else(PoisonError::into_inner) = Some((folder.to_owned(), addresses));
        extra
    })?;
    let (folder, mut addresses) = made.into_inner().unwrap().unwrap();
    addresses.insert("PLAINTEXT", broker.address());
    // Statics are not dropped: its watchdog cleans up after this process.
    std::mem::forget(broker);
    Some(Secured { folder, addresses })
}

fn configure(folder: &Path) -> (Extra, HashMap<&'static str, String>) {
    let ours = Authority::new(folder, "ca");
    ours.sign(folder, "server", HOST, 2099);
    ours.sign(folder, "client", "client.example", 2099);
    ours.sign(folder, "expired", HOST, 2021);
    ours.sign(folder, "foreign", "kafka.example", 2099);
    Authority::new(folder, "stranger").sign(folder, "stranger-client", "client.example", 2099);
    fs::rename(folder.join("stranger-client.crt"), folder.join("stranger.crt")).unwrap();
    fs::rename(folder.join("stranger-client.key"), folder.join("stranger.key")).unwrap();
    fs::write(folder.join("password"), format!("{PASSWORD}\n")).unwrap();
    fs::write(folder.join("empty"), "\n").unwrap();

    let at: Vec<(&str, SocketAddr)> = LISTENERS
        .iter()
        .map(|(name, ..)| (*name, free_address()))
        .collect();
    let listeners = LISTENERS
        .iter()
        .zip(&at)
        .map(|((name, protocol, _), (_, address))| Listener {
            name,
            protocol,
            address: *address,
            advertised: *address,
        });
    let extra = Extra {
        listeners: listeners.collect(),
        settings: settings(folder),
        format: [
            ("SCRAM-SHA-256", USER),
            ("SCRAM-SHA-512", USER),
            ("SCRAM-SHA-512", CHANGING),
        ]
        .iter()
        .flat_map(|(mechanism, user)| {
            let credentials = format!("{mechanism}=[name={user},password=\"{PASSWORD}\"]");
            ["--add-scram".to_owned(), credentials]
        })
        .collect(),
        ..Extra::default()
    };
    let addresses = at.into_iter().map(|(name, address)| (name, address.to_string()));
    (extra, addresses.collect())
}

fn settings(folder: &Path) -> String {
    let folder = folder.display();
    // Who may use a topic is said where one has rules, by the tests that make some.
    let mut text = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                    allow.everyone.if.no.acl.found=true\n"
        .to_owned();
    for (name, protocol, certificate) in LISTENERS {
        let prefix = format!("listener.name.{}", name.to_lowercase());
        if protocol.ends_with("SSL") {
            text += &format!(
                "{prefix}.ssl.keystore.type=PEM\n{prefix}.ssl.keystore.location={folder}/{certificate}.pem\n\
                 {prefix}.ssl.truststore.type=PEM\n{prefix}.ssl.truststore.location={folder}/ca.pem\n"
            );
        }
    }
    text += "listener.name.mtls.ssl.client.auth=required\n\
             listener.name.saslssl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
             listener.name.saslplain.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.brief.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.brief.connections.max.reauth.ms=2000\n\
             listener.name.brief.scram-sha-512.connections.max.reauth.ms=2000\n";
    text += &format!(
        "listener.name.saslssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
         required user_{USER}=\"{PASSWORD}\";\n"
    );
    for (listener, mechanism) in [
        ("saslssl", "scram-sha-256"),
        ("saslssl", "scram-sha-512"),
        ("saslplain", "scram-sha-512"),
        ("brief", "scram-sha-512"),
    ] {
        text += &format!(
            "listener.name.{listener}.{mechanism}.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
        );
    }
    text
}
