use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Fault;
use crate::config::kafka::missing;

/// TLS to servers of your own, where a URL does not say otherwise.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PostgresTls {
    /// As libpq's `sslmode`: `disable`, `prefer` (TLS if the server has it, which somebody on the way can
    /// prevent), `require` (TLS with whomever answers), `verify-ca` (whose certificate a known authority signed) or
    /// `verify-full` (and for the host that the URL names). Left out, `verify-full` where one of the files below is
    /// named, else `prefer`.
    pub mode: Option<PostgresTlsMode>,
    /// PEM file of the authorities that sign the servers' certificates (`sslrootcert`). Left out, those that the
    /// system trusts. With it, `require` is `verify-ca`.
    pub ca_file: Option<PathBuf>,
    /// PEM file of this client's certificate and those between it and its authority, for servers that ask for one
    /// (`sslcert`); goes with `key_file`.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of the certificate's key, not encrypted (`sslkey`). The files are read at the start.
    pub key_file: Option<PathBuf>,
}

/// How far a server is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PostgresTlsMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl PostgresTlsMode {
    const ALL: [Self; 5] = [
        Self::Disable,
        Self::Prefer,
        Self::Require,
        Self::VerifyCa,
        Self::VerifyFull,
    ];

    /// The name that libpq knows it by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}

impl PostgresTls {
    /// How servers are spoken to: as it says, or as its files suggest.
    pub fn mode(&self) -> PostgresTlsMode {
        let has_file = self.files().any(|(_, file)| file.is_some());
        match self.mode {
            Some(PostgresTlsMode::Require) if self.ca_file.is_some() => PostgresTlsMode::VerifyCa,
            Some(mode) => mode,
            None if has_file => PostgresTlsMode::VerifyFull,
            None => PostgresTlsMode::Prefer,
        }
    }

    fn files(&self) -> impl Iterator<Item = (&'static str, &Option<PathBuf>)> {
        [
            ("postgres.tls.ca_file", &self.ca_file),
            ("postgres.tls.certificate_file", &self.certificate_file),
            ("postgres.tls.key_file", &self.key_file),
        ]
        .into_iter()
    }

    /// The file without which another one is of no use.
    pub(super) fn lone(&self) -> Option<&'static str> {
        match (&self.certificate_file, &self.key_file) {
            (Some(_), None) => Some("key_file"),
            (None, Some(_)) => Some("certificate_file"),
            _ => None,
        }
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if let Some(lone) = self.lone() {
            faults.push(Fault::new(
                format!("postgres.tls.{lone}"),
                "is missing: a client's certificate needs both certificate_file and key_file",
                "give both, or neither where the servers ask for no certificate",
            ));
        }
        let named = self
            .files()
            .filter_map(|(field, file)| Some((field, file.as_ref()?)));
        faults.extend(named.filter_map(|(field, file)| missing(field, file)));
    }
}
