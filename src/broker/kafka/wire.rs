//! Requests and answers on one stream.

use std::io;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{
    Decodable, HeaderVersion, Request, StrBytes, encode_request_header_into_buffer,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::CLIENT_ID;
use super::tls::Tls;

/// The longest answer that is taken in; a guard against speaking with something that is no Kafka.
const MAX_ANSWER: usize = 128 << 20;
/// How an alert of TLS begins: its type, and the first byte of every version.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// A stream to one broker, one request at a time. After an error it is of no use any more.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    requests: i32,
}

/// Why an exchange came to no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Unreadable(String),
    #[error("the answer is TLS")]
    IsTls,
}

impl Wire {
    /// Connects to `host:port`.
    pub(super) async fn open(address: &str, tls: Option<&Tls>) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        // Requests are small and waited for.
        let _ = stream.set_nodelay(true);
        let stream = match tls {
            None => Either::Left(stream),
            Some(tls) => Either::Right(Box::new(tls.connect(address, stream).await?)),
        };
        Ok(Self { stream, requests: 0 })
    }

    /// Whether nothing was sent yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.requests == 0
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn exchange<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, Broken> {
        self.requests = self.requests.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.requests)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
        let mut message = BytesMut::new();
        encode_request_header_into_buffer(&mut message, &header)
            .and_then(|()| request.encode(&mut message, version))
            .map_err(|error| Broken::Unreadable(format!("a request cannot be written: {error}")))?;
        let sent = self.send(&message).await;
        // A broker that closes says why in an alert, which is there to be read though nothing can be sent.
        let mut answer = match (self.receive().await, sent) {
            (Err(Broken::Io(error)), Err(_)) if super::tls::explain(&error).is_some() => {
                return Err(error.into());
            }
            (_, Err(error)) => return Err(error.into()),
            (answer, Ok(())) => answer?,
        };
        let unreadable = |error| Broken::Unreadable(format!("an answer cannot be read: {error}"));
        let header =
            ResponseHeader::decode(&mut answer, R::Response::header_version(version)).map_err(unreadable)?;
        if header.correlation_id != self.requests {
            return Err(Broken::Unreadable(
                "an answer belongs to another request".to_owned(),
            ));
        }
        R::Response::decode(&mut answer, version).map_err(unreadable)
    }

    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let length = u32::try_from(message.len()).map_err(io::Error::other)?;
        self.stream.write_u32(length).await?;
        self.stream.write_all(message).await?;
        self.stream.flush().await
    }

    async fn receive(&mut self) -> Result<Bytes, Broken> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).await?;
        if length.starts_with(&TLS_ALERT) {
            return Err(Broken::IsTls);
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_ANSWER {
            return Err(Broken::Unreadable(format!("an answer of {length} bytes")));
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        Ok(answer.into())
    }
}
