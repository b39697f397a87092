//! Facts and events are written together or not at all, whatever happens to the process.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Browser, Site, rederived};
use crate::serve::until;

#[tokio::test(flavor = "multi_thread")]
async fn kills_in_the_middle_leave_facts_that_the_events_say() {
    let mut site = Site::new().await;
    let mut forgotten = Browser::default();
    forgotten.hit(&site, "Before").await;
    let mut sent = 0;
    for round in 0..4 {
        for batch in 0..10 {
            let body = json!({"batch": batch_of(round * 10 + batch, forgotten.id())});
            let key = if batch == 3 || batch == 6 {
                "page-key"
            } else {
                "server-key"
            };
            // Each is sent again until it is taken: a kill may come between.
            let (status, answer) = site.serve.post_as(key, "/v1/batch", &body).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            sent += 100;
        }
        if round == 1 {
            forgotten.ask(&site, "DELETE", "/p").await;
        }
        // In the middle of storing, as far as that can be met: some of it is stored, some waits.
        let stored = format!("SELECT sum(stored + suppressed) > {} FROM positions", sent - 900);
        until("some of it is stored", async || site.value(&stored).await == "t").await;
        tokio::time::sleep(Duration::from_millis(3 * round as u64)).await;
        site.serve.kill().await;
        site.serve.start_again().await;
    }
    site.serve.settle().await;
    let account = "SELECT sum(stored + suppressed) || ' ' || sum(duplicate) FROM positions";
    assert_eq!(site.value(account).await, format!("{} 0", sent + 2));
    let stored = "SELECT (SELECT sum(stored) FROM positions) = (SELECT count(*) FROM all_events)";
    assert_eq!(site.value(stored).await, "t");
    let wish = "SELECT accepted_from FROM identity_suppressions";
    let after = format!(
        "SELECT count(*) FROM all_events WHERE anonymous_id = '{}' AND accepted_at > ({wish})",
        forgotten.id()
    );
    assert_eq!(site.value(&after).await, "0");
    assert_eq!(site.value("SELECT sum(suppressed) > 0 FROM positions").await, "t");
    rederived(&mut site.sql().await).await;
}

/// A hundred events of twenty people on ten devices, and one of the visitor who is going to be forgotten.
fn batch_of(number: usize, forgotten: &str) -> Vec<Value> {
    let event = |index: usize| {
        let user = format!("u{}", (number + index * 7) % 20);
        let visitor = format!("v{}", index % 10);
        let kind = if index.is_multiple_of(9) {
            "identify"
        } else {
            "track"
        };
        json!({"type": kind, "event": "Read", "userId": user, "anonymousId": visitor})
    };
    let mut events: Vec<_> = (0..99).map(event).collect();
    events.push(json!({"type": "track", "event": "Read", "anonymousId": forgotten}));
    events
}
