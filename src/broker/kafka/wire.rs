//! Requests and answers on one stream.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::select_ok;
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{
    Decodable, HeaderVersion, Request, StrBytes, encode_request_header_into_buffer,
};
use rand::seq::SliceRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::CLIENT_ID;
use super::tls::Tls;

/// The longest answer that is taken in; a guard against speaking with something that is no Kafka.
const MAX_ANSWER: usize = 128 << 20;
/// How long an address of a name may take before the next one is tried as well.
const HEAD_START: Duration = Duration::from_millis(100);
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
        let stream = connect(lookup_host(address).await?.collect()).await?;
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
        // Room for the length, so that all of it goes out at once.
        let mut message = BytesMut::zeroed(4);
        encode_request_header_into_buffer(&mut message, &header)
            .and_then(|()| request.encode(&mut message, version))
            .map_err(|error| Broken::Unreadable(format!("a request cannot be written: {error}")))?;
        let length = u32::try_from(message.len() - 4).unwrap_or(u32::MAX);
        message[..4].copy_from_slice(&length.to_be_bytes());
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

/// Connects to the first of a name's addresses that answers. In any order: one that takes connections and does nothing else
/// would be tried each time.
async fn connect(mut addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    if addresses.is_empty() {
        return Err(io::Error::other("the name has no address"));
    }
    addresses.shuffle(&mut rand::rng());
    let attempts = (0..).zip(addresses).map(|(place, address)| {
        Box::pin(async move {
            tokio::time::sleep(HEAD_START * place).await;
            TcpStream::connect(address).await
        })
    });
    select_ok(attempts).await.map(|(stream, _)| stream)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn an_address_that_does_not_answer_hides_no_other_one_of_the_name() {
        let full = TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(1).unwrap();
        let silent = full.local_addr().unwrap();
        let mut taken = Vec::new();
        // One that only came late would leave room for those that must not get in.
        while let Ok(stream) = timeout(Duration::from_secs(5), TcpStream::connect(silent)).await {
            taken.push(stream.unwrap());
        }
        let broker = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = broker.local_addr().unwrap();
        for _ in 0..20 {
            let connected = timeout(Duration::from_secs(120), connect(vec![silent, alive])).await;
            assert_eq!(connected.unwrap().unwrap().peer_addr().unwrap(), alive);
        }
        drop(broker);
        let gone = connect(vec![alive]).await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::ConnectionRefused);
        assert!(connect(Vec::new()).await.is_err());
    }
}
