//! Clients that send batches all the while, and what must be stored in the end.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub fn start(serve: &Serve, clients: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let client = |number| {
            let (http, url, key) = (serve.client(), serve.url("/v1/batch"), serve.write_key());
            tokio::spawn(send(http, url, key, number, over.clone()))
        };
        let clients = (0..clients).map(client).collect();
        Self { over, clients }
    }

    /// Ends it; gives the ids of all that was acknowledged.
    pub async fn end(self) -> HashSet<String> {
        self.over.store(true, Ordering::Relaxed);
        let mut acknowledged = HashSet::new();
        for client in self.clients {
            acknowledged.extend(client.await.unwrap());
        }
        println!("{} events acknowledged", acknowledged.len());
        assert!(acknowledged.len() > 1000, "too little load to show anything");
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

/// Sends batches and repeats each until it is acknowledged; gives the ids.
async fn send(
    http: reqwest::Client,
    url: String,
    key: String,
    client: u32,
    over: Arc<AtomicBool>,
) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        let ids: Vec<_> = (0..50)
            .map(|place| format!("{client}-{number}-{place}"))
            .collect();
        let batch: Vec<_> = ids.iter().map(|id| track(id)).collect();
        let body = json!({"batch": batch});
        let mut last_try = None;
        loop {
            // The spool takes what comes, so that nothing else bounds what has to be stored afterwards.
            tokio::time::sleep(Duration::from_millis(15)).await;
            let request = http.post(&url).basic_auth(&key, Some("")).json(&body);
            if request
                .send()
                .await
                .is_ok_and(|answer| answer.status() == StatusCode::OK)
            {
                break;
            }
            if over.load(Ordering::Relaxed) {
                let since = *last_try.get_or_insert_with(Instant::now);
                assert!(since.elapsed() < PATIENCE, "nothing is acknowledged any more");
            }
        }
        acknowledged.extend(ids);
        number += 1;
    }
    acknowledged
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
