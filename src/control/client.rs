//! The subcommands' side of the control socket.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::message::Problem;
use super::running_socket;

/// The largest answer that is read at once.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Why a running serve did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(
        "no momsflow is serving from {}\n\n\
         hint: start it with `momsflow serve --data-dir {}`, or name its folder with --data-dir",
        path.display(), path.display()
    )]
    NotRunning { path: PathBuf },
    #[error("momsflow serve broke off: {0}")]
    Broken(String),
    /// It stays so, however often it is asked.
    #[error("{0}")]
    Refused(String),
    /// It may be done later.
    #[error("{0}")]
    Unavailable(String),
}

/// Speaks to the serve of one data dir.
#[derive(Clone, Debug)]
pub struct Client {
    data_dir: PathBuf,
}

impl Client {
    /// A client for the serve that runs on `data_dir`; connects at each call.
    pub fn new(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
        }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// [`ControlError::NotRunning`] without a serve on this data dir.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ControlError> {
        read(self.send(Method::GET, path, Bytes::new()).await?).await
    }

    /// Has something done.
    ///
    /// # Errors
    /// As [`Client::get`]; [`ControlError::Refused`] and [`ControlError::Unavailable`] with the serve's reason.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ControlError> {
        let body = serde_json::to_vec(body).map_err(broken)?;
        self.post_text(path, body).await
    }

    /// As [`Client::post`], with a body that is JSON text already.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub async fn post_text<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T, ControlError> {
        read(self.send(Method::POST, path, body.into()).await?).await
    }

    /// Reads an answer without end, line by line, until it ends or `line` says to stop.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn lines(&self, path: &str, mut line: impl FnMut(&str) -> bool) -> Result<(), ControlError> {
        let mut body = self.send(Method::GET, path, Bytes::new()).await?.into_body();
        let mut rest = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(broken)?.into_data() else {
                continue;
            };
            rest.extend_from_slice(&data);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let text = String::from_utf8_lossy(&rest[..end]).into_owned();
                rest.drain(..=end);
                if !line(&text) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ControlError> {
        let not_running = || ControlError::NotRunning {
            path: self.data_dir.clone(),
        };
        let socket = running_socket(&self.data_dir).ok_or_else(not_running)?;
        let stream = UnixStream::connect(&socket).await.map_err(|_| not_running())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // Ends by itself when the answer was read or dropped.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "momsflow")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(broken)?;
        let response = sender.send_request(request).await.map_err(broken)?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let status = response.status();
        let body = collect(response).await?;
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if status == StatusCode::SERVICE_UNAVAILABLE => {
                ControlError::Unavailable(problem.error)
            }
            Ok(problem) => ControlError::Refused(problem.error),
            Err(_) => ControlError::Broken(format!("it answered {status}")),
        })
    }
}

async fn read<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, ControlError> {
    serde_json::from_slice(&collect(response).await?).map_err(broken)
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, ControlError> {
    let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER);
    Ok(body.collect().await.map_err(broken)?.to_bytes())
}

fn broken(error: impl std::fmt::Display) -> ControlError {
    ControlError::Broken(error.to_string())
}
