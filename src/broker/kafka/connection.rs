//! A plain connection for what the client library has no calls for.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{
    Decodable, HeaderVersion, Request, StrBytes, encode_request_header_into_buffer,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{CALL_TIMEOUT, CLIENT_ID, CONNECT_TIMEOUT};

/// The longest answer that is taken in; a guard against speaking with something that is no Kafka.
const MAX_ANSWER: usize = 128 << 20;

/// A connection to one broker, one request at a time. After an error it is of no use any more.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    address: String,
    requests: i32,
}

impl Connection {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// A sentence that names the address.
    pub(super) async fn open(address: &str) -> Result<Self, String> {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests are small and waited for.
                let _ = stream.set_nodelay(true);
                Ok(Self {
                    stream,
                    address: address.to_owned(),
                    requests: 0,
                })
            }
            Ok(Err(error)) => Err(format!("{address}: {error}")),
            Err(_) => Err(format!(
                "{address}: no connection within {} s",
                CONNECT_TIMEOUT.as_secs()
            )),
        }
    }

    /// Connects to the first of the addresses that lets it.
    ///
    /// # Errors
    /// What each of them said.
    pub(super) async fn open_any(addresses: &[String]) -> Result<Self, String> {
        let mut reasons = Vec::new();
        for address in addresses {
            match Self::open(address).await {
                Ok(connection) => return Ok(connection),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(reasons.join("; "))
    }

    /// Sends a request and waits for its answer, `extra` longer than usual.
    ///
    /// # Errors
    /// A sentence that names the address.
    pub(super) async fn call<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        extra: Duration,
    ) -> Result<R::Response, String> {
        match timeout(CALL_TIMEOUT + extra, self.exchange(request, version)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(reason)) => Err(format!("{}: {reason}", self.address)),
            Err(_) => Err(format!("{}: no answer in time", self.address)),
        }
    }

    async fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, String> {
        self.requests = self.requests.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.requests)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
        let mut message = BytesMut::new();
        encode_request_header_into_buffer(&mut message, &header)
            .and_then(|()| request.encode(&mut message, version))
            .map_err(|error| format!("a request cannot be written: {error}"))?;
        let length = u32::try_from(message.len()).map_err(|_| "a request is too long".to_owned())?;
        self.send(length, &message)
            .await
            .map_err(|error| error.to_string())?;
        let mut answer = self.receive().await.map_err(|error| error.to_string())?;
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version))
            .map_err(|error| format!("an answer cannot be read: {error}"))?;
        if header.correlation_id != self.requests {
            return Err("an answer belongs to another request".to_owned());
        }
        R::Response::decode(&mut answer, version)
            .map_err(|error| format!("an answer cannot be read: {error}"))
    }

    async fn send(&mut self, length: u32, message: &[u8]) -> std::io::Result<()> {
        self.stream.write_u32(length).await?;
        self.stream.write_all(message).await
    }

    async fn receive(&mut self) -> std::io::Result<Bytes> {
        let length = self.stream.read_u32().await? as usize;
        if length > MAX_ANSWER {
            return Err(std::io::Error::other(format!("an answer of {length} bytes")));
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        Ok(answer.into())
    }
}
