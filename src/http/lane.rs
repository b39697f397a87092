//! A short way for one path, beside the framework: whole, plain requests for it are answered from here, and anything
//! else is handed over to the framework with its connection.
//!
//! The framework's way costs several times as much as the work behind it where that is as small as a hit's
//! (docs/benchmarks.md). What is left to it: whatever is no `GET` of the path in one piece, has a body, asks for an
//! upgrade, comes from a script of another origin, or has another request behind it.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_server::GracefulShutdownSignal;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use metrics::{Histogram, histogram};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::head::Head;
use super::short_head::{HEADERS, ShortHead};
use crate::telemetry::metric;

/// The most bytes of a head that is answered from here.
const HEAD: usize = 8 * 1024;
/// How long a client may take to read its answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Answers the requests of one path, all with status 200 and the same body.
pub trait Lane {
    /// The path, in full.
    fn path(&self) -> &'static str;

    /// What is answered.
    fn body(&self) -> &'static [u8];

    /// Takes a request, and adds the answer's own headers, each with its line's end. The answer is sent when the future
    /// ends. Who drops the future has not taken anything back.
    fn take(&self, head: &dyn Head, headers: &mut Vec<u8>) -> LocalBoxFuture<'static, ()>;
}

/// Makes a lane in each worker.
pub type Lanes = Arc<dyn Fn() -> Rc<dyn Lane> + Send + Sync>;

/// A worker's lane, and what its connections share.
pub(super) struct Road {
    lane: Rc<dyn Lane>,
    limits: Limits,
    draining: GracefulShutdownSignal,
    /// What was read last. Nothing of it is needed once a request is taken, so that no connection has a buffer of its own.
    scratch: RefCell<Box<[u8]>>,
    date: Date,
    took: Histogram,
}

/// How long a connection may say nothing.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) before_first: Duration,
    pub(super) between: Duration,
}

/// What became of a reading.
enum Step {
    /// A request was taken. Its answer, but for the wait, stands in the buffer.
    Taken {
        wait: LocalBoxFuture<'static, ()>,
        is_last: bool,
    },
    /// What was read, for the framework.
    Left(Bytes),
    /// The client has closed, was silent for too long, or the server stops.
    Over,
}

impl Road {
    pub(super) fn new(lanes: &Lanes, limits: Limits, draining: GracefulShutdownSignal) -> Self {
        Self {
            lane: lanes(),
            limits,
            draining,
            scratch: RefCell::new(vec![0; HEAD].into()),
            date: Date::default(),
            took: histogram!(metric::HTTP_REQUEST_SECONDS, "status" => "200"),
        }
    }

    /// Answers a connection's requests. Returns it, with what was read and not answered, once something comes that is
    /// the framework's; `None` when it is over.
    pub(super) async fn drive(
        &self,
        mut stream: TcpStream,
        peer: Option<SocketAddr>,
    ) -> Option<(TcpStream, Bytes)> {
        let peer = peer.map(|peer| peer.ip());
        let mut draining = pin!(self.draining.notified());
        let mut silence = pin!(sleep(self.limits.before_first));
        let mut until = Instant::now() + self.limits.before_first;
        let mut answer = Vec::new();
        loop {
            let step = std::future::poll_fn(|cx| {
                if let Poll::Ready(step) = self.read(&mut stream, peer, &mut answer, cx) {
                    return Poll::Ready(step);
                }
                ready!(poll_either(draining.as_mut(), silence.as_mut(), until, cx));
                Poll::Ready(Step::Over)
            });
            let (wait, is_last) = match step.await {
                Step::Taken { wait, is_last } => (wait, is_last),
                Step::Left(read) => return Some((stream, read)),
                Step::Over => return None,
            };
            let began = Instant::now();
            wait.await;
            write(&mut stream, &answer).await.ok()?;
            let now = Instant::now();
            self.took.record(now.duration_since(began).as_secs_f64());
            if is_last {
                let _ = stream.shutdown().await;
                return None;
            }
            until = now + self.limits.between;
        }
    }

    /// Reads a request and takes it.
    fn read(
        &self,
        stream: &mut TcpStream,
        peer: Option<IpAddr>,
        answer: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Step> {
        let mut scratch = self.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        if ready!(Pin::new(stream).poll_read(cx, &mut buffer)).is_err() {
            return Poll::Ready(Step::Over);
        }
        let read = buffer.filled();
        if read.is_empty() {
            return Poll::Ready(Step::Over);
        }
        let step = self.take(read, peer, answer);
        Poll::Ready(step.unwrap_or_else(|| Step::Left(Bytes::copy_from_slice(read))))
    }

    /// `None` where the framework shall do it.
    fn take(&self, read: &[u8], peer: Option<IpAddr>, answer: &mut Vec<u8>) -> Option<Step> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let head = ShortHead::read(read, &mut headers, self.lane.path(), peer)?;
        let is_last = head.is_last?;
        answer.clear();
        let body = self.lane.body();
        answer.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: ");
        answer.extend_from_slice(body.len().to_string().as_bytes());
        answer.extend_from_slice(b"\r\ndate: ");
        self.date.write(answer);
        answer.extend_from_slice(if is_last {
            b"\r\nconnection: close\r\n"
        } else {
            b"\r\n"
        });
        let wait = self.lane.take(&head, answer);
        answer.extend_from_slice(b"\r\n");
        answer.extend_from_slice(body);
        Some(Step::Taken { wait, is_last })
    }
}

/// Ends when either does. The timer is set anew when it fires too early, and not with each request.
fn poll_either(
    draining: Pin<&mut impl Future<Output = ()>>,
    mut silence: Pin<&mut Sleep>,
    until: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if draining.poll(cx).is_ready() {
        return Poll::Ready(());
    }
    loop {
        ready!(silence.as_mut().poll(cx));
        if Instant::now() >= until {
            return Poll::Ready(());
        }
        silence.as_mut().reset(until);
    }
}

async fn write(stream: &mut TcpStream, answer: &[u8]) -> io::Result<()> {
    let written = match stream.try_write(answer) {
        Ok(written) if written == answer.len() => return Ok(()),
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    timeout(WRITE_PATIENCE, stream.write_all(&answer[written..])).await?
}

/// The header `Date`, written once a second.
#[derive(Default)]
struct Date {
    second: Cell<i64>,
    text: RefCell<String>,
}

impl Date {
    fn write(&self, out: &mut Vec<u8>) {
        let now = Timestamp::now();
        if self.second.replace(now.as_second()) != now.as_second() {
            let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
            *self.text.borrow_mut() = text.unwrap_or_default();
        }
        out.extend_from_slice(self.text.borrow().as_bytes());
    }
}
