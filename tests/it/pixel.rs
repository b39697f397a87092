//! The pixel in a real serve with its PostgreSQL: whose an event is, and what is nowhere to be found.

use std::collections::BTreeMap;
use std::fs;

use jiff::{SignedDuration, Timestamp};
use momsflow::config::Secret;
use momsflow::userprint::{Key, Ring};
use reqwest::StatusCode;
use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::{Value, json};
use uuid::Uuid;

use super::serve::Serve;
use super::shared;

/// A browser's cookies for one site.
#[derive(Clone, Debug, Default)]
struct Browser {
    jar: BTreeMap<String, String>,
    headers: Vec<(&'static str, &'static str)>,
}

impl Browser {
    /// Asks as a browser does, and keeps the cookies of the answer.
    async fn ask(&mut self, serve: &Serve, method: &str, path: &str, body: &str) -> (StatusCode, Vec<u8>) {
        let method = method.parse().unwrap();
        let mut request = serve
            .client()
            .request(method, serve.url(path))
            .body(body.to_owned());
        let jar: Vec<_> = self
            .jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !jar.is_empty() {
            request = request.header(COOKIE, jar.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        for set in answer.headers().get_all(SET_COOKIE) {
            let set = set.to_str().unwrap();
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if set.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }

    async fn hit(&mut self, serve: &Serve, event: &str) {
        let path = format!("/p.gif?event={event}&url=https://127.0.0.1/a");
        let (status, gif) = self.ask(serve, "GET", &path, "").await;
        assert_eq!((status, gif.len()), (StatusCode::OK, 43));
    }

    fn userprint(&self) -> &str {
        &self.jar["userprint"]
    }

    fn id(&self) -> &str {
        self.userprint().split('.').nth(2).unwrap()
    }

    fn kid(&self) -> &str {
        self.userprint().split('.').nth(1).unwrap()
    }
}

/// Serves on databases of its own, with the config's further text.
async fn serve(more: &str) -> (Serve, tokio_postgres::Client) {
    let (store, databases) = shared::databases().await;
    let serve = Serve::start(&format!("{more}\n{databases}")).await;
    (serve, super::support::connect(&store).await.unwrap())
}

/// What is stored of an event: its anonymous id and what its context says of the userprint.
async fn stored(sql: &tokio_postgres::Client, event: &str) -> (Option<String>, Option<String>) {
    let query = "SELECT anonymous_id, context->>'userprint_state' FROM all_events WHERE event = $1";
    let row = sql.query_one(query, &[&event]).await.unwrap();
    (row.get(0), row.get(1))
}

/// Everything in the event store, as text.
async fn dump(sql: &tokio_postgres::Client) -> String {
    let mut all = String::new();
    for table in [
        "all_events",
        "event_minutes",
        "event_properties",
        "event_id_claims",
        "identity_edges",
        "identity_claims",
        "identity_revocations",
        "identity_suppressions",
    ] {
        let query = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t");
        all += sql.query_one(&query, &[]).await.unwrap().get(0);
    }
    let letters = "SELECT coalesce(string_agg(t::text || convert_from(payload, 'LATIN1'), ' '), '') FROM dead_letters t";
    all + sql.query_one(letters, &[]).await.unwrap().get(0)
}

async fn metrics(serve: &Serve) -> String {
    let answer = serve.client().get(format!("http://{}/metrics", serve.admin()));
    answer.send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_of_a_visitor_stands_in_the_store() {
    let (mut serve, sql) = serve("").await;
    let mut browser = Browser::default();
    browser.hit(&serve, "First").await;
    let id = browser.id().to_owned();
    browser.hit(&serve, "Second").await;
    let (first_kid, before) = (browser.kid().to_owned(), browser.clone());

    let rotated = serve.cli(&["pixel", "keys", "rotate", "--json"]).await.json();
    assert_eq!(rotated.as_array().unwrap().len(), 2, "{rotated}");
    browser.hit(&serve, "Rotated").await;
    assert_ne!(browser.kid(), first_kid, "signed anew");
    assert_eq!(browser.id(), id, "with the id kept");
    browser.hit(&serve, "After").await;
    let listed = serve.cli(&["pixel", "keys", "list", "--json"]).await.json();
    assert_eq!(
        (&listed[0]["standing"], &listed[1]["standing"]),
        (&json!("verifies"), &json!("signs"))
    );
    assert_eq!(listed[1]["id"], browser.kid());

    // The keys outlive the process, and a cookie under the old one holds still.
    serve.stop().await;
    let offline = serve.cli(&["pixel", "keys", "list", "--json"]).await.json();
    assert_eq!(offline, listed);
    serve.cli(&["pixel", "keys", "rotate"]).await.expect(0);
    serve.start_again().await;
    let mut old = before.clone();
    old.hit(&serve, "Restarted").await;
    assert_eq!(old.id(), id);

    let mut forger = before.clone();
    let forged_id = "11111111-2222-4333-8444-555555555555";
    let forged = before.userprint().replace(&id, forged_id);
    forger.jar.insert("userprint".to_owned(), forged);
    forger.hit(&serve, "Forged").await;
    assert!(forger.id() != id && forger.id() != forged_id);

    let mut gone = before.clone();
    let (status, _) = gone.ask(&serve, "POST", "/p/optout", "").await;
    assert_eq!((status, gone.jar.get("userprint")), (StatusCode::OK, None));
    gone.hit(&serve, "Optout").await;
    gone.ask(&serve, "POST", "/p/optin", "").await;
    gone.hit(&serve, "Optin").await;
    assert_ne!(gone.id(), id);

    serve.settle().await;
    for (event, expected, state) in [
        ("First", Some(id.as_str()), "minted"),
        ("Second", Some(&id), "returned"),
        ("Rotated", Some(&id), "resigned"),
        ("After", Some(&id), "returned"),
        ("Restarted", Some(&id), "resigned"),
        ("Forged", Some(forger.id()), "forged"),
        ("Optout", None, "optout"),
        ("Optin", Some(gone.id()), "minted"),
    ] {
        let found = stored(&sql, event).await;
        assert_eq!(
            (found.0.as_deref(), found.1.as_deref()),
            (expected, Some(state)),
            "{event}"
        );
    }
    assert!(
        !dump(&sql).await.contains(forged_id),
        "a forged id is used nowhere"
    );
    let metrics = metrics(&serve).await;
    for line in [
        "momsflow_pixel_hits_total{state=\"forged\",outcome=\"logged\"} 1",
        "momsflow_pixel_hits_total{state=\"optout\",outcome=\"logged\"} 1",
        "momsflow_userprint_refused_total{fault=\"wrong_tag\"} 1",
        "momsflow_pixel_choices_total{choice=\"optout\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_that_a_site_forwards_tells_whose_its_events_are() {
    let (serve, sql) = serve("").await;
    let mut browser = Browser::default();
    browser.hit(&serve, "Seen").await;
    let (id, cookie) = (browser.id().to_owned(), browser.userprint().to_owned());
    let page = json!({"url": "http://127.0.0.1/articles/1"});
    let elsewhere = json!({"url": "http://other.example/articles/1"});
    let events = [
        json!({"event": "Own", "context": {"userprint": cookie, "page": page}}),
        json!({"event": "Request", "anonymousId": "request-1", "context": {"userprint": cookie, "page": page}}),
        json!({"event": "Named", "anonymousId": "visitor-1", "context": {"userprint": cookie, "page": page}}),
        json!({"event": "User", "userId": "u-1", "context": {"userprint": cookie, "page": page}}),
        json!({"event": "Replayed", "anonymousId": "request-2", "context": {"userprint": cookie, "page": elsewhere}}),
        json!({"event": "Faked", "anonymousId": "request-3", "context": {"userprint": format!("{cookie}x"), "page": page}}),
        json!({"event": "Claimed", "anonymousId": "request-4", "context": {"userprint_state": "forgotten"}}),
        json!({"event": "Private", "anonymousId": "request-5", "context": {"userprint": cookie, "page": page, "gpc": true}}),
    ];
    for event in &events {
        let (status, body) = serve.post("/v1/track", event).await;
        assert_eq!(status, StatusCode::OK, "{event}: {body}");
    }
    let nobody = json!({"event": "Nobody", "context": {"userprint": "v1.x", "page": page}});
    assert_eq!(
        serve.post("/v1/track", &nobody).await.1["code"],
        "missing_identity"
    );
    serve.settle().await;
    for (event, anonymous_id, state) in [
        ("Own", Some(id.as_str()), Some("returned")),
        ("Request", Some(&id), Some("returned")),
        ("Named", Some("visitor-1"), Some("returned")),
        ("User", Some(&id), Some("returned")),
        ("Replayed", Some("request-2"), Some("forged")),
        ("Faked", Some("request-3"), Some("forged")),
        ("Claimed", Some("request-4"), None),
        ("Private", Some("request-5"), Some("optout")),
    ] {
        let found = stored(&sql, event).await;
        assert_eq!(
            (found.0.as_deref(), found.1.as_deref()),
            (anonymous_id, state),
            "{event}"
        );
    }
    let named = "SELECT context->>'userprint' FROM all_events WHERE event = 'Named'";
    assert_eq!(super::support::value(&sql, named).await, id);
    let events = "SELECT coalesce(string_agg(t::text, ' '), '') FROM all_events t";
    assert!(
        !super::support::value(&sql, events).await.contains(&cookie),
        "what was stored could be sent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_to_be_forgotten_is_noted_behind_the_events() {
    let (serve, sql) = serve("").await;
    let mut browser = Browser::default();
    browser.hit(&serve, "Seen").await;
    let id = browser.id().to_owned();
    let (status, body) = browser.ask(&serve, "DELETE", "/p", "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        json!({"forgotten": true})
    );
    assert!(browser.jar.is_empty());
    let (_, body) = browser.ask(&serve, "DELETE", "/p", "").await;
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        json!({"forgotten": false})
    );
    serve.settle().await;
    let found = stored(&sql, "Userprint Forgotten").await;
    assert_eq!(
        (found.0.as_deref(), found.1.as_deref()),
        (Some(id.as_str()), Some("forgotten"))
    );
    let order = "SELECT count(DISTINCT log_partition) = 1 AND bool_and((event = 'Seen') = (log_offset = least)) FROM \
         (SELECT *, min(log_offset) OVER () AS least FROM all_events) e";
    assert_eq!(super::support::value(&sql, order).await, "t");
}

/// Nothing of who opted out, and no whole address, in database, logs, metrics and on disk.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_who_opted_out_is_left_anywhere() {
    let more =
        "[http]\ntrusted_proxies = [\"127.0.0.1\"]\n[log]\nlevel = \"trace\"\n[pixel]\nhonour_dnt = true";
    let (mut serve, sql) = serve(more).await;
    let mut browser = Browser::default();
    browser.hit(&serve, "Before").await;
    // The id was made for this visitor and used once; what follows must not use it.
    let (id, cookie) = (browser.id().to_owned(), browser.userprint().to_owned());
    for privacy in [("Sec-GPC", "1"), ("DNT", "1")] {
        let mut private = browser.clone();
        private.headers = vec![privacy, ("X-Forwarded-For", "203.0.113.77")];
        let path = "/p.gif?event=Private&url=https://127.0.0.1/a?mail=hidden&ref=https://r.example/?q=hidden";
        private.ask(&serve, "GET", path, "").await;
        assert!(private.jar.is_empty(), "its cookie is taken away");
        let mut private = browser.clone();
        private.headers = vec![privacy, ("X-Forwarded-For", "203.0.113.77")];
        let body = r#"{"event":"Private","userId":"u-hidden","messageId":"m-hidden"}"#;
        assert_eq!(
            private.ask(&serve, "POST", "/p", body).await.0,
            StatusCode::NO_CONTENT
        );
        assert_eq!(
            private
                .ask(&serve, "POST", "/p", "{\"userId\":\"u-hidden")
                .await
                .0,
            StatusCode::BAD_REQUEST
        );
    }
    browser.ask(&serve, "POST", "/p/optout", "").await;
    browser.headers = vec![("X-Forwarded-For", "203.0.113.77")];
    browser.hit(&serve, "Private").await;
    serve.settle().await;
    let count = "SELECT count(*) FROM all_events WHERE event = 'Private' AND context->>'ip' = '203.0.113.0' \
                 AND coalesce(user_id, anonymous_id, group_id, previous_id) IS NULL";
    assert_eq!(super::support::value(&sql, count).await, "5");
    let uses = "SELECT count(*) FROM all_events t WHERE t::text LIKE '%' || $1 || '%'";
    let uses: i64 = sql.query_one(uses, &[&id]).await.unwrap().get(0);
    assert_eq!(uses, 1, "the hit from before");
    let (dump, metrics) = (dump(&sql).await, metrics(&serve).await);
    serve.stop().await;
    let log = fs::read_to_string(serve.folder().join("serve.log")).unwrap();
    assert!(
        log.contains("TRACE") || log.contains("DEBUG"),
        "the log is as talkative as it can be"
    );
    let event_log = event_log(&serve);
    for (place, text) in [
        ("database", &dump),
        ("metrics", &metrics),
        ("log", &log),
        ("event log", &event_log),
    ] {
        for hidden in ["hidden", "203.0.113.77", &cookie] {
            assert!(!text.contains(hidden), "{hidden} is in the {place}");
        }
    }
    for (place, text) in [("metrics", &metrics), ("log", &log)] {
        assert!(!text.contains(&id), "the id is in the {place}");
    }
}

/// The segments of the embedded log, unpacked by nobody: what is compressed is looked for in the database.
fn event_log(serve: &Serve) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(serve.data_dir().join("event-log")).unwrap() {
        all += &String::from_utf8_lossy(&fs::read(entry.unwrap().path()).unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_visitor_changes_its_id_while_keys_are_rotated_under_load() {
    let (serve, sql) = serve("").await;
    let visitors = (0..20).map(|visitor| {
        let serve = &serve;
        async move {
            let mut browser = Browser::default();
            let event = format!("Visit {visitor}");
            browser.hit(serve, &event).await;
            let (id, mut kids) = (browser.id().to_owned(), std::collections::BTreeSet::new());
            for _ in 0..40 {
                browser.hit(serve, &event).await;
                assert_eq!(browser.id(), id);
                kids.insert(browser.kid().to_owned());
            }
            kids.len()
        }
    });
    let rotations = async {
        for _ in 0..4 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            serve.cli(&["pixel", "keys", "rotate"]).await.expect(0);
        }
    };
    let (kids, ()) = tokio::join!(futures_util::future::join_all(visitors), rotations);
    assert!(
        kids.iter().max().unwrap() > &1,
        "the keys turned while visitors came: {kids:?}"
    );
    serve.settle().await;
    let ids = "SELECT string_agg(DISTINCT ids::text || ' ' || hits::text, ',') FROM \
               (SELECT count(DISTINCT anonymous_id) AS ids, count(*) AS hits FROM all_events GROUP BY event) e";
    assert_eq!(super::support::value(&sql, ids).await, "1 41");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_of_date_foreign_or_of_an_unknown_key_is_counted_and_a_new_id_is_given() {
    let secret = "a key of at least thirty-two characters";
    let (serve, sql) = serve(&format!("[[userprint_keys]]\nid = \"k1\"\nkey = \"{secret}\"\n")).await;
    let (now, id) = (Timestamp::now(), Uuid::new_v4());
    let signed = |kid: &str, secret: &str, host: &str, days: i64| {
        let key = Key::new(kid, &Secret::new(secret), Timestamp::MIN);
        Ring::new(vec![key])
            .unwrap()
            .sign(id, host, now - SignedDuration::from_hours(24 * days))
    };
    let host = serve.http().ip().to_string();
    let cookies = [
        ("Valid", signed("k1", secret, &host, 0), "returned"),
        ("Old", signed("k1", secret, &host, 300), "resigned"),
        ("Expired", signed("k1", secret, &host, 402), "minted"),
        ("Foreign", signed("k1", secret, "www.other.example", 0), "forged"),
        ("Unknown", signed("k2", secret, &host, 0), "forged"),
        (
            "Wrong",
            signed("k1", "another key of thirty-two characters", &host, 0),
            "forged",
        ),
        ("Malformed", format!("v1.k1.{id}"), "forged"),
    ];
    let mut ids = BTreeMap::new();
    for (event, cookie, _) in &cookies {
        let mut browser = Browser::default();
        browser.jar.insert("userprint".to_owned(), cookie.clone());
        browser.hit(&serve, event).await;
        ids.insert(*event, browser.id().to_owned());
    }
    serve.settle().await;
    for (event, _, state) in &cookies {
        let is_kept = matches!(*event, "Valid" | "Old");
        assert_eq!(ids[event] == id.to_string(), is_kept, "{event}");
        assert_eq!(
            stored(&sql, event).await,
            (Some(ids[event].clone()), Some((*state).to_owned())),
            "{event}"
        );
    }
    let metrics = metrics(&serve).await;
    for (fault, count) in [
        ("expired", 1),
        ("wrong_tag", 2),
        ("unknown_key", 1),
        ("malformed", 1),
    ] {
        let line = format!("momsflow_userprint_refused_total{{fault=\"{fault}\"}} {count}");
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_config_sign_when_their_time_has_come() {
    let keys = "[[userprint_keys]]\nid = \"old\"\nkey_env = \"OLD_KEY\"\n\
                [[userprint_keys]]\nid = \"next\"\nkey = \"another key of thirty-two characters\"\nsigns_from = \"2999-01-01T00:00:00Z\"\n";
    let (store, databases) = shared::databases().await;
    let env = [("OLD_KEY", "a key of at least thirty-two characters")];
    let serve = Serve::start_with(&format!("{keys}{databases}"), &env).await;
    let mut browser = Browser::default();
    browser.hit(&serve, "Visit").await;
    assert_eq!(browser.kid(), "old");
    assert!(!serve.data_dir().join("userprint-keys").exists());
    let listed = serve.cli(&["pixel", "keys", "list"]).await.expect(0);
    assert!(
        listed.contains("old   signs") && listed.contains("next  waits"),
        "{listed}"
    );
    let proposed = serve.cli(&["pixel", "keys", "rotate"]).await.expect(0);
    assert!(
        proposed.contains("[[userprint_keys]]") && proposed.contains("signs_from = "),
        "{proposed}"
    );
    let shown = serve.cli(&["config", "show"]).await.expect(0);
    assert!(!shown.contains("thirty-two"), "{shown}");
    drop(store);
}
