//! Who is who where everything is spread: hits come by one host, the log-in by another, and two more store them.

use momsflow::broker::partitioner::partition_for;
use momsflow::config;
use reqwest::StatusCode;
use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use super::broker::{shared, topic_on};
use super::serving::toml;
use crate::serve::{Serve, until};
use crate::shared::databases;
use crate::support::connect;

const PARTITIONS: i32 = 6;
/// What ingest hosts that share visitors have in common.
const FRONT: &str = r#"roles = ["ingest", "pixel"]
[[sources]]
name = "server"
key = "server-key"
trusted = true
[[userprint_keys]]
id = "k1"
key = "a key of at least thirty-two characters"
"#;

/// A hit with a browser's cookie; returns the cookie that the browser has then.
async fn hit(front: &Serve, event: &str, cookie: Option<&str>) -> String {
    let mut request = front.client().get(front.url(&format!("/p.gif?event={event}")));
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, format!("userprint={cookie}"));
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let set = answer.headers().get(SET_COOKIE).map(|set| set.to_str().unwrap());
    let set = set.and_then(|set| set.split(';').next()?.strip_prefix("userprint="));
    set.or(cookie).unwrap().to_owned()
}

/// The owner of each partition.
async fn owners(client: &Client) -> Vec<String> {
    let query = "SELECT owner FROM leases WHERE expires_at > now() ORDER BY log_partition";
    let rows = client.query(query, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn events_of(client: &Client, user: &str) -> Vec<String> {
    let query = "SELECT coalesce(event, type) FROM person_events($1) ORDER BY occurred_at, event_id";
    let rows = client.query(query, &[&user]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_of_one_host_who_logs_in_by_another_is_one_person_with_all_the_history() {
    let Some(broker) = shared() else { return };
    let kafka = config::Kafka {
        partitions: PARTITIONS,
        ..topic_on(&broker)
    };
    let (database, urls) = databases().await;
    let client = connect(&database).await.unwrap();
    let front = format!("{FRONT}{}", toml(&kafka));
    let capture = format!("roles = [\"capture\"]\n{}{urls}", toml(&kafka));
    let (left, right) = (Serve::start(&front).await, Serve::start(&front).await);
    let (one, two) = (Serve::start(&capture).await, Serve::start(&capture).await);
    until("both capture hosts have half of the partitions", async || {
        let owners = owners(&client).await;
        let first = owners.iter().filter(|owner| Some(*owner) == owners.first());
        owners.len() == PARTITIONS as usize && first.count() == PARTITIONS as usize / 2
    })
    .await;

    let cookie = hit(&left, "Before", None).await;
    assert_eq!(
        hit(&right, "Elsewhere", Some(&cookie)).await,
        cookie,
        "known there too"
    );
    let visitor = cookie.split('.').nth(2).unwrap();
    // A user whose events another capture host stores.
    let owners = owners(&client).await;
    let owner = |id: &str| &owners[partition_for(id.as_bytes(), PARTITIONS, 0) as usize];
    let mut users = std::iter::repeat_with(|| format!("ada-{}", Uuid::new_v4()));
    let ada = users.find(|user| owner(user) != owner(visitor)).unwrap();

    let login = json!({"userId": ada, "anonymousId": visitor});
    let (status, body) = right.post_as("server-key", "/v1/identify", &login).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    hit(&left, "After", Some(&cookie)).await;
    // Another browser, of which the site's server only forwards the cookie.
    let phone = hit(&right, "On+the+phone", None).await;
    let order = json!({"event": "Ordered", "userId": ada,
        "context": {"userprint": phone, "page": {"url": "http://127.0.0.1/"}}});
    let (status, body) = left.post_as("server-key", "/v1/track", &order).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let stranger = hit(&left, "A+stranger", None).await;

    one.settle().await;
    let all = [
        "Before",
        "Elsewhere",
        "identify",
        "After",
        "On the phone",
        "Ordered",
    ];
    assert_eq!(events_of(&client, &ada).await, all);
    let shown = two.cli(&["identity", "show", &ada, "--json"]).await.json();
    assert_eq!(shown["total_links"], 2, "{shown}");
    let stranger = stranger.split('.').nth(2).unwrap();
    let shown = one.cli(&["identity", "show", stranger, "--json"]).await.json();
    assert_eq!(
        (&shown["total_links"], &shown["shares"][0]["events"]),
        (&json!(0), &json!(1))
    );
    let stored = "SELECT count(DISTINCT log_partition) FROM events WHERE anonymous_id = $1 OR user_id = $2";
    let spread: i64 = client.query_one(stored, &[&visitor, &ada]).await.unwrap().get(0);
    assert_eq!(spread, 2, "the visitor's and the user's");
}
