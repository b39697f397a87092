use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use super::former_log::FormerLog;
use super::log::Log;
use super::postgres::{self, Known};
use super::stages::Stages;
use super::userprint;
use crate::broker::intake::{self, Intake};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::former_log;
use crate::control::pixel::UserprintKeys;
use crate::control::rates::Meter;
use crate::control::server::{self, Control};
use crate::data_dir::DataDir;
use crate::event::Policy;
use crate::http::Gate;
use crate::lifecycle::Health;
use crate::roles::capture;
use crate::userprint::Userprints;

/// Connections to PostgreSQL beside those of capture's partitions.
const SPARE_CONNECTIONS: usize = 4;

/// What has to be there before a role can start.
pub(super) struct Parts {
    pub(super) log: Log,
    /// To be drained by capture.
    pub(super) former: Option<FormerLog>,
    pub(super) shared: Shared,
}

/// What the roles and the control socket share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) data_dir: PathBuf,
    pub(super) clock: Clock,
    pub(super) started_at: Timestamp,
    pub(super) health: Health,
    pub(super) log: intake::Log,
    pub(super) former_log: Option<former_log::FormerLog>,
    pub(super) intake: Arc<Intake>,
    pub(super) databases: Known,
    pub(super) capture: capture::Status,
    pub(super) userprints: Userprints,
}

impl Parts {
    /// Opens the log, and has PostgreSQL started where it is the embedded one.
    pub(super) async fn open(
        stages: &mut Stages,
        config: Config,
        data_dir: &DataDir,
        env: &HashMap<String, String>,
    ) -> anyhow::Result<Self> {
        let clock = Clock::system();
        let started_at = clock.now();
        let health = Health::default();
        let userprints = userprint::open(&config, data_dir, env, started_at)?;
        let mut log = Log::open(&config, data_dir, &clock).await?;
        let former = log.take_former();
        let connections =
            partitions(&log, &config) + former.as_ref().map_or(0, FormerLog::connections) + SPARE_CONNECTIONS;
        let shared = Shared {
            databases: postgres::open(&config, data_dir.path(), &health, stages, connections, env).await?,
            config,
            data_dir: data_dir.path().to_owned(),
            clock,
            started_at,
            health,
            log: log.known(),
            former_log: former.as_ref().map(FormerLog::shown),
            intake: log.intake(),
            capture: capture::Status::default(),
            userprints,
        };
        Ok(Self { log, former, shared })
    }
}

/// Partitions that this host may have to look after; a guess where Kafka has not been reached yet.
fn partitions(log: &Log, config: &Config) -> usize {
    let known = log.known().borrow().as_ref().map(|log| log.partitions());
    usize::try_from(known.unwrap_or(config.kafka.partitions)).unwrap_or(1)
}

impl Shared {
    /// What subcommands may see and do.
    pub(super) fn control(&self, http: Option<SocketAddr>, gate: Arc<Gate>) -> Control {
        Control {
            started_at: self.started_at,
            roles: self.config.roles.clone(),
            http,
            admin: OnceLock::new(),
            health: self.health.clone(),
            log: self.log.clone(),
            former_log: self.former_log.clone(),
            intake: self.intake.clone(),
            capture: self.capture.clone(),
            meter: Meter::default(),
            importer: server::importer(self.intake.clone(), self.clock.clone(), &self.config)
                .with_userprints(self.userprints.clone()),
            sources: self.config.sources.clone(),
            gate,
            policy: Policy::new(&self.config.ingest).with_userprints(self.userprints.clone()),
            databases: self.databases.clone(),
            userprint_keys: UserprintKeys {
                data_dir: self.data_dir.clone(),
                are_kept: self.config.userprint_keys.is_empty(),
                userprints: self.userprints.clone(),
            },
            clock: self.clock.clone(),
        }
    }
}
