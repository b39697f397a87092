//! Finds out why a broker closes a connection without a word.
//!
//! Kafka does so when it is spoken to in the wrong way: TLS or not, with a user or without. A broker that stops does
//! the same, so the other way is tried on a connection of its own before anybody is told to change the config.

use std::io;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiVersionsRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use tokio::time::timeout;

use super::access::Access;
use super::finding::{Finding, Trouble};
use super::sasl::HANDSHAKE_VERSION;
use super::tls::{self, Tls};
use super::wire::{Broken, Wire};
use super::{CLIENT_ID, CONNECT_TIMEOUT};

/// Answered before anybody has logged in.
const API_VERSIONS_VERSION: i16 = 0;

/// What it means that the first exchange on a connection failed.
pub(super) async fn explain(broken: Broken, address: &str, access: &Access) -> Trouble {
    let error = match broken {
        Broken::IsTls => return Trouble::Setup(speaks_tls()),
        Broken::Io(error) => error,
        Broken::Unreadable(reason) => {
            let reason = format!("{reason} (is this a Kafka?)");
            return Trouble::Passing(reason);
        }
    };
    if let Some(tls) = access.tls.as_ref().filter(|tls| tls.lacks_certificate())
        && has_closed(&error)
        && matches!(
            timeout(CONNECT_TIMEOUT, closes_again(address, tls)).await,
            Ok(true)
        )
    {
        return Trouble::Setup(wants_certificate());
    }
    if let Some(trouble) = tls::explain(&error) {
        return trouble;
    }
    if has_closed(&error) {
        let found = timeout(CONNECT_TIMEOUT, probe(address, access)).await;
        if let Ok(Some(finding)) = found {
            return Trouble::Setup(finding);
        }
    }
    Trouble::Passing(error.to_string())
}

/// Whether the other side ended the connection, in whatever way.
fn has_closed(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let is_alert = matches!(
        error.get_ref().and_then(|error| error.downcast_ref()),
        Some(rustls::Error::AlertReceived(_))
    );
    is_alert
        || matches!(
            error.kind(),
            Kind::UnexpectedEof | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe
        )
}

async fn probe(address: &str, access: &Access) -> Option<Finding> {
    match &access.tls {
        Some(_) if answers_without_tls(address).await => return Some(tls::speaks_no_tls()),
        None if answers_with_tls(address).await => return Some(speaks_tls()),
        _ => {}
    }
    match &access.sasl {
        None => wants_user(address, access).await,
        Some(_) => None,
    }
}

/// Brokers may ask for a certificate and do without, so that an end of one connection tells nothing yet.
async fn closes_again(address: &str, tls: &Tls) -> bool {
    let ended = match Wire::open(address, Some(tls)).await {
        Ok(mut wire) => wire.exchange(&api_versions(), API_VERSIONS_VERSION).await.err(),
        Err(error) => Some(Broken::Io(error)),
    };
    matches!(ended, Some(Broken::Io(error)) if has_closed(&error))
}

fn api_versions() -> ApiVersionsRequest {
    ApiVersionsRequest::default().with_client_software_name(StrBytes::from_static_str(CLIENT_ID))
}

async fn answers_without_tls(address: &str) -> bool {
    let Ok(mut wire) = Wire::open(address, None).await else {
        return false;
    };
    wire.exchange(&api_versions(), API_VERSIONS_VERSION).await.is_ok()
}

async fn answers_with_tls(address: &str) -> bool {
    match Wire::open(address, Some(&Tls::distrustful())).await {
        Ok(_) => true,
        // Whatever rustls has to say of it but this, it was TLS.
        Err(error) => matches!(
            error.get_ref().and_then(|error| error.downcast_ref()),
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_))
        ),
    }
}

async fn wants_user(address: &str, access: &Access) -> Option<Finding> {
    let mut wire = Wire::open(address, access.tls.as_ref()).await.ok()?;
    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str("PLAIN"));
    let answer = wire.exchange(&request, HANDSHAKE_VERSION).await.ok()?;
    if ResponseError::try_from_code(answer.error_code) == Some(ResponseError::IllegalSaslState) {
        return None;
    }
    let mechanisms: Vec<_> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
    Some(Finding::fatal(
        format!("this port wants a user, by {}", mechanisms.join(", ")),
        "set [kafka.sasl] with one of these as mechanism, or name the port of a listener without SASL",
    ))
}

fn speaks_tls() -> Finding {
    Finding::fatal(
        "this port speaks TLS, and [kafka.tls] is not set",
        "set kafka.tls.enabled = true, and kafka.tls.ca_file where the authority is your own; or name the port of a \
         listener without TLS",
    )
}

fn wants_certificate() -> Finding {
    Finding::fatal(
        "the broker wants a certificate of this client",
        "set kafka.tls.certificate_file and kafka.tls.key_file",
    )
}
