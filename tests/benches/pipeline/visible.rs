//! From the acknowledgement of an event until SQL shows it, while the whole path is under load.
//!
//! A marker event goes out every few milliseconds beside the load. Its time begins when its 200 has been read
//! and ends with the answer of the query that shows it first. The query asks in a tight loop for all markers
//! that are not there yet, so that a time is too long by one round of it, and never too short.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use momsflow::embedded::connection_of;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::Sizes;
use crate::event_store::connect;
use crate::load::{Load, Posts, exchange};
use crate::process::{KEY, Process, get};
use crate::report::{Goal, Report, Series};
use crate::traffic::Traffic;

const BATCH: usize = 100;
const CONNECTIONS: usize = 16;
const MARKER_EVERY: Duration = Duration::from_millis(20);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// For a marker that SQL never shows.
const PATIENCE: Duration = Duration::from_secs(300);

pub async fn measure(sizes: &Sizes, server: &Process, report: &mut Report) {
    eprintln!("acknowledged to visible");
    let sql = connect(&connection_of(&server.data_dir).unwrap().events()).await;
    let maximum = maximum(sizes, server, &sql, "", report).await;
    let mut reached = Series::default();
    let mut p50 = Series::default();
    let mut p99 = Series::default();
    let mut most = Series::default();
    for _ in 0..sizes.rounds.min(3) {
        let (mut delays, load) = under_load(sizes, server, &sql, maximum / 2.0).await;
        reached.push(load / maximum);
        delays.sort_by(f64::total_cmp);
        p50.push(delays[delays.len() / 2]);
        p99.push(delays[delays.len() * 99 / 100]);
        most.push(delays[delays.len() - 1]);
    }
    report.add(
        "half of it: load reached ÷ maximum",
        reached,
        "×",
        Goal::AtLeast(0.45),
    );
    report.add("half of it: acknowledged to visible, p50", p50, "s", Goal::None);
    report.add(
        "half of it: acknowledged to visible, p99",
        p99,
        "s",
        Goal::AtMost(1.0),
    );
    report.add("half of it: acknowledged to visible, most", most, "s", Goal::None);
}

/// Waits until `/ready` says so.
pub async fn until_ready(server: &Process) {
    while get(server.address, "/ready").await.0 != 200 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Events a second that the whole path takes: those of a window as fast as ingest takes them, over the time
/// until the last of them is stored.
pub async fn maximum(sizes: &Sizes, server: &Process, sql: &Client, name: &str, report: &mut Report) -> f64 {
    let mut accepted = Series::default();
    let mut stored = Series::default();
    for _ in 0..sizes.rounds.min(3) {
        let before = count(sql).await;
        let began = Instant::now();
        let outcome = load(server, None, sizes.window).run().await;
        let events = (outcome.accepted * BATCH) as i64;
        accepted.push(outcome.events_per_second(Posts::Batch(BATCH)));
        while count(sql).await < before + events {
            assert!(began.elapsed() < PATIENCE, "not all events were stored");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stored.push(events as f64 / began.elapsed().as_secs_f64());
    }
    report.add(
        &format!("{name}the whole path at once: acknowledged"),
        accepted,
        "events/s",
        Goal::None,
    );
    report.add(
        &format!("{name}the whole path at once: stored"),
        stored.clone(),
        "events/s",
        Goal::None,
    );
    stored.median()
}

/// What capture has stored so far, from its own books: a count of the rows would be a load of its own.
async fn count(sql: &Client) -> i64 {
    let query = "SELECT coalesce(sum(stored), 0)::bigint FROM positions";
    sql.query_one(query, &[]).await.unwrap().get(0)
}

fn load(server: &Process, pace: Option<f64>, window: Duration) -> Load {
    Load {
        address: server.address,
        key: KEY.to_owned(),
        posts: Posts::Batch(BATCH),
        connections: CONNECTIONS,
        pace,
        window,
        may_refuse: false,
    }
}

/// Markers that were acknowledged, and when.
type Pending = Arc<Mutex<HashMap<Uuid, Instant>>>;

/// The markers' times, and the events a second that the load came to.
async fn under_load(sizes: &Sizes, server: &Process, sql: &Client, pace: f64) -> (Vec<f64>, f64) {
    let pending = Pending::default();
    let window = sizes.window * 3;
    let running = tokio::spawn(load(server, Some(pace), window).run());
    let marking = tokio::spawn(mark(load(server, None, window), pending.clone()));
    let mut delays = Vec::new();
    while !marking.is_finished() || !lock(&pending).is_empty() {
        look(sql, &pending, &mut delays).await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let outcome = running.await.unwrap();
    assert_eq!(delays.len(), marking.await.unwrap());
    (delays, outcome.events_per_second(Posts::Batch(BATCH)))
}

/// Sends markers of different people for as long as the load runs; returns how many.
async fn mark(load: Load, pending: Pending) -> usize {
    let single = Load {
        posts: Posts::Single,
        ..load
    };
    let mut traffic = Traffic::new(rand::random());
    let mut connection = TcpStream::connect(single.address).await.unwrap();
    let mut answer = Vec::new();
    let end = Instant::now() + single.window;
    let mut sent = 0;
    while sent == 0 || Instant::now() < end {
        let request = single.request(&mut traffic, Timestamp::now());
        let id = request.first_id();
        assert_eq!(
            exchange(&mut connection, &request.bytes, &mut answer)
                .await
                .unwrap(),
            200
        );
        lock(&pending).insert(id, Instant::now());
        sent += 1;
        tokio::time::sleep(MARKER_EVERY).await;
    }
    sent
}

async fn look(sql: &Client, pending: &Pending, delays: &mut Vec<f64>) {
    let wanted: Vec<Uuid> = lock(pending).keys().copied().collect();
    if wanted.is_empty() {
        return;
    }
    let query = "SELECT event_id FROM events WHERE event_id = ANY ($1)";
    let rows = sql.query(query, &[&wanted]).await.unwrap();
    let now = Instant::now();
    let mut pending = lock(pending);
    for row in rows {
        if let Some(acknowledged) = pending.remove(&row.get(0)) {
            delays.push(now.duration_since(acknowledged).as_secs_f64());
        }
    }
    let oldest = pending.values().map(Instant::elapsed).max();
    assert!(oldest < Some(PATIENCE), "a marker was never stored");
}

fn lock(pending: &Pending) -> std::sync::MutexGuard<'_, HashMap<Uuid, Instant>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}
