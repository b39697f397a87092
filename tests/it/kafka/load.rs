//! Clients that send batches all the while, and what must be stored in the end.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::serve::{PATIENCE, Serve, until};
use crate::support::value;

/// Whose events are not those of a [`Load`].
const PROBE: &str = "probe-";

pub fn track(id: &str) -> Value {
    json!({"type": "track", "event": "Article Viewed", "userId": format!("u-{id}"), "messageId": id})
}

/// Clients that send batches, each again until it is acknowledged.
pub struct Load {
    over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub fn start(serve: &Serve, clients: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::<AtomicUsize>::default();
        let client = |number| {
            let sender = Sender {
                http: serve.client(),
                url: serve.url("/v1/batch"),
                key: serve.write_key(),
                client: number,
                over: over.clone(),
                acknowledged: acknowledged.clone(),
            };
            tokio::spawn(sender.run())
        };
        let clients = (0..clients).map(client).collect();
        Self {
            over,
            acknowledged,
            clients,
        }
    }

    /// Waits until so many events are acknowledged.
    pub async fn reached(&self, events: usize) {
        until("there is load enough", async || {
            self.acknowledged.load(Ordering::Relaxed) >= events
        })
        .await;
    }

    /// Ends it once it is enough to show anything; gives the ids of all that was acknowledged.
    pub async fn end(self) -> HashSet<String> {
        self.reached(1000).await;
        self.over.store(true, Ordering::Relaxed);
        let mut acknowledged = HashSet::new();
        for client in self.clients {
            acknowledged.extend(client.await.unwrap());
        }
        println!("{} events acknowledged", acknowledged.len());
        acknowledged
    }

    /// Ends it, and sees that what was acknowledged is stored, each event once.
    pub async fn end_and_compare(self, serve: &mut Serve) {
        let acknowledged = self.end().await;
        serve.wait_ready().await;
        serve.settle().await;
        assert_exact(&serve.sql().await, &acknowledged).await;
    }
}

/// One of the clients.
struct Sender {
    http: reqwest::Client,
    url: String,
    key: String,
    client: u32,
    over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

impl Sender {
    /// Sends batches and repeats each until it is acknowledged; gives the ids.
    async fn run(self) -> Vec<String> {
        let mut acknowledged = Vec::new();
        let mut number = 0;
        while !self.over.load(Ordering::Relaxed) {
            let ids: Vec<_> = (0..50)
                .map(|place| format!("{}-{number}-{place}", self.client))
                .collect();
            self.send(&ids).await;
            self.acknowledged.fetch_add(ids.len(), Ordering::Relaxed);
            acknowledged.extend(ids);
            number += 1;
        }
        acknowledged
    }

    async fn send(&self, ids: &[String]) {
        let batch: Vec<_> = ids.iter().map(|id| track(id)).collect();
        let body = json!({"batch": batch});
        let mut last_try = None;
        loop {
            // The spool takes what comes, so that nothing else bounds what has to be stored afterwards.
            tokio::time::sleep(Duration::from_millis(15)).await;
            let request = self
                .http
                .post(&self.url)
                .basic_auth(&self.key, Some(""))
                .json(&body);
            if request
                .send()
                .await
                .is_ok_and(|answer| answer.status() == StatusCode::OK)
            {
                return;
            }
            if self.over.load(Ordering::Relaxed) {
                let since = *last_try.get_or_insert_with(Instant::now);
                assert!(since.elapsed() < PATIENCE, "nothing is acknowledged any more");
            }
        }
    }
}

/// Waits until an event of each partition was acknowledged.
pub async fn acknowledged_again(serve: &Serve) {
    let batch: Vec<_> = (0..20).map(|number| track(&format!("{PROBE}{number}"))).collect();
    until("events are acknowledged again", async || {
        let (status, _) = serve.post("/v1/batch", &json!({"batch": batch})).await;
        status == StatusCode::OK
    })
    .await;
}

/// What is stored is what was acknowledged, each event once, and the books agree.
pub async fn assert_exact(store: &Client, acknowledged: &HashSet<String>) {
    let rows = store
        .query(
            "SELECT substr(user_id, 3), count(*) FROM all_events GROUP BY 1",
            &[],
        )
        .await
        .unwrap();
    let doubled = rows.iter().filter(|row| row.get::<_, i64>(1) != 1).count();
    let stored: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let lost = acknowledged.difference(&stored).count();
    let mut unknown = stored.difference(acknowledged);
    let unknown = unknown.find(|id| !id.starts_with(PROBE));
    assert_eq!((lost, doubled, unknown), (0, 0, None), "lost, doubled, unknown");
    let books = "SELECT sum(stored) || ' ' || sum(gap + dead_letter + \"foreign\") FROM positions";
    assert_eq!(value(store, books).await, format!("{} 0", stored.len()));
    let letters = "SELECT count(*) FROM dead_letters";
    assert_eq!(value(store, letters).await, "0");
    let places = "SELECT count(*) - count(DISTINCT (log_id, log_partition, log_offset)) FROM all_events";
    assert_eq!(value(store, places).await, "0", "a record was stored twice");
}
