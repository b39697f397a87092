//! Configuration: TOML file, then environment, then flags; loaded first and validated apart.
//!
//! Every field has a default, so that no configuration at all works. The doc comments of the fields are the
//! user's documentation: [`reference()`] prints them.

mod capture;
mod event_log;
mod expected;
mod given;
mod http;
mod ingest;
mod kafka;
mod line;
mod load;
mod log;
mod pixel;
mod postgres;
mod reference;
mod secret;
mod source;
mod spool;
mod userprint_key;
mod validate;
mod views;

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use capture::Capture;
pub use event_log::EventLog;
pub use http::{Admin, Http};
pub use ingest::{Ingest, IpPolicy};
pub use kafka::{Kafka, KafkaCompression, KafkaMechanism, KafkaSasl, KafkaTls};
pub use load::{ConfigError, Overrides, load};
pub use log::{Log, LogFormat};
pub use pixel::{Consent, Content, CookieSecure, Pixel, PixelCookie, SameSite};
pub use postgres::{Postgres, PostgresServer, PostgresServers, PostgresTls, PostgresTlsMode};
pub use reference::reference;
pub use secret::{KeyFault, Secret};
pub use source::Source;
pub use spool::Spool;
pub use userprint_key::UserprintKey;
pub use validate::{Fault, is_name};
pub use views::{Schedule, Views};

/// A part of momsflow that a host can run.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Takes events over HTTP and puts them into the event log.
    Ingest,
    /// Moves events from the log into PostgreSQL.
    Capture,
    /// Knows visitors again by a signed cookie, and takes their page views: `/p.gif`, `/p.js`.
    Pixel,
    /// Makes events into what is known of people, in a database of its own.
    UserViews,
}

impl Role {
    /// Every role, in the order of the flow.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Capture, Self::Pixel, Self::UserViews];

    /// The name in the config and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Capture => "capture",
            Self::Pixel => "pixel",
            Self::UserViews => "user-views",
        }
    }

    /// Whether it takes events over HTTP.
    pub fn takes_events(self) -> bool {
        matches!(self, Self::Ingest | Self::Pixel)
    }
}

/// The whole configuration.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The roles that this host runs.
    pub roles: Vec<Role>,
    /// Where keys, the embedded event log and the embedded PostgreSQL live.
    pub data_dir: PathBuf,
    /// How long a shutdown may take to finish what was accepted, before it gives up and says who was late.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub shutdown_deadline: Duration,
    /// The zone, by its IANA name such as `Europe/Berlin`, that decides which day and hour it is for people and schedules.
    pub timezone: String,
    /// The write key, where no `[[sources]]` are configured. Left out, one is made at the first start and kept
    /// in `<data_dir>/write-key`.
    pub write_key: Option<Secret>,
    pub http: Http,
    pub admin: Admin,
    pub ingest: Ingest,
    pub pixel: Pixel,
    pub content: Content,
    pub event_log: EventLog,
    pub kafka: Kafka,
    pub spool: Spool,
    pub capture: Capture,
    pub views: Views,
    pub postgres: Postgres,
    pub log: Log,
    /// Write keys: who may send events. With none configured there is one trusted key.
    pub sources: Vec<Source>,
    /// Keys that sign the pixel's cookies. With none configured, momsflow makes one and keeps it.
    pub userprint_keys: Vec<UserprintKey>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            roles: Role::ALL.to_vec(),
            data_dir: PathBuf::from("momsflow-data"),
            shutdown_deadline: Duration::from_secs(30),
            timezone: "UTC".to_owned(),
            write_key: None,
            http: Http::default(),
            admin: Admin::default(),
            ingest: Ingest::default(),
            pixel: Pixel::default(),
            content: Content::default(),
            event_log: EventLog::default(),
            kafka: Kafka::default(),
            spool: Spool::default(),
            capture: Capture::default(),
            views: Views::default(),
            postgres: Postgres::default(),
            log: Log::default(),
            sources: Vec::new(),
            userprint_keys: Vec::new(),
        }
    }
}

impl Config {
    /// Whether a role of this host reads or writes a database.
    pub fn needs_postgres(&self) -> bool {
        let needs = |role: &Role| matches!(role, Role::Capture | Role::UserViews);
        self.roles.iter().any(needs)
    }

    /// Whether this host takes events over HTTP.
    pub fn takes_events(&self) -> bool {
        self.roles.iter().any(|role| role.takes_events())
    }
}
