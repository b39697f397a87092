//! Batches over HTTP, each sent until it is taken.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::progress::Progress;
use super::source::{self, Source};
use crate::control::demo::DEMO_SOURCE;
use crate::retry::Backoff;

const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How long nothing may be taken before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(300);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const MAX_ANSWER: usize = 16 * 1024 * 1024;

type Connection = SendRequest<Full<Bytes>>;

/// Sends to one serve; keeps its connections for the next batch.
pub(super) struct Poster {
    source: Source,
    /// Of the source; another one after serve was started again.
    key: RefCell<String>,
    path: &'static str,
    idle: RefCell<Vec<Connection>>,
    /// When something was taken last.
    taken_at: Cell<Instant>,
    progress: Rc<Progress>,
}

/// What became of an attempt that did not simply succeed.
enum Setback {
    /// Worth another one, after so long where the server says so.
    Later(Option<Duration>, String),
    UnknownKey,
    Refused(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    rejected: Vec<Rejected>,
    detail: String,
}

#[derive(Debug, Deserialize)]
struct Rejected {
    pointer: String,
    code: String,
    detail: String,
}

impl Poster {
    pub(super) fn new(source: Source, path: &'static str, progress: Rc<Progress>) -> Self {
        Self {
            key: RefCell::new(source.key.clone()),
            source,
            path,
            idle: RefCell::default(),
            taken_at: Cell::new(Instant::now()),
            progress,
        }
    }

    /// Sends a batch until it is taken. A batch that was taken without an answer is sent again, which its events' ids
    /// make harmless.
    pub(super) async fn deliver(&self, body: Bytes) -> anyhow::Result<()> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            let key = self.key.borrow().clone();
            let attempt = match self.attempt(&key, body.clone()).await {
                Err(Setback::UnknownKey) => self.renew(key).await,
                attempt => attempt,
            };
            let (reason, wait) = match attempt {
                Ok(()) => {
                    self.taken_at.set(Instant::now());
                    return Ok(());
                }
                Err(Setback::Later(wait, reason)) => (reason, wait),
                Err(Setback::Refused(reason)) => bail!(reason),
                Err(Setback::UnknownKey) => bail!(
                    "serve does not know the key of the source {DEMO_SOURCE} (401)\n\n\
                     hint: was the demo removed meanwhile, or the configuration changed? repeat the command"
                ),
            };
            if self.taken_at.get().elapsed() > PATIENCE {
                bail!(
                    "serve has taken nothing for {} s: {reason}\n\nhint: momsflow status; repeat the command when it \
                     does, what is stored is not stored again",
                    PATIENCE.as_secs()
                );
            }
            self.progress.wait(&reason);
            let wait = wait.unwrap_or_else(|| backoff.next_wait()).min(LONGEST_WAIT);
            tokio::time::sleep(wait).await;
        }
    }

    /// Gets the key that holds by now, where the one that was used was lent by a process that has ended.
    async fn renew(&self, used: String) -> Result<(), Setback> {
        let Some(lender) = &self.source.lender else {
            return Err(Setback::UnknownKey);
        };
        match source::lent(lender).await {
            Ok(key) if key == used => Err(Setback::UnknownKey),
            Ok(key) => {
                *self.key.borrow_mut() = key;
                Err(Setback::Later(
                    Some(Duration::ZERO),
                    "serve was started again".to_owned(),
                ))
            }
            Err(error) => Err(Setback::Later(None, error.to_string())),
        }
    }

    async fn attempt(&self, key: &str, body: Bytes) -> Result<(), Setback> {
        let later = |error: &dyn std::fmt::Display| Setback::Later(None, error.to_string());
        let exchange = async {
            let mut connection = self.connection().await?;
            let request = self
                .request(key, body)
                .map_err(|error| Setback::Refused(error.to_string()))?;
            let response = connection
                .send_request(request)
                .await
                .map_err(|error| later(&error))?;
            let taken = read(response).await;
            if !connection.is_closed() {
                self.idle.borrow_mut().push(connection);
            }
            taken
        };
        match tokio::time::timeout(ANSWER_WITHIN, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Setback::Later(
                None,
                format!("no answer within {} s", ANSWER_WITHIN.as_secs()),
            )),
        }
    }

    async fn connection(&self) -> Result<Connection, Setback> {
        let later = |error: &dyn std::fmt::Display| Setback::Later(None, error.to_string());
        loop {
            let idle = self.idle.borrow_mut().pop();
            let Some(mut idle) = idle else { break };
            // One that serve has closed since is not ready.
            if idle.ready().await.is_ok() {
                return Ok(idle);
            }
        }
        let stream = TcpStream::connect(self.source.http)
            .await
            .map_err(|error| later(&error))?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| later(&error))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn request(&self, key: &str, body: Bytes) -> hyper::http::Result<Request<Full<Bytes>>> {
        let user = STANDARD.encode(format!("{key}:"));
        Request::post(self.path)
            .header(HOST, self.source.http.to_string())
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, format!("Basic {user}"))
            .body(Full::new(body))
    }
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<(), Setback> {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER);
    let wait = retry_after
        .and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| Setback::Later(None, error.to_string()))?;
    let answer: Answer = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    match status {
        StatusCode::OK if answer.rejected.is_empty() => Ok(()),
        StatusCode::UNAUTHORIZED => Err(Setback::UnknownKey),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Err(Setback::Later(wait, answer.detail))
        }
        status if status.is_server_error() => Err(Setback::Later(wait, answer.detail)),
        status => Err(Setback::Refused(refusal(status, &answer))),
    }
}

fn refusal(status: StatusCode, answer: &Answer) -> String {
    match answer.rejected.first() {
        Some(Rejected {
            pointer,
            code,
            detail,
        }) => format!(
            "serve refused {} events of a batch; the first: {code} {pointer}: {detail}",
            answer.rejected.len()
        ),
        None => format!("serve answered {status}: {}", answer.detail),
    }
}
