//! A running public listener before a log in memory, and a client of bare sockets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytesize::ByteSize;
use momsflow::broker::intake::Intake;
use momsflow::broker::{EventLog, LogError, OffsetRange, Record, StoredRecord};
use momsflow::clock::Clock;
use momsflow::collector::Collector;
use momsflow::config::{Config, Secret};
use momsflow::event::wire::{self, WireRecord};
use momsflow::http::{Bound, Gate, Handlers, Server, Source, Sources};
use momsflow::lifecycle::Health;
use momsflow::roles::pixel::Pixel;
use momsflow::roles::{ingest, pixel};
use momsflow::userprint::{Key, Ring, Terms, Userprints};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::serve::PATIENCE;

/// Keeps what is appended; refuses all appends, or lets them wait, on demand.
#[derive(Debug, Default)]
pub struct MemoryLog {
    pub partitions: Mutex<[Vec<Record>; 4]>,
    pub refuses: AtomicBool,
    pub hangs: AtomicBool,
    /// How many appends wait, each of a partition's records.
    pub waiting: AtomicUsize,
}

#[async_trait]
impl EventLog for MemoryLog {
    fn log_id(&self) -> Uuid {
        Uuid::nil()
    }

    fn kind(&self) -> &'static str {
        "memory"
    }

    fn partitions(&self) -> i32 {
        4
    }

    async fn append(&self, partition: i32, records: Vec<Record>) -> Result<i64, LogError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while self.hangs.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if self.refuses.load(Ordering::SeqCst) {
            return Err(LogError::Unavailable("no space left on /dev/secret".to_owned()));
        }
        let mut partitions = self.partitions.lock().unwrap();
        let partition = &mut partitions[partition as usize];
        let first = partition.len() as i64;
        partition.extend(records);
        Ok(first)
    }

    async fn fetch(&self, _: i32, _: i64, _: usize, _: Duration) -> Result<Vec<StoredRecord>, LogError> {
        Err(LogError::Fatal("nobody fetches here".to_owned()))
    }

    async fn offsets(&self, _: i32) -> Result<OffsetRange, LogError> {
        Err(LogError::Fatal("nobody asks here".to_owned()))
    }

    fn release(&self, _: i32, _: i64) {}

    fn health(&self) -> Result<(), String> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err("disk full".to_owned());
        }
        Ok(())
    }
}

impl MemoryLog {
    /// Every record as JSON: events and rejections.
    pub fn records(&self) -> Vec<Value> {
        let partitions = self.partitions.lock().unwrap();
        let records = partitions.iter().flatten();
        records
            .map(|record| serde_json::from_slice(&record.value).unwrap())
            .collect()
    }

    pub fn events(&self) -> Vec<Value> {
        self.records()
            .into_iter()
            .filter(|record| record["rejected"].is_null())
            .collect()
    }

    pub fn rejections(&self) -> Vec<Value> {
        self.records()
            .into_iter()
            .filter(|record| !record["rejected"].is_null())
            .collect()
    }

    /// Checks that all of it can be read back, keyed by its person.
    pub fn assert_readable(&self) {
        for record in self.partitions.lock().unwrap().iter().flatten() {
            match wire::decode(&record.value).unwrap() {
                WireRecord::Event(event) => assert_eq!(event.person_key().as_bytes(), record.key),
                WireRecord::Rejection(_) => assert!(record.key.is_empty()),
            }
        }
    }
}

pub struct Running {
    pub ingest: Arc<Collector>,
    pub pixel: Arc<Pixel>,
    pub userprints: Userprints,
    pub addr: SocketAddr,
    pub log: Arc<MemoryLog>,
    pub gate: Arc<Gate>,
    pub health: Health,
    pub stop: CancellationToken,
    pub task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub fn source(name: &str) -> Source {
    Source {
        name: name.to_owned(),
        trusted: true,
        origins: Vec::new(),
        may_backdate: false,
    }
}

/// Serves with three keys: `server-key` (trusted), `web-key` (a browser's) and `history-key` (may back-date).
pub async fn serve(change: impl FnOnce(&mut Config)) -> Running {
    let mut config = Config::default();
    config.http.listen = "127.0.0.1:0".parse().unwrap();
    config.http.workers = 1;
    config.http.max_body = ByteSize::mib(4);
    change(&mut config);
    let mut sources = Sources::default();
    let web = Source {
        trusted: false,
        origins: vec!["https://example.com".to_owned()],
        ..source("web")
    };
    let history = Source {
        may_backdate: true,
        ..source("history")
    };
    for (key, source) in [
        ("server-key", source("server")),
        ("web-key", web),
        ("history-key", history),
    ] {
        sources.add(&Secret::new(key), source).unwrap();
    }
    let log = Arc::new(MemoryLog::default());
    let key = Secret::new("a key that is long enough for a test");
    let ring = Ring::new(vec![Key::new("k1", &key, jiff::Timestamp::MIN)]).unwrap();
    let userprints = Userprints::new(ring, Terms::new(&config.pixel.cookie));
    let ingest = Collector::new(Arc::new(Intake::of(log.clone())), Clock::system(), &config);
    let ingest = Arc::new(ingest.with_userprints(userprints.clone()));
    let pixel = Arc::new(Pixel::new(
        ingest.clone(),
        userprints.clone(),
        Clock::system(),
        &config,
    ));
    let gate = Arc::new(Gate::new(&config.http, sources));
    let health = Health::default();
    let server = Server::listen(
        Bound::bind(config.http.listen).unwrap(),
        &config.http,
        gate.clone(),
        &health,
        Handlers {
            routes: vec![ingest::routes(ingest.clone()), pixel::routes(pixel.clone())],
            lane: Some(pixel::lane(pixel.clone(), gate.clone())),
        },
        PATIENCE,
    )
    .unwrap();
    let (addr, stop) = (server.addr(), CancellationToken::new());
    let task = tokio::spawn(server.run(stop.clone()));
    Running {
        ingest,
        pixel,
        userprints,
        addr,
        log,
        gate,
        health,
        stop,
        task,
    }
}

pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| {
            line.split_once(':')
                .is_some_and(|(known, _)| known.eq_ignore_ascii_case(name))
        })?;
        Some(line.split_once(':').unwrap().1.trim())
    }

    /// Checks that this is a problem+json answer with a status and a code.
    pub fn assert_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let body = self.json();
        assert_eq!(
            (&body["code"], &body["status"]),
            (&code.into(), &status.into()),
            "{body}"
        );
        assert_eq!(body["type"], format!("urn:momsflow:problem:{code}"));
        assert!(!body["title"].as_str().unwrap().is_empty() && !body["detail"].as_str().unwrap().is_empty());
        assert_eq!(body["message"], body["detail"]);
        body
    }
}

impl Running {
    /// Sends a request over a socket of its own.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: events.example\r\nConnection: close\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if method == "POST"
            && !headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        let request = [format!("{request}\r\n").as_bytes(), body].concat();
        self.raw(request).await
    }

    /// Sends bytes and reads until the server closes.
    pub async fn raw(&self, request: Vec<u8>) -> Reply {
        let addr = self.addr;
        tokio::task::spawn_blocking(move || exchange(addr, &request))
            .await
            .unwrap()
    }

    /// Posts JSON with the server's key.
    pub async fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Reply {
        let headers = [
            ("Authorization", "Bearer server-key"),
            ("Content-Type", "application/json"),
        ];
        self.send("POST", path, &headers, body.as_ref()).await
    }
}

fn exchange(addr: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server that refuses early may close before all is written.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    #[allow(clippy::disallowed_methods)] // capped
    let _ = stream.take(64 << 20).read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Reply {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
