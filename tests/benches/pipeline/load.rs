//! The load generator: connections that are kept, over raw sockets, so that a request costs little beside the
//! server that it loads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::traffic::{Traffic, id_places, renew_ids};

/// Different bodies that a connection sends in turn.
const BODIES: u64 = 4;
/// How long a client whose connection was refused or closed waits before the next.
const RECONNECT_WAIT: Duration = Duration::from_millis(20);

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posts {
    /// One event a request.
    Single,
    /// So many events a request.
    Batch(usize),
}

/// A load on a server.
#[derive(Clone, Debug)]
pub struct Load {
    pub address: SocketAddr,
    pub key: String,
    pub posts: Posts,
    pub connections: usize,
    /// Events a second of all connections together; without it each sends as soon as it has its answer.
    pub pace: Option<f64>,
    pub window: Duration,
    /// Whether refusals (503, a closed connection) belong to the load, or are a fault of the bench.
    pub may_refuse: bool,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Outcome {
    pub accepted: usize,
    pub refused: usize,
    /// Connections that were refused or closed without an answer.
    pub broken: usize,
    pub bytes: usize,
    pub latencies: Vec<Duration>,
    pub took: Duration,
}

impl Outcome {
    pub fn events_per_second(&self, posts: Posts) -> f64 {
        (self.accepted * posts.events()) as f64 / self.took.as_secs_f64()
    }

    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.took.as_secs_f64() / 1e6
    }

    /// The latency that so many of a hundred requests are within, in milliseconds.
    pub fn percentile(&mut self, percent: usize) -> f64 {
        self.latencies.sort_unstable();
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies
            .get(at)
            .map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }

    pub fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.broken += other.broken;
        self.bytes += other.bytes;
        self.latencies.extend(other.latencies);
    }
}

impl Posts {
    pub fn events(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Batch(events) => events,
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Single => "/v1/track",
            Self::Batch(_) => "/v1/batch",
        }
    }
}

impl Load {
    /// Sends for the window, after a warm-up in which the connections are made.
    pub async fn run(self) -> Outcome {
        let load = Arc::new(self);
        let requests = load.requests();
        let begin = Instant::now() + Duration::from_millis(300);
        let mut tasks = JoinSet::new();
        for (number, requests) in (0..load.connections).zip(requests.into_iter().cycle()) {
            let client = Client {
                load: Arc::clone(&load),
                number,
                requests,
                rng: SmallRng::seed_from_u64(rand::random()),
                answer: Vec::with_capacity(1024),
            };
            tasks.spawn(client.run(begin));
        }
        let mut sum = Outcome::default();
        while let Some(outcome) = tasks.join_next().await {
            sum.add(outcome.unwrap());
        }
        sum.took = begin.elapsed().max(load.window);
        sum
    }

    /// Bodies for up to 64 connections; further ones send copies of them with other ids.
    fn requests(&self) -> Vec<Vec<Request>> {
        let at = Timestamp::now();
        (0..self.connections.min(64) as u64)
            .map(|connection| {
                let mut traffic = Traffic::new(connection);
                (0..BODIES).map(|_| self.request(&mut traffic, at)).collect()
            })
            .collect()
    }

    /// One request of this load, ready for the wire.
    pub fn request(&self, traffic: &mut Traffic, at: Timestamp) -> Request {
        let body = match self.posts {
            Posts::Single => {
                let id = traffic.id();
                traffic.event(id, at).into_bytes()
            }
            Posts::Batch(events) => traffic.batch(events, at).0,
        };
        let key = base64::engine::general_purpose::STANDARD.encode(format!("{}:", self.key));
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\nauthorization: Basic {key}\r\nuser-agent: bench\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.posts.path(),
            self.address,
            body.len()
        );
        let bytes = [head.into_bytes(), body].concat();
        let ids = id_places(std::str::from_utf8(&bytes).unwrap());
        Request { bytes, ids }
    }
}

/// A request as it goes over the wire; its ids are written anew for each time it is sent.
#[derive(Clone)]
pub struct Request {
    pub bytes: Vec<u8>,
    ids: Vec<usize>,
}

impl Request {
    /// The id of its first event.
    pub fn first_id(&self) -> Uuid {
        let at = self.ids[0];
        Uuid::try_parse_ascii(&self.bytes[at..at + 36]).unwrap()
    }

    fn renew_ids(&mut self, rng: &mut SmallRng) {
        renew_ids(&mut self.bytes, &self.ids, rng);
    }
}

struct Client {
    load: Arc<Load>,
    number: usize,
    requests: Vec<Request>,
    rng: SmallRng,
    answer: Vec<u8>,
}

impl Client {
    async fn run(mut self, begin: Instant) -> Outcome {
        let mut outcome = Outcome::default();
        let end = begin + self.load.window;
        let mut connection = TcpStream::connect(self.load.address).await.ok();
        tokio::time::sleep_until(begin).await;
        for round in 0.. {
            let due = self.due(begin, round);
            if due >= end {
                return outcome;
            }
            if self.load.pace.is_some() {
                tokio::time::sleep_until(due).await;
            }
            if connection.is_none() {
                tokio::time::sleep(RECONNECT_WAIT).await;
                connection = TcpStream::connect(self.load.address).await.ok();
            }
            // Closed loop: what counts begins with the sending. On a pace it begins when it was due.
            let sent = if self.load.pace.is_some() {
                due
            } else {
                Instant::now()
            };
            // Each sends once, however late it comes to it.
            if sent >= end && round > 0 {
                return outcome;
            }
            connection = self.post(connection, round, sent, &mut outcome).await;
        }
        outcome
    }

    fn due(&self, begin: Instant, round: u32) -> Instant {
        let Some(pace) = self.load.pace else { return begin };
        let between = self.load.posts.events() as f64 * self.load.connections as f64 / pace;
        let turn = f64::from(round) + self.number as f64 / self.load.connections as f64;
        begin + Duration::from_secs_f64(between * turn)
    }

    async fn post(
        &mut self,
        connection: Option<TcpStream>,
        round: u32,
        sent: Instant,
        outcome: &mut Outcome,
    ) -> Option<TcpStream> {
        let mut connection = connection?;
        let request = round as usize % self.requests.len();
        let request = &mut self.requests[request];
        request.renew_ids(&mut self.rng);
        let exchanged = exchange(&mut connection, &request.bytes, &mut self.answer).await;
        match exchanged {
            Ok(200) => {
                outcome.accepted += 1;
                outcome.bytes += request.bytes.len();
                outcome.latencies.push(sent.elapsed());
                let expected = format!(r#""accepted":{}"#, self.load.posts.events());
                let text = String::from_utf8_lossy(&self.answer);
                assert!(round > 0 || text.contains(&expected), "answered {text}");
            }
            Ok(503) if self.load.may_refuse => outcome.refused += 1,
            Err(_) if self.load.may_refuse => {
                outcome.broken += 1;
                return None;
            }
            other => panic!("{other:?}: {}", String::from_utf8_lossy(&self.answer)),
        }
        Some(connection)
    }
}

/// Sends a request and reads its answer whole; returns the status.
pub async fn exchange(
    connection: &mut TcpStream,
    request: &[u8],
    answer: &mut Vec<u8>,
) -> std::io::Result<u16> {
    connection.write_all(request).await?;
    answer.clear();
    loop {
        if connection.read_buf(answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((status, length)) = parse(answer)
            && answer.len() >= length
        {
            return Ok(status);
        }
    }
}

/// Status and whole length of an answer, once its head is there.
fn parse(answer: &[u8]) -> Option<(u16, usize)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.get(9..12)?.parse().ok()?;
    let body = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, length)| length.trim().parse().unwrap_or(0));
    Some((status, end + body))
}
