use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::missing;
use crate::config::Fault;

/// TLS to Kafka. The host names in `brokers`, and those that the brokers advertise, must be in their certificates.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KafkaTls {
    /// Whether to speak TLS; naming one of the files below says so too.
    pub enabled: bool,
    /// PEM file of the authorities that sign the brokers' certificates. Left out, those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// PEM file of this client's certificate and those between it and its authority, for brokers that ask for one;
    /// goes with `key_file`.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of the certificate's key, not encrypted. The files are read at the start.
    pub key_file: Option<PathBuf>,
}

impl KafkaTls {
    /// Whether the brokers are spoken to over TLS.
    pub fn is_used(&self) -> bool {
        self.enabled || self.files().any(|(_, file)| file.is_some())
    }

    fn files(&self) -> impl Iterator<Item = (&'static str, &Option<PathBuf>)> {
        [
            ("kafka.tls.ca_file", &self.ca_file),
            ("kafka.tls.certificate_file", &self.certificate_file),
            ("kafka.tls.key_file", &self.key_file),
        ]
        .into_iter()
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        let lone = match (&self.certificate_file, &self.key_file) {
            (Some(_), None) => Some("key_file"),
            (None, Some(_)) => Some("certificate_file"),
            _ => None,
        };
        if let Some(lone) = lone {
            faults.push(Fault::new(
                format!("kafka.tls.{lone}"),
                "is missing: a client's certificate needs both certificate_file and key_file",
                "give both, or neither where the brokers ask for no certificate",
            ));
        }
        let named = self
            .files()
            .filter_map(|(field, file)| Some((field, file.as_ref()?)));
        faults.extend(named.filter_map(|(field, file)| missing(field, file)));
    }
}
