//! A small HTTP client that gives up a connection at the first failure.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

pub struct Client {
    addr: SocketAddr,
    connection: Option<SendRequest<Full<Bytes>>>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Value,
}

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Client {
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            connection: None,
        }
    }

    pub async fn get(&mut self, path: &str) -> Result<Answer, Failure> {
        let request = Request::get(path).body(Full::default())?;
        self.send(request, Duration::from_secs(5)).await
    }

    /// Posts JSON with a write key. After `patience` the connection is cut, whatever the server has read.
    pub async fn post(
        &mut self,
        path: &str,
        key: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<Answer, Failure> {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {key}"))
            .body(Full::new(body))?;
        self.send(request, patience).await
    }

    async fn send(
        &mut self,
        mut request: Request<Full<Bytes>>,
        patience: Duration,
    ) -> Result<Answer, Failure> {
        request
            .headers_mut()
            .insert("host", self.addr.to_string().parse()?);
        Ok(understand(&self.exchange(request, patience).await?))
    }

    /// Sends a request as it is.
    pub async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        patience: Duration,
    ) -> Result<Response<Bytes>, Failure> {
        let connection = self.connection.take();
        let exchange = async {
            let mut connection = match connection.filter(|open| !open.is_closed()) {
                Some(open) => open,
                None => connect(self.addr).await?,
            };
            connection.ready().await?;
            let answer = read(connection.send_request(request).await?).await?;
            Ok::<_, Failure>((connection, answer))
        };
        let (connection, answer) = tokio::time::timeout(patience, exchange).await??;
        self.connection = Some(connection);
        Ok(answer)
    }
}

async fn connect(addr: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn read(response: Response<Incoming>) -> Result<Response<Bytes>, Failure> {
    let (head, body) = response.into_parts();
    Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
}

fn understand(response: &Response<Bytes>) -> Answer {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    Answer {
        status,
        retry_after,
        body: serde_json::from_slice(response.body()).unwrap_or_default(),
    }
}
