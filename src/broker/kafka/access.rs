use rskafka::client::{Credentials, SaslConfig};

use super::finding::Finding;
use super::sasl::Sasl;
use super::tls::Tls;
use crate::config::{self, KafkaMechanism};

/// How the brokers are reached: where they are, over TLS or not, and as whom.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) brokers: Vec<String>,
    pub(super) tls: Option<Tls>,
    pub(super) sasl: Option<Sasl>,
}

impl Access {
    /// Reads the certificates and the password that the config names.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub(super) fn load(config: &config::Kafka) -> Result<Self, Finding> {
        Ok(Self {
            brokers: config.brokers.clone(),
            tls: Tls::load(&config.tls)?,
            sasl: Sasl::load(&config.sasl)?,
        })
    }

    /// The user as the client library takes it.
    pub(super) fn library_sasl(&self) -> Option<SaslConfig> {
        let sasl = self.sasl.as_ref()?;
        let credentials = Credentials::new(sasl.username.clone(), sasl.password.reveal().to_owned());
        Some(match sasl.mechanism {
            KafkaMechanism::Plain => SaslConfig::Plain(credentials),
            KafkaMechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
            KafkaMechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
        })
    }
}
