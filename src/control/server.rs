//! The serve's side of the control socket.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Json, Query, ServiceConfig};
use actix_web::{HttpResponse, HttpResponseBuilder};
use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use super::message::{
    ImportQuery, ImportTerms, LogPartition, LogStatus, Problem, ReplayReply, ReplayRequest, Status, TailQuery,
};
use super::{replay, tail};
use crate::broker::{EventLog, LogError};
use crate::clock::Clock;
use crate::config::{self, Config, Role};
use crate::event::{Client, Policy};
use crate::http::{Routes, Source};
use crate::lifecycle::Health;
use crate::roles::capture::PartitionStatus;
use crate::roles::ingest::SubmitError;
use crate::roles::{capture, ingest};
use crate::store::databases::Databases;
use crate::store::dead_letters;

/// The largest piece of an import.
const MAX_IMPORT: usize = 32 * 1024 * 1024;
/// Dead letters that are read and sent again at a time; each may have 1 MiB.
const REPLAY_BATCH: i64 = 25;
/// How long status waits for the log.
const LOG_PATIENCE: Duration = Duration::from_secs(2);

/// What the running process lets its subcommands see and do.
pub struct Control {
    pub started_at: Timestamp,
    pub roles: Vec<Role>,
    pub http: Option<SocketAddr>,
    /// Known once the admin listener is bound, which needs this to be there.
    pub admin: OnceLock<SocketAddr>,
    pub health: Health,
    pub log: Arc<dyn EventLog>,
    pub capture: capture::Status,
    /// Takes imports; see [`importer`].
    pub importer: ingest::Ingest,
    /// As configured.
    pub sources: Vec<config::Source>,
    pub policy: Policy,
    /// Nothing until PostgreSQL has started.
    pub databases: watch::Receiver<Option<Databases>>,
    pub clock: Clock,
}

/// Ingest for the operator's own files. What bounds the requests of strangers does not bind it: a piece is as large
/// as the command makes it, and every faulty line is kept.
pub fn importer(log: Arc<dyn EventLog>, clock: Clock, config: &Config) -> ingest::Ingest {
    let mut config = config.clone();
    config.ingest.max_batch = usize::MAX;
    config.ingest.rejects_kept_per_second = u32::MAX;
    ingest::Ingest::new(log, clock, &config)
}

/// The handlers, for the control socket only: they ask for no key.
pub fn routes(control: Arc<Control>) -> Routes {
    Arc::new(move |config: &mut ServiceConfig| {
        config
            .app_data(Data::from(control.clone()))
            .app_data(web::PayloadConfig::new(MAX_IMPORT))
            .app_data(web::JsonConfig::default().limit(MAX_IMPORT))
            .route("/status", web::get().to(status))
            .route("/tail", web::get().to(follow))
            .route("/import", web::get().to(import_terms))
            .route("/import", web::post().to(import))
            .route("/dead-letters/replay", web::post().to(replay_letters));
    })
}

fn answer(outcome: Result<impl Serialize, String>) -> HttpResponse {
    match outcome {
        Ok(value) => HttpResponse::Ok().json(value),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, error),
    }
}

fn refuse(status: StatusCode, error: String) -> HttpResponse {
    HttpResponseBuilder::new(status).json(Problem { error })
}

/// 503 for what may go better later, 400 for what stays as it is.
fn status_of(error: &SubmitError) -> StatusCode {
    match error {
        SubmitError::Overloaded(_) | SubmitError::Log(LogError::Unavailable(_)) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        SubmitError::Rejected { .. }
        | SubmitError::TooManyEvents(..)
        | SubmitError::TooMuchContext(..)
        | SubmitError::Log(LogError::OutOfRange { .. } | LogError::Fatal(_)) => StatusCode::BAD_REQUEST,
    }
}

async fn status(control: Data<Control>) -> HttpResponse {
    answer(Ok(control.status().await))
}

async fn follow(control: Data<Control>, query: Query<TailQuery>) -> HttpResponse {
    match tail::lines(control.log.clone(), &query).await {
        Ok(lines) => HttpResponse::Ok().streaming(lines),
        Err(error) => answer(Err::<(), _>(error)),
    }
}

async fn import_terms(control: Data<Control>, query: Query<ImportQuery>) -> HttpResponse {
    answer(Ok(control.import_terms(&query.source)))
}

async fn import(control: Data<Control>, query: Query<ImportQuery>, body: Bytes) -> HttpResponse {
    let ImportTerms { trusted } = control.import_terms(&query.source);
    let source = Source {
        name: query.into_inner().source,
        trusted,
        origins: Vec::new(),
        may_backdate: true,
    };
    let submission = ingest::Submission {
        source: &source,
        shape: ingest::Shape::Import,
        client: Client::default(),
    };
    match control.importer.submit(&body, &submission, |_| Ok(())).await {
        Ok(reply) => HttpResponse::Ok().json(reply),
        Err(error) => refuse(status_of(&error), error.to_string()),
    }
}

async fn replay_letters(control: Data<Control>, request: Json<ReplayRequest>) -> HttpResponse {
    answer(control.replay(&request).await)
}

impl Control {
    fn import_terms(&self, source: &str) -> ImportTerms {
        let configured = self.sources.iter().find(|known| known.name == source);
        ImportTerms {
            trusted: configured.is_none_or(|known| known.trusted),
        }
    }

    /// What runs, also while the log does not answer: that is when people ask.
    async fn status(&self) -> Status {
        let partitions = (0..self.log.partitions()).map(|partition| self.partition(partition));
        let partitions = join_all(partitions).await;
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: self.started_at,
            now: self.clock.now(),
            roles: self.roles.clone(),
            http: self.http,
            admin: self.admin.get().copied(),
            faults: self.health.faults(),
            log: LogStatus {
                kind: self.log.kind().to_owned(),
                log_id: self.log.log_id(),
                partitions,
                hot_keys: self.log.hot_keys(),
            },
            event_store: match &*self.databases.borrow() {
                Some(databases) => databases.describe(),
                // Nobody will tell: no role of this process needs one.
                None if self.databases.has_changed().is_err() => "none in this process".to_owned(),
                None => "embedded PostgreSQL, starting".to_owned(),
            },
        }
    }

    async fn partition(&self, partition: i32) -> LogPartition {
        let offsets = tokio::time::timeout(LOG_PATIENCE, self.log.offsets(partition)).await;
        let range = offsets.ok().and_then(Result::ok);
        let capture = self.capture.snapshot().get(&partition).cloned();
        LogPartition {
            partition,
            earliest: range.map(|range| range.earliest),
            end: range.map(|range| range.end),
            capture: capture.map(|capture| PartitionStatus {
                // The worker's own count stands still while it is stuck.
                lag: range.map_or(capture.lag, |range| (range.end - capture.next_offset).max(0)),
                ..capture
            }),
        }
    }

    /// Sends a selection again. What was appended is marked afterwards: a kill in between sends it once more,
    /// which the event's id makes harmless.
    async fn replay(&self, request: &ReplayRequest) -> Result<ReplayReply, String> {
        let mut reply = ReplayReply::default();
        let mut after = 0;
        let databases = self.databases.borrow().clone();
        let pool = databases
            .ok_or("PostgreSQL is still starting, or no role here needs it")?
            .pool;
        let client = pool.get().await.map_err(|error| error.to_string())?;
        // What capture refuses again comes back under a new id: only those that wait by now are meant.
        let until = dead_letters::newest(&client)
            .await
            .map_err(|error| error.to_string())?;
        loop {
            let letters = dead_letters::read(&client, &request.selection, after, until, REPLAY_BATCH)
                .await
                .map_err(|error| error.to_string())?;
            let Some(last) = letters.last() else {
                return Ok(reply);
            };
            after = last.id;
            let mut records = Vec::new();
            let mut ids = Vec::new();
            for letter in &letters {
                match replay::mend(letter, &request.set, &self.policy, self.clock.now()) {
                    Ok(mended) => {
                        records.extend(mended);
                        ids.push(letter.id);
                    }
                    Err(reason) => reply.refused.push((letter.id, reason)),
                }
            }
            self.importer
                .append_again(records)
                .await
                .map_err(|error| error.to_string())?;
            dead_letters::mark_replayed(&client, &ids, self.clock.now())
                .await
                .map_err(|error| error.to_string())?;
            reply.replayed.extend(ids);
        }
    }
}
