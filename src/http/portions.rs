//! A connection that hands over what it received in portions.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

use super::budget::Connection;
use super::valve::{Flow, Valve};

/// The most that is handed over before the reader must look at it.
const PORTION: usize = 8 * 1024;
/// How much of an unwanted body is read before others have their turn. More would starve the bodies that are wanted.
const DISCARDED: usize = 2 * PORTION;
/// With less room than this actix-http lets its buffer grow before it reads on (`LW_BUFFER_SIZE`).
const SPARE: usize = 1024;

/// A TCP stream whose reader gets a portion at a time, and between two of them a `Pending` with a wake-up.
///
/// actix-http reads a connection until it answers `Pending`, up to 128 KiB, before any handler sees the request,
/// and keeps that buffer as long as the connection. In portions the handler hears of a request with its head, the
/// in-flight budget can refuse it before its body is in memory, and the buffer stays at its first size.
#[derive(Debug)]
pub(super) struct Portions {
    stream: TcpStream,
    /// What was read before, and comes first.
    before: Bytes,
    /// What is left of this portion.
    left: usize,
    valve: Valve,
    /// Held while the connection is open.
    _share: Connection,
}

impl Portions {
    pub(super) fn new(stream: TcpStream, before: Bytes, share: Connection) -> Self {
        Self {
            stream,
            before,
            left: PORTION,
            valve: Valve::default(),
            _share: share,
        }
    }

    /// What the handlers of its requests hold its reading up with.
    pub(super) fn valve(&self) -> &Valve {
        &self.valve
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().stream)
    }

    /// Reads without handing anything over, but for the end.
    fn discard(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; DISCARDED];
        let mut scratch = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut scratch))?;
        if scratch.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncRead for Portions {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.valve.poll(cx) {
            Flow::Open => {}
            Flow::Shut => return Poll::Pending,
            Flow::Discarding => return self.discard(cx),
        }
        if self.left == 0 {
            self.left = PORTION;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let room = buffer.remaining();
        let fills = room > SPARE && room - SPARE <= self.left;
        // Leaves so much free that the buffer does not grow while nothing has been taken out of it. Where less is
        // left, half of that is what a new buffer of the same size takes up along with the rest of the portion.
        let most = match room {
            _ if fills => room - SPARE,
            ..=SPARE => room.min(SPARE / 2),
            _ => self.left,
        };
        let read = match self.before.is_empty() {
            true => poll_read_buf(Pin::new(&mut self.stream), cx, &mut buffer.limit(most))?,
            false => {
                let first = self.before.len().min(most);
                buffer.put_slice(&self.before[..first]);
                self.before.advance(first);
                Poll::Ready(first)
            }
        };
        match read {
            Poll::Pending => {
                self.left = PORTION;
                Poll::Pending
            }
            Poll::Ready(read) => {
                self.left = match fills && read == most {
                    true => 0,
                    false => self.left.saturating_sub(read),
                };
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Portions {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::http::budget::Budget;

    async fn pair() -> (Portions, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (
            Portions::new(
                listener.accept().await.unwrap().0,
                Bytes::new(),
                Budget::new(0).connect(),
            ),
            client,
        )
    }

    /// Reads as actix-http does: until `Pending`, growing the buffer when less than `SPARE` is free. Returns the
    /// bytes of each turn and the largest buffer.
    async fn turns(mut connection: Portions) -> (Vec<Vec<u8>>, usize) {
        let (mut turns, mut largest) = (Vec::new(), 0);
        let mut buffer = bytes::BytesMut::with_capacity(PORTION);
        loop {
            let ended = poll_fn(|cx| {
                loop {
                    let room = buffer.capacity() - buffer.len();
                    if room < SPARE {
                        buffer.reserve(PORTION - room);
                    }
                    largest = largest.max(buffer.capacity());
                    match poll_read_buf(Pin::new(&mut connection), cx, &mut buffer) {
                        Poll::Ready(read) if read.as_ref().is_ok_and(|read| *read > 0) => {}
                        Poll::Ready(_) => return Poll::Ready(true),
                        Poll::Pending if buffer.is_empty() => return Poll::Pending,
                        Poll::Pending => return Poll::Ready(false),
                    }
                }
            });
            let ended = ended.await;
            turns.push(buffer.split().to_vec());
            if ended {
                return (turns, largest);
            }
        }
    }

    #[tokio::test]
    async fn everything_arrives_in_portions_and_the_buffer_does_not_grow() {
        let (connection, mut client) = pair().await;
        let sent: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let bytes = sent.clone();
        let writer = tokio::spawn(async move {
            client.write_all(&bytes).await.unwrap();
        });
        let reading = tokio::time::timeout(std::time::Duration::from_secs(120), turns(connection));
        let (turns, largest) = reading.await.unwrap();
        writer.await.unwrap();
        assert!(turns.iter().all(|turn| turn.len() <= PORTION));
        assert!(largest <= PORTION + SPARE, "{largest}");
        assert_eq!(turns.concat(), sent);
    }

    #[tokio::test]
    async fn what_was_read_before_comes_first() {
        let (mut connection, mut client) = pair().await;
        let sent: Vec<u8> = (0..30_000u32).map(|n| (n % 251) as u8).collect();
        connection.before = Bytes::copy_from_slice(&sent[..9000]);
        client.write_all(&sent[9000..]).await.unwrap();
        drop(client);
        let (turns, largest) = turns(connection).await;
        assert!(largest <= PORTION + SPARE, "{largest}");
        assert_eq!(turns.concat(), sent);
    }

    #[tokio::test]
    async fn a_byte_at_a_time_arrives_too() {
        let (connection, mut client) = pair().await;
        client.set_nodelay(true).unwrap();
        let writer = tokio::spawn(async move {
            for byte in 0..50u8 {
                client.write_all(&[byte]).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        });
        let reading = tokio::time::timeout(std::time::Duration::from_secs(120), turns(connection));
        let (turns, _) = reading.await.unwrap();
        writer.await.unwrap();
        assert_eq!(turns.concat(), (0..50u8).collect::<Vec<_>>());
    }
}
