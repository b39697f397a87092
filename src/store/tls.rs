//! TLS to PostgreSQL as libpq's `sslmode` has it, and what its failures mean to who set it up.

use std::error::Error as _;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use crate::config::{PostgresTls, PostgresTlsMode};
use crate::tls::{FileFault, PemFile, authorities, authorities_of_system, certified, date, provider};

const CA: &str = "postgres.tls.ca_file (sslrootcert)";
const CERTIFICATE: &str = "postgres.tls.certificate_file (sslcert)";
const KEY: &str = "postgres.tls.key_file (sslkey)";

/// Reads the files that `tls` names.
pub(super) fn load(tls: &PostgresTls) -> Result<ClientConfig, FileFault> {
    let mode = tls.mode();
    let trust = match mode {
        PostgresTlsMode::VerifyCa | PostgresTlsMode::VerifyFull => {
            let roots = match &tls.ca_file {
                Some(path) => authorities(PemFile { field: CA, path })?,
                None => authorities_of_system(CA)?,
            };
            Trust::Authorities {
                verifier: verifier(roots)?,
                whatever_host: mode == PostgresTlsMode::VerifyCa,
            }
        }
        PostgresTlsMode::Disable | PostgresTlsMode::Prefer | PostgresTlsMode::Require => Trust::Anybody,
    };
    let mut config = client(trust);
    if let (Some(certificate), Some(key)) = (&tls.certificate_file, &tls.key_file) {
        let certificate = PemFile {
            field: CERTIFICATE,
            path: certificate,
        };
        let key = PemFile {
            field: KEY,
            path: key,
        };
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified(certificate, key)?));
    }
    Ok(config)
}

/// For a server that is not spoken to over TLS.
pub(super) fn distrustful() -> ClientConfig {
    #[allow(clippy::expect_used)] // one provider with its own versions
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has ciphers for TLS 1.2 and 1.3")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

fn client(trust: Trust) -> ClientConfig {
    let mut config = distrustful();
    let algorithms = provider().signature_verification_algorithms;
    config
        .dangerous()
        .set_certificate_verifier(Arc::new(Verifier { trust, algorithms }));
    config
}

fn verifier(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, FileFault> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| FileFault {
            fault: format!("{CA}: {error}"),
            remedy: "name the PEM file of the authority's certificate".to_owned(),
        })
}

#[derive(Debug)]
enum Trust {
    /// `prefer` and `require` keep only those out who listen.
    Anybody,
    Authorities {
        verifier: Arc<WebPkiServerVerifier>,
        whatever_host: bool,
    },
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trust::Authorities {
            verifier,
            whatever_host,
        } = &self.trust
        else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name is looked at last: where it is the fault, the chain of signatures is good.
        match verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if *whatever_host => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What a failure of TLS means, with the remedy; `None` where it was something else that failed.
pub(super) fn explain(error: &tokio_postgres::Error) -> Option<String> {
    let cause = error.source()?;
    let Some(error) = cause.downcast_ref::<std::io::Error>() else {
        // tokio-postgres has no kind of its own for it.
        return (cause.to_string() == "server does not support TLS").then(|| {
            "the server speaks no TLS; switch it on there (ssl = on), or allow sslmode=prefer or disable \
             (postgres.tls.mode)"
                .to_owned()
        });
    };
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(reason) => of_certificate(reason),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::InvalidMessage(_) | Error::PeerIncompatible(_) => format!(
            "no TLS with this server: {error}; allow TLS 1.2 or 1.3 with a usual cipher there \
             (ssl_min_protocol_version, ssl_ciphers)"
        ),
        _ => format!("TLS fails: {error}"),
    })
}

fn of_certificate(reason: &CertificateError) -> String {
    use CertificateError as Reason;
    match reason {
        Reason::UnknownIssuer => format!(
            "the server's certificate is signed by an authority that is not trusted here; name that authority's \
             certificate in {CA}"
        ),
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } => format!(
            "the server's certificate is for another host: {reason}; use a name of the certificate in the URL, \
             have the name put into it (subjectAltName), or use sslmode=verify-ca"
        ),
        Reason::ExpiredContext { not_after, .. } => format!(
            "the server's certificate was valid until {}; renew it there, or set this machine's clock",
            date(*not_after)
        ),
        Reason::NotValidYetContext { not_before, .. } => format!(
            "the server's certificate is valid from {} on; set this machine's clock, or wait",
            date(*not_before)
        ),
        Reason::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => format!(
            "the server's certificate is that of an authority (CA:TRUE); sign one with it for the server, or make \
             it anew with CA:FALSE and name it in {CA}"
        ),
        _ => format!(
            "the server's certificate is refused: {reason}; have one made for this server by an authority, and name \
             that one in {CA}"
        ),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity => format!(
            "the server refuses this client's TLS: {alert:?}; allow TLS 1.2 or 1.3 with a usual cipher there \
             (ssl_min_protocol_version, ssl_ciphers)"
        ),
        _ => format!(
            "the server does not take this client's certificate: {alert:?}; name one in {CERTIFICATE} that an \
             authority of its ssl_ca_file has signed and that is still valid"
        ),
    }
}
