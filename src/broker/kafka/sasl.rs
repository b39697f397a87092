//! Saying to a broker who this client is.

use std::fmt;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use rsasl::config::SASLConfig;
use rsasl::mechname::Mechname;
use rsasl::prelude::{SASLClient, SASLError, Session, SessionError};

use super::finding::{Finding, Trouble};
use super::tls;
use super::wire::{Broken, Wire};
use crate::config::{self, KafkaMechanism, Secret};

/// The last version; with it, tokens are wrapped in requests of their own.
pub(super) const HANDSHAKE_VERSION: i16 = 1;
const AUTHENTICATE_VERSION: i16 = 1;

/// A user and how its password is proved.
#[derive(Clone, Debug)]
pub(super) struct Sasl {
    pub(super) mechanism: KafkaMechanism,
    pub(super) username: String,
    pub(super) password: Secret,
}

impl Sasl {
    /// Reads the password; `None` where the config names nobody.
    ///
    /// # Errors
    /// When there is no password in its place.
    pub(super) fn load(config: &config::KafkaSasl) -> Result<Option<Self>, Finding> {
        let Some(mechanism) = config.mechanism else {
            return Ok(None);
        };
        Ok(Some(Self {
            mechanism,
            username: config.username.clone().unwrap_or_default(),
            password: password(config)?,
        }))
    }

    /// Logs in on a new connection.
    ///
    /// # Errors
    /// As [`Trouble`] says; a wrong password is a fault of the set-up.
    pub(super) async fn log_in(&self, wire: &mut Wire) -> Result<(), LoginError> {
        let name = self.mechanism.as_str();
        let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(name));
        let answer = wire.exchange(&request, HANDSHAKE_VERSION).await?;
        if let Some(error) = ResponseError::try_from_code(answer.error_code) {
            return Err(not_taken(name, error, &answer.mechanisms).into());
        }
        let mut session = self.session()?;
        let mut received = None;
        loop {
            let mut token = Vec::new();
            let state = session.step(received.as_deref(), &mut token)?;
            if state.has_sent_message() {
                let request = SaslAuthenticateRequest::default().with_auth_bytes(token.into());
                let answer = wire.exchange(&request, AUTHENTICATE_VERSION).await?;
                if let Some(error) = ResponseError::try_from_code(answer.error_code) {
                    let message = answer.error_message.as_deref();
                    return Err(self.refused(error, message.unwrap_or_default()).into());
                }
                received = Some(answer.auth_bytes);
            }
            if state.is_finished() {
                return Ok(());
            }
        }
    }

    fn session(&self) -> Result<Session, LoginError> {
        let user = self.username.clone();
        let config = SASLConfig::with_credentials(None, user, self.password.reveal().to_owned())?;
        let mechanism = Mechname::parse(self.mechanism.as_str().as_bytes()).map_err(unusable)?;
        Ok(SASLClient::new(config).start_suggested(&[mechanism])?)
    }

    fn refused(&self, error: ResponseError, message: &str) -> Trouble {
        if error.is_retriable() {
            return Trouble::Passing(format!("the broker does not log in now: {error}"));
        }
        let (user, mechanism) = (&self.username, self.mechanism.as_str());
        let detail = if message.is_empty() {
            error.to_string()
        } else {
            message.to_owned()
        };
        Trouble::Setup(Finding::fatal(
            format!("the broker does not let the user {user} in: {detail}"),
            format!(
                "set kafka.sasl.username and its password to those that the broker has for {mechanism}: each SCRAM \
                 mechanism has its own"
            ),
        ))
    }
}

fn password(config: &config::KafkaSasl) -> Result<Secret, Finding> {
    let (password, field) = if let Some(password) = &config.password {
        (password.clone(), "kafka.sasl.password")
    } else if let Some(file) = &config.password_file {
        let field = "kafka.sasl.password_file";
        let text = String::from_utf8_lossy(&tls::read(file, field)?).into_owned();
        (Secret::new(text.trim_end_matches(['\r', '\n'])), field)
    } else {
        let variable = config.password_env.as_deref().unwrap_or_default();
        let text = std::env::var(variable).unwrap_or_default();
        (Secret::new(text), "kafka.sasl.password_env")
    };
    if password.reveal().is_empty() {
        return Err(Finding::fatal(
            format!("{field}: there is no password in it"),
            "put the password there",
        ));
    }
    Ok(password)
}

fn not_taken(mechanism: &str, error: ResponseError, offered: &[StrBytes]) -> Trouble {
    let offered: Vec<_> = offered.iter().map(StrBytes::as_str).collect();
    Trouble::Setup(match error {
        ResponseError::UnsupportedSaslMechanism => Finding::fatal(
            format!(
                "the broker does not take {mechanism} here, but {}",
                offered.join(", ")
            ),
            "set kafka.sasl.mechanism to one of these, or add it to the broker's sasl.enabled.mechanisms",
        ),
        ResponseError::IllegalSaslState => Finding::fatal(
            "this port takes no users, and [kafka.sasl] is set",
            "name the port of the broker's SASL_SSL or SASL_PLAINTEXT listener, or remove [kafka.sasl]",
        ),
        error => return Trouble::Passing(format!("the broker does not log in: {error}")),
    })
}

/// Why a log-in came to nothing.
#[derive(Debug)]
pub(super) enum LoginError {
    Broken(Broken),
    Trouble(Trouble),
}

impl From<Broken> for LoginError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<Trouble> for LoginError {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<SASLError> for LoginError {
    fn from(error: SASLError) -> Self {
        unusable(error)
    }
}

impl From<SessionError> for LoginError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::MutualAuthenticationFailed => Self::Trouble(Trouble::Setup(Finding::fatal(
                "the broker let this client in without knowing the password: it may not be who it seems",
                "find out who answers at this address",
            ))),
            error => unusable(error),
        }
    }
}

fn unusable(error: impl fmt::Display) -> LoginError {
    LoginError::Trouble(Trouble::Setup(Finding::fatal(
        format!("the user or its password cannot be used for SASL: {error}"),
        "take a user name and a password without control characters",
    )))
}
