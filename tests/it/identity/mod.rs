//! Who is who, from the events of a site to the answers that people get: real serves, real PostgreSQL.

mod crash;
mod look;
mod privacy;
mod rebuild;
mod rules;
mod stories;

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use uuid::Uuid;

use super::serve::Serve;
use super::support::{connect, value};

/// The site's server, whose word counts, and its pages, where anybody could send anything.
const SOURCES: &str = r#"
[[sources]]
name = "server"
key = "server-key"
trusted = true

[[sources]]
name = "page"
key = "page-key"

[[sources]]
name = "history"
key = "history-key"
trusted = true
may_backdate = true
"#;

static SHARED: OnceCell<Site> = OnceCell::const_new();

/// A site whose visitors and users are the test's own.
pub struct Site {
    pub serve: Serve,
    pub store: tokio_postgres::Config,
}

impl Site {
    pub async fn new() -> Self {
        let (store, databases) = super::shared::databases().await;
        let serve = Serve::start(&format!("{SOURCES}{databases}")).await;
        Self { serve, store }
    }

    /// One for all the stories; each has people of its own.
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::new).await
    }

    pub async fn sql(&self) -> Client {
        connect(&self.store).await.unwrap()
    }

    pub async fn value(&self, query: &str) -> String {
        value(&self.sql().await, query).await
    }

    /// Sends an event that occurred some minutes ago.
    pub async fn send(&self, key: &str, minutes_ago: i64, mut event: Value) {
        let now = Timestamp::now();
        let at = now - SignedDuration::from_mins(minutes_ago);
        event["timestamp"] = json!(at);
        event["sentAt"] = json!(now);
        let kind = event["type"].as_str().unwrap_or("track").to_owned();
        let (status, body) = self.serve.post_as(key, &format!("/v1/{kind}"), &event).await;
        assert_eq!(status, StatusCode::OK, "{event}: {body}");
    }

    /// A page tells of an article that its visitor reads.
    pub async fn reads(&self, visitor: &str, article: &str, minutes_ago: i64) {
        let event = json!({"event": article, "anonymousId": visitor});
        self.send("page-key", minutes_ago, event).await;
    }

    /// The site's server tells of an article that its user reads.
    pub async fn reads_as(&self, user: &str, visitor: &str, article: &str, minutes_ago: i64) {
        let event = json!({"event": article, "anonymousId": visitor, "userId": user});
        self.send("server-key", minutes_ago, event).await;
    }

    /// The site's server tells that a visitor has logged in.
    pub async fn logs_in(&self, visitor: &str, user: &str, minutes_ago: i64) {
        let event = json!({"type": "identify", "anonymousId": visitor, "userId": user});
        self.send("server-key", minutes_ago, event).await;
    }

    /// The articles that a user has read, as far as is known, in their order.
    pub async fn history(&self, user: &str) -> Vec<String> {
        self.serve.settle().await;
        let query = "SELECT event FROM person_events($1) WHERE type = 'track' ORDER BY occurred_at, event_id";
        let rows = self.sql().await.query(query, &[&user]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The articles of a visitor that are no user's.
    pub async fn of_nobody(&self, visitor: &str) -> Vec<String> {
        self.serve.settle().await;
        let query = "SELECT event FROM visitor_events($1) JOIN all_events USING (received_at, event_id) \
                     WHERE person_user_id IS NULL AND type = 'track' ORDER BY all_events.occurred_at, event_id";
        let rows = self.sql().await.query(query, &[&visitor]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// What `identity show --json` says.
    pub async fn show(&self, id: &str) -> Value {
        self.serve.settle().await;
        self.serve.cli(&["identity", "show", id, "--json"]).await.json()
    }
}

/// A browser that the pixel sees, with its cookie.
#[derive(Clone, Debug, Default)]
pub struct Browser(Option<String>);

impl Browser {
    pub async fn hit(&mut self, site: &Site, event: &str) {
        let answer = self.ask(site, "GET", &format!("/p.gif?event={event}")).await;
        let set = answer.headers().get(SET_COOKIE).map(|set| set.to_str().unwrap());
        if let Some(value) = set.and_then(|set| set.split(';').next()?.strip_prefix("userprint=")) {
            self.0 = Some(value.to_owned());
        }
    }

    pub async fn ask(&self, site: &Site, method: &str, path: &str) -> reqwest::Response {
        let client = site.serve.client();
        let mut request = client.request(method.parse().unwrap(), site.serve.url(path));
        if let Some(cookie) = &self.0 {
            request = request.header(COOKIE, format!("userprint={cookie}"));
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer
    }

    pub fn cookie(&self) -> &str {
        self.0.as_deref().unwrap()
    }

    pub fn id(&self) -> &str {
        self.cookie().split('.').nth(2).unwrap()
    }

    /// The context by which the site's server forwards the cookie.
    pub fn forwarded(&self) -> Value {
        json!({"userprint": self.cookie(), "page": {"url": "http://127.0.0.1/"}})
    }
}

/// An id that no other test has.
pub fn someone(name: &str) -> String {
    format!("{name}-{}", Uuid::new_v4())
}

/// Asserts that edges and claims are those which the stored events say: the migration's statement, which derives them all
/// at once, must come to the same as capture did batch by batch. Whether an edge's events were suppressed since, it cannot know.
pub async fn rederived(client: &mut Client) {
    let migration = include_str!("../../../migrations/events/V4__identity.sql");
    let derive = migration
        .split("-- What was stored before there were edges.")
        .nth(1)
        .unwrap();
    let transaction = client.transaction().await.unwrap();
    let tables = ["identity_edges", "identity_claims"];
    for table in tables {
        let keep = format!(
            "CREATE TEMP TABLE kept_{table} ON COMMIT DROP AS SELECT * FROM {table}; DELETE FROM {table}"
        );
        transaction.batch_execute(&keep).await.unwrap();
    }
    transaction
        .batch_execute("DELETE FROM identity_suppressions")
        .await
        .unwrap();
    transaction.batch_execute(derive).await.unwrap();
    for table in tables {
        let columns = "anonymous_id, user_id, source, evidence, event_id, first_seen_at, last_seen_on";
        let differ = format!(
            "SELECT coalesce(string_agg(d::text, E'\n'), ''), (SELECT count(*) FROM {table}) FROM ( \
             (SELECT 'only derived', {columns} FROM {table} EXCEPT ALL SELECT 'only derived', {columns} FROM kept_{table}) \
             UNION ALL \
             (SELECT 'only kept', {columns} FROM kept_{table} EXCEPT ALL SELECT 'only kept', {columns} FROM {table})) d"
        );
        let row = transaction.query_one(&differ, &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "", "{table}");
        assert!(row.get::<_, i64>(1) > 0, "{table} is empty: that shows nothing");
    }
    transaction.rollback().await.unwrap();
}
