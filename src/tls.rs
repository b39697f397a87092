//! Certificates and keys from PEM files, for connections that this process opens.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{Error, RootCertStore};

/// A file and the key of the config that names it.
#[derive(Clone, Copy, Debug)]
pub struct PemFile<'a> {
    pub field: &'a str,
    pub path: &'a Path,
}

/// What is wrong with a file, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}\n\nhint: {remedy}")]
pub struct FileFault {
    pub fault: String,
    pub remedy: String,
}

impl PemFile<'_> {
    fn fault(&self, reason: impl std::fmt::Display, remedy: impl Into<String>) -> FileFault {
        FileFault {
            fault: format!("{}: {}: {reason}", self.field, self.path.display()),
            remedy: remedy.into(),
        }
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<Vec<u8>, FileFault> {
        std::fs::read(self.path).map_err(|error| FileFault {
            fault: format!("{}: {} cannot be read: {error}", self.field, self.path.display()),
            remedy: "put the file there, and let the user that momsflow runs as read it".to_owned(),
        })
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, FileFault> {
        let text = self.read()?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let reason = match found {
            Ok(found) if !found.is_empty() => return Ok(found),
            Ok(_) => "there is no certificate in it".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(self.fault(reason, "name a PEM file with `-----BEGIN CERTIFICATE-----` in it"))
    }
}

/// The one implementation of ciphers that this process uses.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The authorities of a file.
///
/// # Errors
/// When it holds none.
pub fn authorities(file: PemFile<'_>) -> Result<RootCertStore, FileFault> {
    let mut roots = RootCertStore::empty();
    for certificate in file.certificates()? {
        roots
            .add(certificate)
            .map_err(|error| file.fault(error, "name the PEM file of the authority's certificate"))?;
    }
    Ok(roots)
}

/// The authorities that this system trusts; `field` names others.
///
/// # Errors
/// When there are none.
pub fn authorities_of_system(field: &str) -> Result<RootCertStore, FileFault> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems carry some that no library takes.
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken > 0 {
        return Ok(roots);
    }
    let reason = found.errors.first();
    let reason = reason.map_or(String::new(), |error| format!(": {error}"));
    Err(FileFault {
        fault: format!("this system trusts no certificate authority{reason}"),
        remedy: format!("install ca-certificates, or name the server's authority in {field}"),
    })
}

/// A certificate of this client and its key.
///
/// # Errors
/// When a file holds none, or the key is another's.
pub fn certified(certificate: PemFile<'_>, key: PemFile<'_>) -> Result<CertifiedKey, FileFault> {
    let chain = certificate.certificates()?;
    let text = key.read()?;
    let wrong = |reason: String| {
        key.fault(
            reason,
            format!(
                "name the PEM file of the key that belongs to {}, not encrypted",
                certificate.field
            ),
        )
    };
    let der = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => wrong("there is no key in it".to_owned()),
        error => wrong(error.to_string()),
    })?;
    CertifiedKey::from_der(chain, der, &provider()).map_err(|error| match error {
        Error::InconsistentKeys(_) => wrong("it is the key of another certificate".to_owned()),
        error => wrong(error.to_string()),
    })
}

/// A certificate's time, for people.
pub fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}
