//! What is known of people, from the events of a site to the tables: real serves, real PostgreSQL.

mod docs;
mod invariant;
mod stories;

use jiff::{SignedDuration, Timestamp};
use momsflow::embedded::connection_of;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::serve::{Serve, until};
use super::support::{connect, value};

/// The site's server, whose word counts, and its pages, where anybody could send anything. Views are made by hand, so that the
/// test says when.
const CONFIG: &str = r#"
timezone = "Europe/Berlin"
roles = ["ingest", "capture"]

[[sources]]
name = "server"
key = "server-key"
trusted = true
may_backdate = true

[[sources]]
name = "page"
key = "page-key"
"#;

struct Site(Serve);

impl Site {
    async fn new() -> Self {
        Self(Serve::start(CONFIG).await)
    }

    /// Sends an event that occurred some minutes ago.
    async fn send(&self, key: &str, minutes_ago: i64, mut event: Value) {
        let now = Timestamp::now();
        event["timestamp"] = json!(now - SignedDuration::from_mins(minutes_ago));
        event["sentAt"] = json!(now);
        let (status, body) = self
            .0
            .post_as(key, "/v1/batch", &json!({ "batch": [event] }))
            .await;
        assert_eq!(status, StatusCode::OK, "{event}: {body}");
    }

    async fn reads(&self, visitor: &str, article: &str, topic: &str, minutes_ago: i64) {
        let event = json!({"type": "track", "event": "Article Read", "anonymousId": visitor,
            "properties": {"content_id": article, "title": article, "topics": [topic], "author": "Ada", "engaged_seconds": 60}});
        self.send("page-key", minutes_ago, event).await;
    }

    /// Stores what was sent, and brings the views up to date.
    async fn settle(&self) -> Value {
        self.0.settle().await;
        self.0.cli(&["user-views", "run", "--json"]).await.json()
    }

    async fn views(&self) -> Client {
        connect(&connection_of(self.0.data_dir()).unwrap().views())
            .await
            .unwrap()
    }

    /// The one value of a query's one row, as text, of the views.
    async fn value(&self, query: &str) -> String {
        value(&self.views().await, query).await
    }

    async fn assert_verified(&self) {
        let told = self.0.cli(&["user-views", "verify"]).await.expect(0);
        assert!(told.contains("come to what the views say"), "{told}");
    }
}
