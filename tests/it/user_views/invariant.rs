//! However the events come, and whatever is killed meanwhile: the views are what they would be if they were made anew.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::prelude::IndexedRandom as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::Site;

const EVENTS: [&str; 6] = [
    "Article Viewed",
    "Article Read",
    "Article Completed",
    "Article Shared",
    "Order Completed",
    "Newsletter Subscribed",
];

/// Events of some weeks, in no order, some of them twice, of people with several devices and devices of several people.
fn batch(random: &mut StdRng, size: usize) -> Vec<Value> {
    let now = Timestamp::now();
    (0..size)
        .map(|_| {
            let at = now - SignedDuration::from_mins(random.random_range(0..60 * 24 * 40));
            let mut event = json!({
                "type": "track",
                "event": EVENTS.choose(random).unwrap(),
                "timestamp": at,
                "properties": {
                    "content_id": format!("c{}", random.random_range(0..30)),
                    "topics": [format!("t{}", random.random_range(0..5))],
                    "author": format!("w{}", random.random_range(0..4)),
                    "engaged_seconds": random.random_range(0..300),
                    "revenue": 9.99,
                },
            });
            if random.random_bool(0.8) {
                event["anonymousId"] = json!(format!("device-{}", random.random_range(0..40)));
            }
            if random.random_bool(0.2) || event.get("anonymousId").is_none() {
                event["userId"] = json!(format!("user-{}", random.random_range(0..15)));
            }
            event
        })
        .collect()
}

async fn send(site: &Site, events: &[Value]) {
    let (status, body) = site
        .0
        .post_as("server-key", "/v1/batch", &json!({ "batch": events }))
        .await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_two_at_once_and_killed_ones_come_to_what_a_rebuild_comes_to() {
    let site = Site::new().await;
    let mut random = StdRng::seed_from_u64(7);
    for round in 0..6 {
        send(&site, &batch(&mut random, 300)).await;
        site.0.settle().await;
        match round % 3 {
            0 => {
                // One of the two may find the other at it.
                let (one, other) = tokio::join!(
                    site.0.cli(&["user-views", "run"]),
                    site.0.cli(&["user-views", "run"])
                );
                assert!(
                    one.code == Some(0) || other.code == Some(0),
                    "{} {}",
                    one.stderr,
                    other.stderr
                );
            }
            1 => {
                let mut killed = tokio::process::Command::from(site.0.command(&["user-views", "run"]));
                let mut killed = killed.kill_on_drop(true).spawn().unwrap();
                tokio::time::sleep(Duration::from_millis(random.random_range(20..400))).await;
                killed.kill().await.unwrap();
            }
            _ => {
                let edges = site
                    .0
                    .value("SELECT string_agg(edge_id::text, ',') FROM identity_edges")
                    .await;
                let edges: Vec<_> = edges.split(',').collect();
                let edge = edges.choose(&mut random).unwrap();
                site.0.cli(&["identity", "revoke", edge, "--yes"]).await.expect(0);
            }
        }
    }
    // A run that was killed may leave its backend at it for a moment.
    super::until("a run comes to its end", async || {
        site.0.cli(&["user-views", "run"]).await.code == Some(0)
    })
    .await;
    let counted = site
        .value("SELECT sum(events_count)::bigint FROM user_views")
        .await;
    assert_eq!(counted, site.0.value("SELECT count(*) FROM events").await);
    let revenue = site
        .value("SELECT sum(revenue_total)::text FROM user_views")
        .await;
    let orders = site
        .0
        .value("SELECT (count(*) * 9.99)::text FROM events WHERE event = 'Order Completed'")
        .await;
    assert_eq!(revenue.trim_end_matches('0'), orders.trim_end_matches('0'));
    site.assert_verified().await;

    let before = site.value("SELECT md5(string_agg(v::text, '' ORDER BY person_id)) FROM (SELECT person_id, events_count, rfv_score FROM user_views) v").await;
    site.0.cli(&["user-views", "rebuild"]).await.expect(0);
    let after = site.value("SELECT md5(string_agg(v::text, '' ORDER BY person_id)) FROM (SELECT person_id, events_count, rfv_score FROM user_views) v").await;
    assert_eq!(before, after);
    send(&site, &batch(&mut random, 300)).await;
    site.settle().await;
    site.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_wrong_is_found() {
    let site = Site::new().await;
    let mut random = StdRng::seed_from_u64(8);
    send(&site, &batch(&mut random, 200)).await;
    site.settle().await;
    site.assert_verified().await;
    site.views()
        .await
        .execute("UPDATE user_views SET reads_count = reads_count + 1", &[])
        .await
        .unwrap();
    let told = site.0.cli(&["user-views", "verify"]).await.expect(1);
    assert!(told.contains("user_views: "), "{told}");
    site.0.cli(&["user-views", "rebuild"]).await.expect(0);
    site.assert_verified().await;
}
