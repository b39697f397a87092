//! The composition root: builds the clients and starts the roles that the config names.
//!
//! Tasks run in four stages, stopped one after the other: the *front* takes requests; *capture* stores what was
//! taken; the *back* keeps log, metrics and control; the *base* is PostgreSQL.

mod former_log;
mod kafka_mark;
mod listeners;
mod log;
mod owner;
mod parts;
mod postgres;
mod stages;
mod userprint;
mod views;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use tracing::{info, warn};

use self::former_log::FormerLog;
pub use self::former_log::foresee as foresee_drain;
pub use self::kafka_mark::refuse as refuse_to_leave_kafka;
use self::listeners::{Listeners, cannot_listen};
pub use self::log::needs as needs_of_kafka;
use self::owner::Owner;
use self::parts::{Parts, Shared};
use self::stages::Stages;
pub use self::userprint::foresee as foresee_userprint_keys;
use crate::broker::{EventLog, intake};
use crate::collector::Collector;
use crate::config::{Config, Role};
use crate::control::server::Control;
use crate::control::{new_socket, server};
use crate::data_dir::DataDir;
use crate::http::admin::AdminServer;
use crate::http::{Bound, DEFAULT_SOURCE, Gate, Handlers, Server, Source, Sources};
use crate::lifecycle::Stop;
use crate::roles::pixel::Pixel;
use crate::roles::{capture, ingest, pixel};
use crate::telemetry;

/// How often metrics are folded.
const METRICS_INTERVAL: Duration = Duration::from_secs(5);

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
    /// Starts everything that the config names. On an error nothing is left running, and neither when `cancel`
    /// resolves before all is up (`None`).
    ///
    /// # Errors
    /// For people, with what to do.
    pub async fn start(
        config: Config,
        env: &HashMap<String, String>,
        cancel: impl Future<Output = ()>,
    ) -> anyhow::Result<Option<Self>> {
        let shutdown_deadline = config.shutdown_deadline;
        let (listeners, data_dir) = listeners::take(&config)?;
        let mut stages = Stages::new();
        let started = tokio::select! {
            started = start(&mut stages, config, &data_dir, listeners, env) => started.map(Some),
            () = cancel => Ok(None),
        };
        match started {
            Ok(Some(addresses)) => Ok(Some(Self {
                addresses,
                stages,
                shutdown_deadline,
                _data_dir: data_dir,
            })),
            failed => {
                stages.stop(shutdown_deadline).await;
                failed.map(|_| None)
            }
        }
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

async fn start(
    stages: &mut Stages,
    config: Config,
    data_dir: &DataDir,
    listeners: Listeners,
    env: &HashMap<String, String>,
) -> anyhow::Result<Addresses> {
    let metrics = telemetry::start_metrics().map_err(anyhow::Error::msg)?;
    let (sources, write_key_file) = sources(&config, data_dir, env)?;
    let Parts { log, former, shared } = Parts::open(stages, config, data_dir, env).await?;
    log.keep(stages, &shared.health, shared.config.shutdown_deadline);
    keep_metrics(stages, metrics.clone());
    if shared.config.roles.contains(&Role::Capture) {
        start_capture(stages, &shared, former, Owner::of(data_dir)?);
    }
    if shared.config.roles.contains(&Role::UserViews) {
        views::start(stages, &shared)?;
    }
    let gate = Arc::new(Gate::new(&shared.config.http, sources));
    let http = match listeners.http {
        Some(bound) => Some(start_http(stages, &shared, bound, gate.clone())?),
        None => None,
    };
    let control = Arc::new(shared.control(http, gate));
    let admin = start_admin(
        stages,
        &shared,
        listeners.admin,
        data_dir.path(),
        metrics,
        control,
    )?;
    Ok(Addresses {
        http,
        admin,
        data_dir: data_dir.path().to_owned(),
        write_key_file,
    })
}

/// The configured write keys, or the one that momsflow makes.
fn sources(
    config: &Config,
    data_dir: &DataDir,
    env: &HashMap<String, String>,
) -> anyhow::Result<(Sources, Option<PathBuf>)> {
    if !config.sources.is_empty() {
        if data_dir.path().join("write-key").exists() {
            warn!("with [[sources]] configured the key in write-key is not valid: its clients get 401");
        }
        return Ok((Sources::load(&config.sources, env)?, None));
    }
    let (key, file) = match &config.write_key {
        Some(key) => (key.clone(), None),
        None => (data_dir.write_key()?, Some(data_dir.path().join("write-key"))),
    };
    let source = Source {
        name: DEFAULT_SOURCE.to_owned(),
        trusted: true,
        origins: Vec::new(),
        may_backdate: false,
    };
    let mut sources = Sources::default();
    sources.add(&key, source)?;
    Ok((sources, file))
}

/// Folds the samples of histograms together. Without it each would be kept until somebody scrapes.
fn keep_metrics(stages: &mut Stages, metrics: PrometheusHandle) {
    let token = stages.back.token();
    stages.back.spawn("metrics", async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(METRICS_INTERVAL) => metrics.run_upkeep(),
                () = token.cancelled() => return Ok::<_, String>(()),
            }
        }
    });
}

fn start_capture(stages: &mut Stages, shared: &Shared, former: Option<FormerLog>, owner: Owner) {
    let (log, clock, health) = (shared.log.clone(), shared.clock.clone(), shared.health.clone());
    let (config, status) = (shared.config.clone(), shared.capture.clone());
    let known = shared.databases.clone();
    let token = stages.capture.token();
    postgres::expect_schema(&health);
    stages.capture.spawn("capture", async move {
        let databases = tokio::select! {
            migrated = postgres::migrated(known, &health) => migrated?,
            () = token.cancelled() => return Ok(()),
        };
        let capture_of = |log, status| capture::Capture {
            log,
            pool: databases.pool.clone(),
            database: databases.events.clone(),
            clock: clock.clone(),
            health: health.clone(),
            config: config.capture.clone(),
            backdate_from: config.ingest.backdate_from,
            owner: owner.id.clone(),
            place: owner.place.clone(),
            name: owner.name.clone(),
            status,
            shutdown_deadline: config.shutdown_deadline,
        };
        let drain = async {
            if let Some(former) = former {
                let capture = capture_of(former.log(), former.status());
                former.drain(capture, token.clone()).await;
            }
            Ok(())
        };
        let store = async {
            let log = tokio::select! {
                log = reached(log) => log?,
                () = token.cancelled() => return Ok(()),
            };
            let capture = capture_of(log, status);
            capture.run(token.clone()).await.map_err(anyhow::Error::msg)
        };
        tokio::try_join!(drain, store).map(drop)
    });
}

async fn reached(mut log: intake::Log) -> anyhow::Result<Arc<dyn EventLog>> {
    let log = log.wait_for(Option::is_some).await;
    log.ok()
        .and_then(|log| log.clone())
        .context("the event log was given up")
}

/// Starts the roles that take events from the public.
fn start_http(
    stages: &mut Stages,
    shared: &Shared,
    bound: Bound,
    gate: Arc<Gate>,
) -> anyhow::Result<SocketAddr> {
    let (config, health) = (&shared.config, &shared.health);
    let collector = Collector::new(shared.intake.clone(), shared.clock.clone(), config)
        .with_userprints(shared.userprints.clone());
    let collector = Arc::new(collector);
    let mut handlers = Handlers::default();
    if config.roles.contains(&Role::Ingest) {
        handlers.routes.push(ingest::routes(collector.clone()));
    }
    let mut pixel = None;
    if config.roles.contains(&Role::Pixel) {
        let (userprints, clock) = (shared.userprints.clone(), shared.clock.clone());
        let started = Arc::new(Pixel::new(collector, userprints, clock, config));
        handlers.routes.push(pixel::routes(started.clone()));
        handlers.lane = Some(pixel::lane(started.clone(), gate.clone()));
        pixel = Some(started);
    }
    let server = Server::listen(
        bound,
        &config.http,
        gate,
        health,
        handlers,
        config.shutdown_deadline,
    )
    .map_err(|error| cannot_listen("http.listen", config.http.listen, &error))?;
    let addr = server.addr();
    info!(%addr, "http listens");
    let token = stages.front.token();
    let serving = server.run(token.clone());
    stages.front.spawn("http", async move {
        let served = serving.await;
        if let Some(pixel) = pixel {
            pixel.finish().await;
        }
        served
    });
    stages.front.spawn(
        "ingest",
        Collector::watch_intake(shared.intake.clone(), health.clone(), token),
    );
    Ok(addr)
}

fn start_admin(
    stages: &mut Stages,
    shared: &Shared,
    bound: Bound,
    data_dir: &Path,
    metrics: PrometheusHandle,
    control: Arc<Control>,
) -> anyhow::Result<SocketAddr> {
    let (config, health) = (&shared.config, &shared.health);
    let socket = new_socket(data_dir).context("no folder for the control socket can be made")?;
    let server = AdminServer::listen(bound, metrics, health, Vec::new())
        .map_err(|error| cannot_listen("admin.listen", config.admin.listen, &error))?;
    let addr = server.addr();
    // The address is set once: this function is the only one that does.
    let _ = control.admin.set(addr);
    let server = server
        .with_socket(&socket, vec![server::routes(control.clone())])
        .with_context(|| format!("cannot listen on {}", socket.display()))?;
    info!(%addr, "admin listens");
    let token = stages.back.token();
    stages.back.spawn("admin", server.run(token.clone()));
    stages
        .back
        .spawn("rates", async move { control.keep_rates(token).await });
    Ok(addr)
}
