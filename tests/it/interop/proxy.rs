//! A proxy before momsflow that fails as networks and servers do, and remembers what SDKs sent.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_ENCODING, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What befalls a POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with 503 and reaches nobody.
    Refuse,
    /// momsflow takes it, and the connection breaks before the answer.
    LoseAnswer,
}

/// A request that came by; without ids where it was no POST.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub gzip: bool,
    pub message_ids: Vec<String>,
    pub fault: Option<Fault>,
    /// What momsflow answered, if it was asked.
    pub status: Option<u16>,
}

/// Passes requests on to momsflow, but for the POSTs that a fault was named for, first come first.
pub struct Proxy {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: JoinHandle<()>,
}

struct Upstream {
    client: reqwest::Client,
    addr: SocketAddr,
    faults: Mutex<VecDeque<Fault>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Proxy {
    pub async fn start(upstream: SocketAddr, faults: &[Fault]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::default();
        let upstream = Arc::new(Upstream {
            client: reqwest::Client::new(),
            addr: upstream,
            faults: Mutex::new(faults.iter().copied().collect()),
            seen: Arc::clone(&seen),
        });
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let upstream = Arc::clone(&upstream);
                let service = hyper::service::service_fn(move |request| {
                    let upstream = Arc::clone(&upstream);
                    async move { upstream.pass(request).await }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                // An error is a lost answer, or a client that went away.
                tokio::spawn(async move { connection.await.ok() });
            }
        });
        Self { addr, seen, server }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every request so far but preflights.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Upstream {
    /// Answers a request; an error breaks the connection.
    async fn pass(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        if head.method == Method::OPTIONS {
            return self.forward(&head, body).await;
        }
        let is_post = head.method == Method::POST;
        let gzip = head
            .headers
            .get(CONTENT_ENCODING)
            .is_some_and(|name| name == "gzip");
        let fault = if is_post {
            self.faults.lock().unwrap().pop_front()
        } else {
            None
        };
        let mut seen = Seen {
            path: head.uri.path().to_owned(),
            gzip,
            message_ids: if is_post {
                message_ids(&body, gzip)
            } else {
                Vec::new()
            },
            fault,
            status: None,
        };
        if fault == Some(Fault::Refuse) {
            self.seen.lock().unwrap().push(seen);
            return Ok(refusal());
        }
        let answer = self.forward(&head, body).await?;
        seen.status = Some(answer.status().as_u16());
        self.seen.lock().unwrap().push(seen);
        match fault {
            Some(Fault::LoseAnswer) => Err(io::ErrorKind::ConnectionReset.into()),
            _ => Ok(answer),
        }
    }

    async fn forward(
        &self,
        head: &hyper::http::request::Parts,
        body: Bytes,
    ) -> io::Result<Response<Full<Bytes>>> {
        let url = format!("http://{}{}", self.addr, head.uri);
        let request = self
            .client
            .request(head.method.clone(), url)
            .headers(head.headers.clone());
        let answer = request.body(body).send().await.map_err(io::Error::other)?;
        let mut passed = Response::builder().status(answer.status());
        *passed.headers_mut().unwrap() = answer.headers().clone();
        let body = answer.bytes().await.map_err(io::Error::other)?;
        Ok(passed.body(Full::new(body)).unwrap())
    }
}

fn refusal() -> Response<Full<Bytes>> {
    Response::builder()
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .header(RETRY_AFTER, "1")
        .header(ACCESS_CONTROL_ALLOW_ORIGIN, "*")
        .body(Full::default())
        .unwrap()
}

/// The ids of a body's events, be it one or a batch.
#[allow(clippy::disallowed_methods)] // from the tests' own clients
fn message_ids(body: &[u8], gzip: bool) -> Vec<String> {
    let mut text = Vec::new();
    if gzip {
        GzDecoder::new(body).read_to_end(&mut text).unwrap();
    } else {
        text.extend_from_slice(body);
    }
    let body: Value = serde_json::from_slice(&text).unwrap();
    let one = [body.clone()];
    let events = body["batch"].as_array().map_or(one.as_slice(), Vec::as_slice);
    let ids = events.iter().filter_map(|event| event["messageId"].as_str());
    ids.map(str::to_owned).collect()
}
