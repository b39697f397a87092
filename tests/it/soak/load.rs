//! Clients that send without an end, retry with the same ids, and write down what they were told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinSet;

use super::client::{Answer, Client};
use super::event::{Event, Route, invalid};
use super::ledger::Ledger;

/// How long a client goes on with a request when the load has ended.
const LAST_PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_PATIENCE: Duration = Duration::from_secs(40);

/// How the load behaves; the numbers are a client's.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub clients: u64,
    pub max_batch: u32,
    /// The longest pause between two requests.
    pub pause: Duration,
}

/// What the clients share.
#[derive(Debug)]
struct Common {
    keys: HashMap<&'static str, String>,
    manner: Manner,
    ledger: Arc<Ledger>,
    next: AtomicU64,
    /// Acknowledged events that are to come again, with the number of the copy.
    again: Mutex<HashMap<Route, Vec<(Event, u32)>>>,
    /// Duplicates in a thousand.
    duplicates: AtomicU32,
    is_over: AtomicBool,
}

pub struct Load {
    common: Arc<Common>,
    clients: JoinSet<()>,
}

impl Load {
    /// Starts clients of these addresses, of which a client takes the next one where the last failed it.
    pub fn start(
        addrs: &[SocketAddr],
        keys: HashMap<&'static str, String>,
        manner: Manner,
        seed: u64,
        ledger: &Arc<Ledger>,
    ) -> Self {
        let common = Arc::new(Common {
            keys,
            manner,
            ledger: Arc::clone(ledger),
            next: AtomicU64::new(1),
            again: Mutex::default(),
            duplicates: AtomicU32::new(0),
            is_over: AtomicBool::new(false),
        });
        let mut clients = JoinSet::new();
        for number in 0..manner.clients {
            let rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
            let sender = Sender {
                common: common.clone(),
                clients: addrs.iter().copied().map(Client::new).collect(),
                at: number as usize % addrs.len(),
                rng,
            };
            clients.spawn(sender.run());
        }
        Self { common, clients }
    }

    pub fn set_duplicates(&self, per_mille: u32) {
        self.common.duplicates.store(per_mille, Ordering::Relaxed);
    }

    /// Ends the load: each client brings its last request to an end.
    pub async fn finish(self) {
        self.common.is_over.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
    }
}

struct Sender {
    common: Arc<Common>,
    clients: Vec<Client>,
    /// The one that it speaks to.
    at: usize,
    rng: StdRng,
}

/// One request's content; retries send the same bytes.
struct Parcel {
    route: Route,
    events: Vec<(Event, u32)>,
    invalid: Vec<String>,
    is_single: bool,
    body: Bytes,
}

impl Sender {
    async fn run(mut self) {
        while !self.is_over() {
            let parcel = self.pack();
            self.deliver(&parcel).await;
            let pause = self.common.manner.pause.mul_f64(self.rng.random());
            tokio::time::sleep(pause).await;
        }
    }

    fn is_over(&self) -> bool {
        self.common.is_over.load(Ordering::Relaxed)
    }

    fn pack(&mut self) -> Parcel {
        let route = match self.rng.random_range(0..10) {
            0..=5 => Route::Batch,
            6..=7 => Route::PublicBatch,
            _ => Route::Import,
        };
        let is_single = route != Route::Import && self.rng.random_ratio(1, 4);
        let size = if is_single {
            1
        } else {
            self.rng.random_range(1..=self.common.manner.max_batch)
        };
        let mut events = self.take_again(route, size as usize / 2 + 1);
        let mut bad = Vec::new();
        while events.len() + bad.len() < size as usize {
            let n = self.common.next.fetch_add(1, Ordering::Relaxed);
            if self.rng.random_ratio(1, 150) {
                bad.push(invalid(n));
            } else {
                let event = Event::new(n, route, self.rng.random(), now());
                events.push((event, Event::first_copy(route)));
            }
        }
        Parcel::new(route, events, bad, is_single)
    }

    fn take_again(&self, route: Route, most: usize) -> Vec<(Event, u32)> {
        let mut again = self.common.again.lock().unwrap();
        let waiting = again.entry(route).or_default();
        waiting.split_off(waiting.len().saturating_sub(most))
    }

    /// Sends until there is an answer that settles it; now and then loses patience in the middle.
    async fn deliver(&mut self, parcel: &Parcel) {
        let mut over_since: Option<Instant> = None;
        let mut attempts = 0;
        loop {
            self.common.ledger.sending(&parcel.events, &parcel.invalid);
            let patience = match self.rng.random_ratio(1, 100) {
                true => Duration::from_millis(self.rng.random_range(0..15)),
                false => ANSWER_PATIENCE,
            };
            let begun = Instant::now();
            let path = parcel.path();
            let key = self.common.keys[parcel.route.source()].clone();
            let client = &mut self.clients[self.at];
            let answer = client.post(path, &key, parcel.body.clone(), patience).await;
            attempts += 1;
            let wait = match answer {
                Ok(answer) if answer.status < 500 => {
                    self.note(&answer, begun);
                    return self.settle(parcel, &answer);
                }
                Ok(answer) => {
                    self.note(&answer, begun);
                    if answer.status != 503 || answer.retry_after.is_none() {
                        self.common.ledger.violation(format!("{answer:?}"));
                    }
                    answer.retry_after.unwrap_or(Duration::from_secs(1))
                }
                Err(_) => {
                    self.common.ledger.book().failures += 1;
                    Duration::from_millis(self.rng.random_range(20..400))
                }
            };
            let is_late =
                self.is_over() && over_since.get_or_insert_with(Instant::now).elapsed() > LAST_PATIENCE;
            // Some clients never come back: their events may be stored, once.
            if is_late || (attempts > 1 && self.rng.random_ratio(1, 100)) {
                self.common.ledger.book().given_up += 1;
                return;
            }
            self.at = (self.at + 1) % self.clients.len();
            tokio::time::sleep(wait).await;
        }
    }

    fn note(&self, answer: &Answer, begun: Instant) {
        let mut book = self.common.ledger.book();
        *book.answers.entry(answer.status).or_default() += 1;
        book.slowest_answer_ms = book.slowest_answer_ms.max(begun.elapsed().as_millis());
    }

    fn settle(&mut self, parcel: &Parcel, answer: &Answer) {
        let ledger = &self.common.ledger;
        let rejected = answer.body["rejected"].as_array().cloned().unwrap_or_default();
        let accepted = answer.body["accepted"].as_u64();
        let expected = (
            if parcel.events.is_empty() { 400 } else { 200 },
            parcel.events.len() as u64,
        );
        if (answer.status, accepted.unwrap_or_default()) != expected || rejected.len() != parcel.invalid.len()
        {
            let detail = format!("{} for {expected:?}: {}", answer.status, answer.body);
            return ledger.violation(detail.chars().take(600).collect());
        }
        // The bad ones stand at the end of a body.
        for (position, text) in (parcel.events.len()..).zip(&parcel.invalid) {
            let refused = rejected.iter().find(|refused| refused["index"] == position);
            match refused.and_then(|refused| refused["kept"].as_bool()) {
                Some(true) => ledger.kept(text),
                Some(false) => {}
                None => ledger.violation(format!("no word of event {position}: {}", answer.body)),
            }
        }
        ledger.acknowledged(&parcel.events, answer.body["durability"] == "spooled");
        self.plan_copies(parcel);
    }

    fn plan_copies(&mut self, parcel: &Parcel) {
        let rate = self.common.duplicates.load(Ordering::Relaxed);
        for (event, copy) in &parcel.events {
            let is_first = *copy == Event::first_copy(event.route(*copy));
            let again = match is_first {
                true => self.rng.random_ratio(rate, 1000),
                false => *copy < 3 && self.rng.random_ratio(rate.min(300), 1000),
            };
            if again {
                let copy = copy + 1;
                let mut waiting = self.common.again.lock().unwrap();
                waiting.entry(event.route(copy)).or_default().push((*event, copy));
            }
        }
    }
}

impl Parcel {
    fn new(route: Route, events: Vec<(Event, u32)>, invalid: Vec<String>, is_single: bool) -> Self {
        let mut texts: Vec<_> = events.iter().map(|(event, copy)| event.json(*copy)).collect();
        texts.extend(invalid.iter().cloned());
        // What is wrong with an invalid event's type shows only where the route does not give it.
        let is_single = is_single && texts.len() == 1 && invalid.is_empty();
        let body = if is_single {
            texts.remove(0)
        } else {
            format!("{{\"batch\":[{}]}}", texts.join(","))
        };
        Self {
            route,
            events,
            invalid,
            is_single,
            body: body.into(),
        }
    }

    fn path(&self) -> &'static str {
        match (self.is_single, self.events.first().map(|(event, _)| event.kind())) {
            (true, Some("track")) => "/v1/track",
            (true, Some("page")) => "/v1/page",
            (true, Some("identify")) => "/v1/identify",
            _ => self.route.path(),
        }
    }
}

/// Events have microseconds.
fn now() -> Timestamp {
    Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap()
}
