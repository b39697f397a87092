//! The composition root: builds the clients and starts the roles that the config names.
//!
//! Tasks run in four stages, stopped one after the other: the *front* takes requests; *capture* stores what was
//! taken; the *back* keeps log, metrics and control; the *base* is PostgreSQL.

mod databases;
mod stages;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use tracing::info;

use self::databases::Databases;
use self::stages::Stages;
use crate::broker::EventLog;
use crate::broker::embedded::EmbeddedLog;
use crate::clock::Clock;
use crate::config::{Config, Role};
use crate::control::server::Control;
use crate::control::{prepare_folder, server, socket_path};
use crate::data_dir::DataDir;
use crate::event::Policy;
use crate::http::admin::AdminServer;
use crate::http::{Gate, Server, Source, Sources};
use crate::lifecycle::{Health, Stop};
use crate::roles::{capture, ingest};
use crate::store::pool;
use crate::telemetry;

/// Connections to PostgreSQL beside those of capture's partitions.
const SPARE_CONNECTIONS: usize = 4;
/// How often the log's retention is carried out.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

/// A momsflow that runs.
pub struct App {
    pub addresses: Addresses,
    stages: Stages,
    shutdown_deadline: Duration,
    /// Held until everything else is over.
    _data_dir: DataDir,
}

/// Where a running momsflow is reached.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub http: Option<SocketAddr>,
    pub admin: SocketAddr,
    pub data_dir: PathBuf,
    /// The file of the write key, where momsflow made it.
    pub write_key_file: Option<PathBuf>,
}

impl App {
    /// Starts everything that the config names. On an error nothing is left running.
    ///
    /// # Errors
    /// For people, with what to do.
    pub async fn start(config: Config, env: &HashMap<String, String>) -> anyhow::Result<Self> {
        let metrics = telemetry::start_metrics().map_err(anyhow::Error::msg)?;
        let clock = Clock::system();
        let started_at = clock.now();
        let health = Health::default();
        let data_dir = DataDir::open(&config.data_dir)?;
        let (sources, write_key_file) = sources(&config, &data_dir, env)?;
        let mut stages = Stages::new();
        let databases = Databases::open(&config, data_dir.path(), &health, &mut stages).await?;
        let log = EmbeddedLog::open(
            &data_dir.path().join("event-log"),
            &config.event_log,
            clock.clone(),
        )?;
        let pool = pool::connect(
            databases.events.clone(),
            log.partitions() as usize + SPARE_CONNECTIONS,
        );
        keep_log(&mut stages, log.clone());

        let status = capture::Status::default();
        if config.roles.contains(&Role::Capture) {
            let capture = capture::Capture {
                log: log.clone(),
                pool: pool.clone(),
                clock: clock.clone(),
                health: health.clone(),
                config: config.capture.clone(),
                backdate_from: config.ingest.backdate_from,
                owner: data_dir.instance_id()?,
                status: status.clone(),
                shutdown_deadline: config.shutdown_deadline,
            };
            start_capture(&mut stages, capture, databases.clone(), health.clone());
        }
        let ingest = Arc::new(ingest::Ingest::new(log.clone(), clock.clone(), &config));
        let http = match config.roles.contains(&Role::Ingest) {
            true => Some(start_ingest(
                &mut stages,
                &config,
                sources,
                &ingest,
                log.clone(),
                &health,
            )?),
            false => None,
        };
        let control = Arc::new(Control {
            started_at,
            roles: config.roles.clone(),
            http,
            admin: OnceLock::new(),
            health: health.clone(),
            log,
            capture: status,
            ingest,
            policy: Policy::new(&config.ingest),
            pool,
            clock,
            event_store: databases.describe(),
        });
        let admin = start_admin(&mut stages, &config, data_dir.path(), metrics, &health, control)?;
        Ok(Self {
            addresses: Addresses {
                http,
                admin,
                data_dir: data_dir.path().to_owned(),
                write_key_file,
            },
            stages,
            shutdown_deadline: config.shutdown_deadline,
            _data_dir: data_dir,
        })
    }

    /// Runs until `stop` resolves or a task dies, then shuts down within the deadline.
    ///
    /// Returns why it stopped, and whether everything ended in time.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> (Stop, bool) {
        let why = tokio::select! {
            () = stop => Stop::Requested,
            died = self.stages.died() => died,
        };
        info!("stopping: finishing what was accepted");
        let in_time = self.stages.stop(self.shutdown_deadline).await;
        (why, in_time)
    }
}

/// The configured write keys, or the one that momsflow makes.
fn sources(
    config: &Config,
    data_dir: &DataDir,
    env: &HashMap<String, String>,
) -> anyhow::Result<(Sources, Option<PathBuf>)> {
    if !config.sources.is_empty() {
        return Ok((Sources::load(&config.sources, env)?, None));
    }
    let (key, file) = match &config.write_key {
        Some(key) => (key.clone(), None),
        None => (data_dir.write_key()?, Some(data_dir.path().join("write-key"))),
    };
    let source = Source {
        name: "default".to_owned(),
        trusted: true,
        origins: Vec::new(),
        may_backdate: false,
    };
    let mut sources = Sources::default();
    sources.add(&key, source)?;
    Ok((sources, file))
}

/// Retention while it runs; at the end the log is closed.
fn keep_log(stages: &mut Stages, log: Arc<EmbeddedLog>) {
    let token = stages.back.token();
    stages.back.spawn("event log", async move {
        tokio::select! {
            () = log.keep_retaining(RETENTION_INTERVAL) => {}
            () = token.cancelled() => log.close().await,
        }
        Ok::<_, String>(())
    });
}

fn start_capture(stages: &mut Stages, capture: capture::Capture, databases: Databases, health: Health) {
    let token = stages.capture.token();
    Databases::expect_schema(&health);
    stages.capture.spawn("capture", async move {
        tokio::select! {
            ready = databases.migrate(&health) => ready?,
            () = token.cancelled() => return Ok(()),
        }
        capture.run(token).await.map_err(anyhow::Error::msg)
    });
}

fn start_ingest(
    stages: &mut Stages,
    config: &Config,
    sources: Sources,
    ingest: &Arc<ingest::Ingest>,
    log: Arc<dyn EventLog>,
    health: &Health,
) -> anyhow::Result<SocketAddr> {
    let gate = Arc::new(Gate::new(&config.http, sources));
    let routes = vec![ingest::routes(ingest.clone())];
    let server = Server::bind(&config.http, gate, health, routes, config.shutdown_deadline)
        .with_context(|| listen_hint("http.listen", config.http.listen))?;
    let addr = server.addr();
    info!(%addr, "http listens");
    let token = stages.front.token();
    stages.front.spawn("http", server.run(token.clone()));
    stages
        .front
        .spawn("ingest", ingest::Ingest::watch_log(log, health.clone(), token));
    Ok(addr)
}

fn start_admin(
    stages: &mut Stages,
    config: &Config,
    data_dir: &std::path::Path,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
    health: &Health,
    control: Arc<Control>,
) -> anyhow::Result<SocketAddr> {
    let socket = socket_path(data_dir)?;
    prepare_folder(&socket)?;
    let server = AdminServer::bind(config.admin.listen, metrics, health, Vec::new())
        .with_context(|| listen_hint("admin.listen", config.admin.listen))?;
    let addr = server.addr();
    // The address is set once: this function is the only one that does.
    let _ = control.admin.set(addr);
    let server = server
        .with_socket(&socket, vec![server::routes(control)])
        .with_context(|| format!("cannot listen on {}", socket.display()))?;
    info!(%addr, "admin listens");
    let token = stages.back.token();
    stages.back.spawn("admin", server.run(token));
    Ok(addr)
}

fn listen_hint(field: &str, addr: SocketAddr) -> String {
    let variable = field.to_uppercase().replace('.', "__");
    format!(
        "cannot listen on {addr} ({field})\n\n\
         hint: is another momsflow running? MOMSFLOW_{variable}=127.0.0.1:0 takes a free port"
    )
}
