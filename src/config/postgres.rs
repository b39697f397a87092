mod tls;
mod url;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::Place;
use super::{ConfigError, Fault, KeyFault, Secret};

pub use tls::{PostgresTls, PostgresTlsMode};
pub use url::PostgresServer;

/// PostgreSQL: a private cluster in the data dir by default, or servers that you run.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Postgres {
    /// URL of the event store, `postgres://user:password@host:5432/momsflow_events`. Left out, momsflow runs a
    /// PostgreSQL of its own. With `sslmode`, `sslrootcert`, `sslcert` and `sslkey` behind a `?` the URL says over
    /// itself what `[postgres.tls]` says for both.
    pub events_url: Option<Secret>,
    /// A file that holds the URL of the event store.
    pub events_url_file: Option<PathBuf>,
    /// An environment variable that holds it.
    pub events_url_env: Option<String>,
    /// URL of the user view database, likewise; goes with that of the event store.
    pub views_url: Option<Secret>,
    /// A file that holds the URL of the user view database.
    pub views_url_file: Option<PathBuf>,
    /// An environment variable that holds it.
    pub views_url_env: Option<String>,
    /// Folder of the PostgreSQL programs (14 or later) for the embedded cluster; found by itself when left out.
    pub bin_dir: Option<PathBuf>,
    /// Loopback port of the embedded cluster, for Grafana and Metabase; 0 picks a free one at the first start
    /// and keeps it.
    pub port: u16,
    pub tls: PostgresTls,
}

/// Both databases on servers of the user's own.
#[derive(Clone, Debug)]
pub struct PostgresServers {
    pub events: PostgresServer,
    pub views: PostgresServer,
}

impl Postgres {
    /// Whether the databases are on servers of the user's own, and not in the embedded cluster.
    pub fn is_external(&self) -> bool {
        [self.events(), self.views()].iter().any(is_given)
    }

    /// The servers of the user's own; `None` for the embedded cluster.
    ///
    /// # Errors
    /// When a URL is out of reach for this user.
    pub fn servers(&self, env: &HashMap<String, String>) -> Result<Option<PostgresServers>, ConfigError> {
        if !self.is_external() {
            return Ok(None);
        }
        let mut faults = Vec::new();
        let mut read = |place: &Place<'_>| match self.server(place, env) {
            Ok(server) => server,
            Err(Unusable { fault, .. }) => {
                faults.push(fault);
                None
            }
        };
        match (read(&self.events()), read(&self.views())) {
            (Some(events), Some(views)) => Ok(Some(PostgresServers { events, views })),
            _ => Err(ConfigError::Faults(faults)),
        }
    }

    fn events(&self) -> Place<'_> {
        Place {
            name: "events_url",
            value: self.events_url.as_ref(),
            file: self.events_url_file.as_deref(),
            variable: self.events_url_env.as_deref(),
        }
    }

    fn views(&self) -> Place<'_> {
        Place {
            name: "views_url",
            value: self.views_url.as_ref(),
            file: self.views_url_file.as_deref(),
            variable: self.views_url_env.as_deref(),
        }
    }

    fn server(
        &self,
        place: &Place<'_>,
        env: &HashMap<String, String>,
    ) -> Result<Option<PostgresServer>, Unusable> {
        let field = |suffix: &str| format!("postgres.{}{suffix}", place.name);
        let url = place.read(env).map_err(|fault| Unusable {
            is_hidden: fault.is_of_file() && place.file.is_some_and(is_there),
            fault: Fault::new(
                field(suffix_of(&fault)),
                fault.to_string(),
                fault.hint(place.name),
            ),
        })?;
        let suffix = match (place.file, place.variable) {
            (Some(_), _) => "_file",
            (None, Some(_)) => "_env",
            (None, None) => "",
        };
        let parsed = url.map(|url| PostgresServer::parse(&url, &self.tls));
        parsed.transpose().map_err(|fault| Unusable {
            is_hidden: false,
            fault: Fault::new(field(suffix), fault.constraint, fault.hint),
        })
    }

    /// Collects every fault of the section. Without `needs_secrets` a file that only another user of this machine may
    /// read is none.
    pub(super) fn validate(
        &self,
        env: &HashMap<String, String>,
        needs_secrets: bool,
        faults: &mut Vec<Fault>,
    ) {
        if is_given(&self.events()) != is_given(&self.views()) {
            faults.push(Fault::new(
                "postgres.views_url",
                "goes together with postgres.events_url",
                "give both, or neither for the embedded PostgreSQL",
            ));
        }
        for place in [self.events(), self.views()] {
            match self.server(&place, env) {
                Err(unusable) if needs_secrets || !unusable.is_hidden => faults.push(unusable.fault),
                _ => {}
            }
        }
        self.tls.validate(faults);
    }
}

/// Why there is no server.
struct Unusable {
    fault: Fault,
    /// Somebody else may be able to read it.
    is_hidden: bool,
}

fn is_given(place: &Place<'_>) -> bool {
    place.value.is_some() || place.file.is_some() || place.variable.is_some()
}

fn is_there(file: &Path) -> bool {
    !std::fs::metadata(file).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

fn suffix_of(fault: &KeyFault) -> &'static str {
    match fault {
        KeyFault::Unreadable { .. } | KeyFault::EmptyFile(_) => "_file",
        KeyFault::NoVariable(_) => "_env",
        KeyFault::NotOne(_) | KeyFault::Empty => "",
    }
}
