//! TLS to the brokers, and what its failures mean to who set it up.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::finding::{Finding, Trouble};
use crate::config;
use crate::tls::{FileFault, PemFile, authorities, authorities_of_system, certified, date, provider};

/// The key of the config that names the brokers' authorities.
const CA: &str = "kafka.tls.ca_file";

/// The brokers' authorities and this client's certificate.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    identity: Arc<Identity>,
}

/// This client's certificate, if it has one, and whether a broker has asked for it: one that wants it in vain just
/// closes the connection, at times before its alert is read.
#[derive(Debug)]
struct Identity {
    key: Option<Arc<CertifiedKey>>,
    is_asked: AtomicBool,
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.is_asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        self.key.is_some()
    }
}

/// Leaves the keys out.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files; `None` where the config wants no TLS.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub(super) fn load(config: &config::KafkaTls) -> Result<Option<Self>, Finding> {
        if !config.is_used() {
            return Ok(None);
        }
        let roots = match &config.ca_file {
            Some(path) => authorities(PemFile { field: CA, path })?,
            None => authorities_of_system(CA)?,
        };
        let key = match (&config.certificate_file, &config.key_file) {
            (Some(certificate), Some(key)) => {
                let certificate = PemFile {
                    field: "kafka.tls.certificate_file",
                    path: certificate,
                };
                let key = PemFile {
                    field: "kafka.tls.key_file",
                    path: key,
                };
                Some(Arc::new(certified(certificate, key)?))
            }
            _ => None,
        };
        Ok(Some(Self::new(roots, key)))
    }

    /// Trusts nobody; to see whether somebody speaks TLS.
    pub(super) fn distrustful() -> Self {
        Self::new(RootCertStore::empty(), None)
    }

    fn new(roots: RootCertStore, key: Option<Arc<CertifiedKey>>) -> Self {
        let identity = Arc::new(Identity {
            key,
            is_asked: AtomicBool::new(false),
        });
        #[allow(clippy::expect_used)] // one provider with its own versions
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has ciphers for TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_client_cert_resolver(identity.clone());
        Self {
            config: Arc::new(config),
            identity,
        }
    }

    /// Makes a stream to `host:port` a TLS one. A failure whose cause rustls knows is found in it by [`explain`].
    pub(super) async fn connect(
        &self,
        address: &str,
        stream: TcpStream,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        TlsConnector::from(self.config.clone())
            .connect(name, stream)
            .await
    }

    /// A broker wanted a certificate, and there is none.
    pub(super) fn lacks_certificate(&self) -> bool {
        self.identity.key.is_none() && self.identity.is_asked.load(Ordering::Relaxed)
    }
}

impl From<FileFault> for Finding {
    fn from(found: FileFault) -> Self {
        Self::fatal(found.fault, found.remedy)
    }
}

pub(super) fn read(path: &Path, field: &str) -> Result<Vec<u8>, Finding> {
    Ok(PemFile { field, path }.read()?)
}

/// What a failure of TLS means; `None` where it was the connection that failed.
pub(super) fn explain(error: &std::io::Error) -> Option<Trouble> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(reason) => Trouble::Setup(of_certificate(reason)),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::InvalidMessage(_) => Trouble::Setup(speaks_no_tls()),
        Error::PeerIncompatible(_) => Trouble::Setup(Finding::fatal(
            error.to_string(),
            "allow TLS 1.2 or 1.3 with a usual cipher on the broker (ssl.enabled.protocols, ssl.cipher.suites)",
        )),
        _ => Trouble::Passing(error.to_string()),
    })
}

fn of_certificate(reason: &CertificateError) -> Finding {
    use CertificateError as Reason;
    match reason {
        Reason::UnknownIssuer => Finding::fatal(
            "the broker's certificate is signed by an authority that is not trusted here",
            "name that authority's certificate in kafka.tls.ca_file",
        ),
        Reason::Expired | Reason::ExpiredContext { .. } => Finding::fatal(
            match reason {
                Reason::ExpiredContext { not_after, .. } => {
                    format!("the broker's certificate was valid until {}", date(*not_after))
                }
                _ => "the broker's certificate is no longer valid".to_owned(),
            },
            "renew it on the broker; if it is valid, this machine's clock is wrong",
        ),
        Reason::NotValidYet | Reason::NotValidYetContext { .. } => Finding::fatal(
            match reason {
                Reason::NotValidYetContext { not_before, .. } => {
                    format!("the broker's certificate is valid from {} on", date(*not_before))
                }
                _ => "the broker's certificate is not valid yet".to_owned(),
            },
            "set this machine's clock, or wait",
        ),
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } => Finding::fatal(
            format!("the broker's certificate is for another host: {reason}"),
            "use a name of the certificate in kafka.brokers and in the broker's advertised.listeners, or have the \
             name put into the certificate",
        ),
        _ => Finding::fatal(
            format!("the broker's certificate is refused: {reason}"),
            "have a certificate made for this broker by an authority, and name that one in kafka.tls.ca_file",
        ),
    }
}

fn of_alert(alert: AlertDescription) -> Trouble {
    use AlertDescription as Alert;
    Trouble::Setup(match alert {
        Alert::CertificateRequired
        | Alert::BadCertificate
        | Alert::CertificateUnknown
        | Alert::CertificateExpired
        | Alert::CertificateRevoked
        | Alert::UnsupportedCertificate
        | Alert::AccessDenied
        | Alert::UnknownCA => Finding::fatal(
            format!("the broker does not take this client's certificate: {alert:?}"),
            "name one in kafka.tls.certificate_file that an authority of the broker's truststore has signed and \
             that is still valid",
        ),
        Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity => Finding::fatal(
            format!("the broker refuses this client's TLS: {alert:?}"),
            "allow TLS 1.2 or 1.3 with a usual cipher on the broker (ssl.enabled.protocols, ssl.cipher.suites)",
        ),
        _ => return Trouble::Passing(format!("the broker ends TLS: {alert:?}")),
    })
}

pub(super) fn speaks_no_tls() -> Finding {
    Finding::fatal(
        "this port speaks no TLS, and [kafka.tls] is set",
        "name the port of the broker's SSL or SASL_SSL listener, or remove [kafka.tls]",
    )
}
