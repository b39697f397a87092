//! Visitors of pages with the pixel, beside the clients of ingest, and what must hold of their hits.
//!
//! A beacon's 204 means that it is durable, as any acknowledgement. The image comes whatever becomes of its hit: of one that
//! came within `pixel.answer_within` momsflow counts why it was not logged, a later one may be lost with the process.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use momsflow::config;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio_postgres::Client as Store;
use uuid::Uuid;

use super::client::Client;
use super::host::Host;
use super::report::Report;

/// The keys of all hosts, so that each knows the others' visitors.
pub const KEYS: &str =
    "[[userprint_keys]]\nid = \"soak\"\nkey = \"a key of at least thirty-two characters\"\n";
/// Whom visitors ask, whichever host that is.
const NAME: &str = "events.example";
const VISITORS: u64 = 4;
const PATIENCE: Duration = Duration::from_secs(40);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Between two looks at a host's counts, which a kill takes away.
const LOOK: Duration = Duration::from_millis(100);

/// A hit, as its visitor knows it.
#[derive(Clone, Copy, Debug)]
struct Hit {
    is_beacon: bool,
    /// Whom its cookie named.
    sent_as: Option<Uuid>,
    /// Whom the visitor is after the answer; nobody while there is none.
    answered_as: Option<Uuid>,
    /// Whether what is said of an image's answer holds, that it came in time.
    is_in_time: bool,
}

/// What momsflow counts of hits.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    logged: f64,
    unsure: f64,
    unlogged: f64,
}

#[derive(Debug, Default)]
struct Common {
    hits: Mutex<HashMap<u64, Hit>>,
    next: AtomicU64,
    /// What an answer said that it must not.
    violations: Mutex<Vec<String>>,
    /// The counts of all processes that are gone.
    counted: Mutex<Counted>,
    is_over: AtomicBool,
}

pub struct Visitors {
    common: Arc<Common>,
    tasks: JoinSet<()>,
}

impl Visitors {
    /// Starts visitors of these hosts, of which a visitor takes the next one where the last failed it.
    pub fn start(hosts: &[Host], seed: u64) -> Self {
        let common = Arc::<Common>::default();
        let mut tasks = JoinSet::new();
        for number in 0..VISITORS {
            let visitor = Visitor {
                common: Arc::clone(&common),
                clients: hosts.iter().map(|host| Client::new(host.addr)).collect(),
                at: number as usize % hosts.len(),
                cookie: None,
                rng: StdRng::seed_from_u64(seed ^ (number + 1)),
            };
            tasks.spawn(visitor.run());
        }
        for host in hosts {
            tasks.spawn(look(Arc::clone(&common), host.admin()));
        }
        Self { common, tasks }
    }

    /// Ends the visits: each brings its last one to an end.
    pub async fn finish(self) -> Account {
        self.common.is_over.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
        Account(self.common)
    }
}

/// Adds up what a host counts, over all of its processes.
async fn look(common: Arc<Common>, admin: SocketAddr) {
    let mut client = Client::new(admin);
    let mut last = Counted::default();
    loop {
        let is_over = common.is_over.load(Ordering::Relaxed);
        let request = Request::get("/metrics").header("host", admin.to_string());
        let request = request.body(Full::default()).unwrap();
        let answer = client.exchange(request, Duration::from_secs(5)).await;
        if let Ok(answer) = answer {
            let now = Counted::read(&String::from_utf8_lossy(answer.body()));
            if now.sum() < last.sum() {
                common.counted.lock().unwrap().add(last);
            }
            last = now;
        }
        if is_over {
            return common.counted.lock().unwrap().add(last);
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Counted {
    fn read(metrics: &str) -> Self {
        let hits = |outcome: &str| {
            let label = format!("outcome=\"{outcome}\"");
            let lines = metrics.lines();
            let lines =
                lines.filter(|line| line.starts_with("momsflow_pixel_hits_total{") && line.contains(&label));
            let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
            lines.filter_map(value).fold(0.0, std::ops::Add::add)
        };
        Self {
            logged: hits("logged"),
            unsure: hits("unsure"),
            unlogged: hits("shed") + hits("refused"),
        }
    }

    fn sum(self) -> f64 {
        self.logged + self.unsure + self.unlogged
    }

    fn add(&mut self, other: Self) {
        self.logged += other.logged;
        self.unsure += other.unsure;
        self.unlogged += other.unlogged;
    }
}

struct Visitor {
    common: Arc<Common>,
    clients: Vec<Client>,
    /// The one that it asks.
    at: usize,
    cookie: Option<String>,
    rng: StdRng,
}

impl Visitor {
    async fn run(mut self) {
        while !self.common.is_over.load(Ordering::Relaxed) {
            // Now and then somebody new comes.
            if self.rng.random_ratio(1, 50) {
                self.cookie = None;
            }
            self.hit().await;
            tokio::time::sleep(LONGEST_PAUSE.mul_f64(self.rng.random())).await;
        }
    }

    async fn hit(&mut self) {
        let n = self.common.next.fetch_add(1, Ordering::Relaxed);
        let is_beacon = self.rng.random_ratio(1, 3);
        let sent_as = self.cookie.as_deref().map(id);
        let hit = Hit {
            is_beacon,
            sent_as,
            answered_as: None,
            is_in_time: false,
        };
        self.common.hits().insert(n, hit);
        // Some leave the page at once.
        let patience = match self.rng.random_ratio(1, 50) {
            true => Duration::from_millis(self.rng.random_range(0..15)),
            false => PATIENCE,
        };
        let begun = Instant::now();
        let request = self.request(n, is_beacon);
        let answer = self.clients[self.at].exchange(request, patience).await;
        let took = begun.elapsed();
        let Ok(answer) = answer else {
            self.at = (self.at + 1) % self.clients.len();
            return;
        };
        if let Some(cookie) = set_cookie(&answer) {
            self.cookie = Some(cookie);
        }
        let answered_as = self.cookie.as_deref().map(id);
        let is_taken = match (is_beacon, answer.status().as_u16()) {
            (true, 204) => true,
            (true, 503) => false,
            (false, 200) if answer.body().len() == 43 => true,
            (_, status) => {
                let text = String::from_utf8_lossy(answer.body());
                return self.common.violate(format!("hit {n}: {status} {text}"));
            }
        };
        if sent_as.is_some() && sent_as != answered_as {
            return self
                .common
                .violate(format!("hit {n}: {sent_as:?} became {answered_as:?}"));
        }
        if is_taken && let Some(hit) = self.common.hits().get_mut(&n) {
            hit.answered_as = answered_as;
            hit.is_in_time = took < config::Pixel::default().answer_within;
        }
    }

    fn request(&self, n: u64, is_beacon: bool) -> Request<Full<Bytes>> {
        let request = match is_beacon {
            true => Request::post("/p"),
            false => Request::get(format!("/p.gif?event=Hit&prop.n={n}")),
        };
        let request = match &self.cookie {
            Some(cookie) => request.header("cookie", format!("userprint={cookie}")),
            None => request,
        };
        let body = match is_beacon {
            true => format!(r#"{{"event":"Hit","properties":{{"n":{n}}}}}"#).into(),
            false => Bytes::new(),
        };
        request.header("host", NAME).body(Full::new(body)).unwrap()
    }
}

impl Common {
    fn hits(&self) -> MutexGuard<'_, HashMap<u64, Hit>> {
        self.hits.lock().unwrap()
    }

    fn violate(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }
}

/// What came of all hits.
pub struct Account(Arc<Common>);

impl Account {
    /// Compares it with the store.
    pub async fn audit(&self, store: &Store, report: &mut Report) {
        let query = "SELECT (properties->>'n')::bigint, anonymous_id FROM all_events WHERE source = 'pixel'";
        let rows = store.query(query, &[]).await.unwrap();
        let hits = self.0.hits();
        let mut stored = HashSet::new();
        for row in &rows {
            let n = row.get::<_, i64>(0).cast_unsigned();
            let Some(hit) = hits.get(&n) else {
                report.fault(format!("hit {n} is stored and was never sent"));
                continue;
            };
            if !stored.insert(n) {
                report.fault(format!("hit {n} is stored twice"));
            }
            let found: Uuid = row.get::<_, &str>(1).parse().unwrap();
            if hit.sent_as.or(hit.answered_as).is_some_and(|id| id != found) {
                report.fault(format!("hit {n} is stored as {found}'s: {hit:?}"));
            }
        }
        let missing = |is_one: &dyn Fn(&Hit) -> bool| {
            let is_missing = |(n, hit): &(&u64, &Hit)| is_one(hit) && !stored.contains(*n);
            hits.iter().filter(is_missing).count()
        };
        let is_answered = |hit: &Hit| hit.answered_as.is_some();
        let beacons = missing(&|hit| hit.is_beacon && is_answered(hit));
        let in_time = missing(&|hit| !hit.is_beacon && is_answered(hit) && hit.is_in_time);
        let late = missing(&|hit| !hit.is_beacon && is_answered(hit) && !hit.is_in_time);
        let counted = *self.0.counted.lock().unwrap();
        report.line("hits of the pixel", hits.len());
        report.line(
            "of them answered",
            hits.values().filter(|hit| is_answered(hit)).count(),
        );
        report.line("of them stored", stored.len());
        report.line(
            "images that came late",
            hits.values().filter(|hit| is_late(hit)).count(),
        );
        report.line("of those not stored", late);
        report.line(
            "counted as logged, unsure, shed or refused",
            format!("{}, {}, {}", counted.logged, counted.unsure, counted.unlogged),
        );
        if beacons > 0 {
            report.fault(format!("{beacons} beacons were acknowledged and are not stored"));
        }
        if in_time as f64 > counted.unlogged {
            report.fault(format!("{in_time} hits are not stored, and {counted:?}"));
        }
        if counted.logged > stored.len() as f64 || counted.logged == 0.0 {
            report.fault(format!("{} hits are stored, and {counted:?}", stored.len()));
        }
        for violation in self.0.violations.lock().unwrap().iter().take(20) {
            report.fault(violation);
        }
    }
}

fn is_late(hit: &Hit) -> bool {
    !hit.is_beacon && hit.answered_as.is_some() && !hit.is_in_time
}

/// The cookie that an answer sets.
fn set_cookie(answer: &Response<Bytes>) -> Option<String> {
    let set = answer.headers().get("set-cookie")?.to_str().ok()?;
    Some(set.split(';').next()?.strip_prefix("userprint=")?.to_owned())
}

/// The visitor's id in a cookie.
fn id(cookie: &str) -> Uuid {
    cookie.split('.').nth(2).unwrap().parse().unwrap()
}
