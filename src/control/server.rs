//! The serve's side of the control socket.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Json, Query, ServiceConfig};
use actix_web::{HttpResponse, HttpResponseBuilder};
use futures_util::Stream;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use super::former_log::FormerLog;
use super::message::{ImportQuery, ImportTerms, Problem, ReplayReply, ReplayRequest, TailQuery};
use super::pixel::UserprintKeys;
use super::rates::Meter;
use super::{replay, tail};
use crate::broker::intake::{self, Intake};
use crate::broker::{EventLog, LogError};
use crate::clock::Clock;
use crate::collector::{Answer, Collector, Shape, Submission, SubmitError};
use crate::config::{self, Config, Role};
use crate::event::{Client, Policy};
use crate::http::{DEFAULT_SOURCE, Gate, Routes, Source};
use crate::lifecycle::Health;
use crate::roles::capture;
use crate::store::databases::Databases;
use crate::store::dead_letters;

/// The largest piece of an import.
const MAX_IMPORT: usize = 32 * 1024 * 1024;
/// Dead letters that are read and sent again at a time; each may have 1 MiB.
const REPLAY_BATCH: i64 = 25;

/// What the running process lets its subcommands see and do.
pub struct Control {
    pub started_at: Timestamp,
    pub roles: Vec<Role>,
    pub http: Option<SocketAddr>,
    /// Known once the admin listener is bound, which needs this to be there.
    pub admin: OnceLock<SocketAddr>,
    pub health: Health,
    pub log: intake::Log,
    /// Being drained, or drained since the start.
    pub former_log: Option<FormerLog>,
    pub intake: Arc<Intake>,
    pub capture: capture::Status,
    pub meter: Meter,
    /// Takes imports; see [`importer`].
    pub importer: Collector,
    /// As configured.
    pub sources: Vec<config::Source>,
    /// Of the public listener; lends the demo its key.
    pub gate: Arc<Gate>,
    pub policy: Policy,
    pub userprint_keys: UserprintKeys,
    /// Nothing until PostgreSQL has started.
    pub databases: watch::Receiver<Option<Databases>>,
    pub clock: Clock,
}

/// A collector for the operator's own files. What bounds the requests of strangers does not bind it: a piece is as large
/// as the command makes it, and every faulty line is kept.
pub fn importer(intake: Arc<Intake>, clock: Clock, config: &Config) -> Collector {
    let mut config = config.clone();
    config.ingest.max_batch = usize::MAX;
    config.ingest.rejects_kept_per_second = u32::MAX;
    Collector::new(intake, clock, &config)
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
            .route("/import/lines", web::post().to(import))
            .route("/import/preview", web::post().to(preview_import))
            .route("/dead-letters/replay", web::post().to(replay_letters))
            .route("/demo/begin", web::post().to(begin_demo))
            .route("/demo/end", web::post().to(end_demo))
            .route("/userprint-keys", web::get().to(userprint_keys))
            .route("/userprint-keys/rotate", web::post().to(rotate_userprint_keys));
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
        | SubmitError::Log(LogError::OutOfRange { .. } | LogError::BadRecord(_) | LogError::Fatal(_)) => {
            StatusCode::BAD_REQUEST
        }
    }
}

async fn status(control: Data<Control>) -> HttpResponse {
    answer(Ok(control.status().await))
}

async fn follow(control: Data<Control>, query: Query<TailQuery>) -> HttpResponse {
    match control.tail(&query).await {
        Ok(lines) => HttpResponse::Ok().streaming(lines),
        Err(error) => answer(Err::<(), _>(error)),
    }
}

async fn import_terms(control: Data<Control>, query: Query<ImportQuery>) -> HttpResponse {
    answer(Ok(control.import_terms(&query.source)))
}

async fn import(control: Data<Control>, query: Query<ImportQuery>, body: Bytes) -> HttpResponse {
    let source = control.import_source(query.into_inner().source);
    let reply = control
        .importer
        .submit(&body, &lines_of(&source), |_| Ok(()))
        .await;
    answer_import(reply)
}

async fn preview_import(control: Data<Control>, query: Query<ImportQuery>, body: Bytes) -> HttpResponse {
    let source = control.import_source(query.into_inner().source);
    let preview = control.importer.preview(&body, &lines_of(&source), |_| Ok(()));
    answer_import(preview.map(|preview| preview.answer))
}

fn lines_of(source: &Source) -> Submission<'_> {
    Submission {
        source,
        shape: Shape::Lines,
        client: Client::default(),
    }
}

fn answer_import(reply: Result<Answer, SubmitError>) -> HttpResponse {
    match reply {
        Ok(reply) => HttpResponse::Ok().json(reply),
        Err(error) => refuse(status_of(&error), error.to_string()),
    }
}

async fn replay_letters(control: Data<Control>, request: Json<ReplayRequest>) -> HttpResponse {
    answer(control.replay(&request).await)
}

async fn begin_demo(control: Data<Control>) -> HttpResponse {
    match control.begin_demo() {
        Ok(source) => HttpResponse::Ok().json(source),
        Err(error) => refuse(StatusCode::BAD_REQUEST, error),
    }
}

async fn end_demo(control: Data<Control>) -> HttpResponse {
    control.end_demo();
    answer(Ok(()))
}

async fn userprint_keys(control: Data<Control>) -> HttpResponse {
    answer(Ok(control.userprint_keys.list(control.clock.now())))
}

async fn rotate_userprint_keys(control: Data<Control>) -> HttpResponse {
    answer(control.userprint_keys.rotate(control.clock.now()))
}

impl Control {
    fn import_terms(&self, source: &str) -> ImportTerms {
        let mut sources: Vec<_> = self.sources.iter().map(|source| source.name.clone()).collect();
        if sources.is_empty() {
            sources.push(DEFAULT_SOURCE.to_owned());
        }
        ImportTerms {
            now: self.clock.now(),
            sources,
            trusted: self.is_trusted(source),
        }
    }

    fn is_trusted(&self, source: &str) -> bool {
        let configured = self.sources.iter().find(|known| known.name == source);
        configured.is_none_or(|known| known.trusted)
    }

    fn import_source(&self, name: String) -> Source {
        Source {
            trusted: self.is_trusted(&name),
            name,
            origins: Vec::new(),
            may_backdate: true,
        }
    }

    /// The log, once it has been reached.
    pub(super) fn log(&self) -> Option<Arc<dyn EventLog>> {
        self.log.borrow().clone()
    }

    async fn tail(
        &self,
        query: &TailQuery,
    ) -> Result<impl Stream<Item = Result<Bytes, std::io::Error>> + use<>, String> {
        let log = self.log().ok_or("the event log has not been reached yet")?;
        tail::lines(log, query).await
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
