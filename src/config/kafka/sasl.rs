use std::collections::HashMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::missing;
use crate::config::{Fault, Secret};

/// Who this client says that it is to Kafka. Without TLS, `plain` shows the password to everyone on the way.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KafkaSasl {
    /// `plain`, `scram-sha-256` or `scram-sha-512`; left out, the client names nobody.
    pub mechanism: Option<KafkaMechanism>,
    /// The user.
    pub username: Option<String>,
    /// The password itself; or `password_file`, or `password_env`.
    pub password: Option<Secret>,
    /// A file that holds the password, without the line's end.
    pub password_file: Option<PathBuf>,
    /// An environment variable that holds the password.
    pub password_env: Option<String>,
}

/// How the password is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KafkaMechanism {
    Plain,
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

impl KafkaMechanism {
    /// The name that Kafka knows it by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl KafkaSasl {
    pub(super) fn validate(&self, env: &HashMap<String, String>, faults: &mut Vec<Fault>) {
        let given = [
            self.password.is_some(),
            self.password_file.is_some(),
            self.password_env.is_some(),
        ];
        let passwords = given.iter().filter(|is_given| **is_given).count();
        if self.mechanism.is_none() {
            if self.username.is_some() || passwords > 0 {
                faults.push(Fault::new(
                    "kafka.sasl.mechanism",
                    "is missing, so that the user and the password would not be used",
                    "mechanism = \"scram-sha-512\"",
                ));
            }
            return;
        }
        if self.username.as_deref().is_none_or(str::is_empty) {
            faults.push(Fault::new(
                "kafka.sasl.username",
                "is missing",
                "username = \"momsflow\"",
            ));
        }
        if passwords != 1 {
            faults.push(Fault::new(
                "kafka.sasl.password",
                "needs exactly one of password, password_file and password_env",
                "password_file = \"/etc/momsflow/kafka-password\"",
            ));
        }
        if self
            .password
            .as_ref()
            .is_some_and(|password| password.reveal().is_empty())
        {
            faults.push(Fault::new(
                "kafka.sasl.password",
                "must not be empty",
                "password_file = \"/etc/momsflow/kafka-password\"",
            ));
        }
        if let Some(variable) = &self.password_env
            && env.get(variable).is_none_or(String::is_empty)
        {
            faults.push(Fault::new(
                "kafka.sasl.password_env",
                format!("the variable {variable} is not set"),
                "set it, or use password_file",
            ));
        }
        let file = self.password_file.as_ref();
        faults.extend(file.and_then(|file| missing("kafka.sasl.password_file", file)));
    }
}
