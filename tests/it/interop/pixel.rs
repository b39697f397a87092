//! The pixel in a real browser: on the site's own host and on another site's, behind a proxy with TLS.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::{Value, json};

use super::browser::CHROMIUM;
use super::sdk::{missing, stage};
use super::sent::rows;
use crate::serve::{Serve, free_address, run};

/// What every set-up here has.
const CONFIG: &str = r#"
[http]
trusted_proxies = ["127.0.0.1"]
[content]
url_pattern = "^/articles/([^/]+)"
"#;

/// A serve on which a site's pages may use the pixel, and the port of that site.
async fn site(more: &str) -> (Serve, String) {
    let port = free_address().port().to_string();
    let source = format!(
        "[[sources]]\nname = \"pixel\"\nkey = \"public\"\norigins = [\"https://www.site.test:{port}\"]\n"
    );
    (Serve::start(&format!("{CONFIG}{more}{source}")).await, port)
}

const THIRD_PARTY: &str = "[pixel.cookie]\nsame_site = \"none\"\nsecure = \"always\"\npartitioned = true\n";

/// Lets a browser do what `mode` says, and tells what it saw.
async fn browse(serve: &Serve, mode: &str, setup: &str, port: &str) -> Value {
    let names = vec!["www.site.test".to_owned(), "pixel.other.test".to_owned()];
    let certificate = rcgen::generate_simple_self_signed(names).unwrap();
    let (chain, key) = (serve.folder().join("site.crt"), serve.folder().join("site.key"));
    std::fs::write(&chain, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    let mut driver = Command::new("node");
    driver
        .arg(stage(serve, "browser/pixel.mjs"))
        .args([mode, setup, &serve.http().to_string(), port])
        .args([chain, key])
        .current_dir(serve.folder());
    let output = run(driver).await.expect(0);
    serve.settle().await;
    let told: Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    assert_eq!(told["faults"], json!([]), "what the pages complained about");
    assert_eq!(told["refused"], json!([]));
    told
}

/// Says why a test with a browser is left out.
fn is_left_out() -> bool {
    let missing = missing(&["node/.installed", CHROMIUM]);
    if let Some(missing) = missing {
        eprintln!("left out: {missing} is not installed (make interop)");
    }
    missing.is_some()
}

/// The stored events by their names, pages by their paths, each with its rows in order.
async fn stored(serve: &Serve) -> BTreeMap<String, Vec<Value>> {
    let mut stored: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for row in rows(serve, "pixel").await {
        let name = row["event"].as_str().or(row["properties"]["path"].as_str());
        stored.entry(name.unwrap().to_owned()).or_default().push(row);
    }
    stored
}

fn properties(rows: &[Value]) -> Vec<&Value> {
    rows.iter().map(|row| &row["properties"]).collect()
}

/// Each event's value of a column, as text.
fn each<'a>(rows: &'a [Value], value: impl Fn(&'a Value) -> &'a Value) -> Vec<&'a str> {
    rows.iter()
        .map(|row| value(row).as_str().unwrap_or("-"))
        .collect()
}

#[tokio::test]
async fn a_visitor_is_known_again_on_the_sites_own_host_and_on_another() {
    if is_left_out() {
        return;
    }
    for (setup, more) in [("same", ""), ("third", THIRD_PARTY)] {
        let (mut serve, port) = site(more).await;
        let told = browse(&serve, "visits", setup, &port).await;
        let is_third = setup == "third";
        let cookie = &told["cookie"];
        assert_eq!(
            (&cookie["httpOnly"], &cookie["secure"], &cookie["sameSite"]),
            (
                &json!(true),
                &json!(true),
                &json!(if is_third { "None" } else { "Lax" })
            )
        );
        let partition = if is_third {
            json!("https://site.test")
        } else {
            Value::Null
        };
        assert_eq!(cookie["partitionKey"], partition, "one for each site");
        assert_eq!(told["scripts"], "", "scripts do not see it");
        let id = told["ids"][0].as_str().unwrap();
        assert_eq!(
            told["ids"],
            json!([id, id, id]),
            "a new page, and a browser started again"
        );

        let rows = rows(&serve, "pixel").await;
        let states = each(&rows, |row| &row["context"]["userprint_state"]);
        assert_eq!(
            (
                states[0],
                states.iter().filter(|state| **state == "returned").count()
            ),
            ("minted", rows.len() - 1)
        );
        for row in &rows {
            assert_eq!(
                (&row["anonymous_id"], &row["context"]["ip"]),
                (&json!(id), &json!("203.0.113.0"))
            );
            let agent = row["context"]["userAgent"].as_str().unwrap();
            assert!(agent.contains("Chrome/"), "{agent}");
        }
        let site = format!("https://www.site.test:{port}");
        let stored = stored(&serve).await;
        assert_read(&stored, &site);
        // Of a page on another site browsers tell only the host, unless the site lets them.
        let seen_on = if is_third { "/" } else { "/image" };
        let image = &stored["Image Seen"][0]["context"]["page"]["url"];
        assert_eq!(*image, format!("{site}{seen_on}"));
        assert_eq!(serve.value("SELECT count(*) FROM dead_letters").await, "0");
        serve.stop().await;
    }
}

/// What `pixel.mjs` did as `read`, in the store.
#[track_caller]
fn assert_read(stored: &BTreeMap<String, Vec<Value>>, site: &str) {
    let names: Vec<_> = stored
        .iter()
        .map(|(name, rows)| (name.as_str(), rows.len()))
        .collect();
    let expected = [
        ("/articles/one", 2),
        ("/articles/two", 1),
        ("/clip", 1),
        ("/image", 1),
        ("/news", 2),
        ("/plain", 1),
        ("/second", 1),
        ("/third", 1),
        ("/topics", 1),
        ("Article Read", 5),
        ("Article Shared", 1),
        ("Article Viewed", 6),
        ("Image Seen", 1),
        ("Page Engaged", 3),
    ];
    assert_eq!(names, expected);
    let two = json!({"url": format!("{site}/articles/two?from=one"), "path": "/articles/two", "title": "Two", "referrer": format!("{site}/articles/one")});
    assert_eq!(
        properties(&stored["/articles/two"]),
        [&two],
        "pushState, without a second page for its fragment"
    );
    let back = &stored["/articles/one"][1]["properties"];
    assert_eq!(back["referrer"], two["url"], "back");
    let viewed = [
        json!({"content_id": "one"}),
        json!({"content_id": "two"}),
        json!({"content_id": "one"}),
        json!({"content_id": "n-7", "content_type": "NewsArticle", "title": "News"}),
        json!({"content_id": "n-7", "content_type": "NewsArticle", "title": "News"}),
        json!({"content_id": "v-9", "content_type": "video.other", "title": "Clip"}),
    ];
    assert_eq!(
        properties(&stored["Article Viewed"]),
        viewed.iter().collect::<Vec<_>>()
    );
    // 15 in one go; 29 + 29 + 2 with pauses, of which 30 s each at most count; then none behind another tab, and 5.
    let read = [("one", 15), ("one", 60), ("one", 65), ("two", 15), ("two", 20)];
    let read = read.map(|(id, seconds)| json!({"content_id": id, "engaged_seconds": seconds}));
    assert_eq!(
        properties(&stored["Article Read"]),
        read.iter().collect::<Vec<_>>()
    );
    let engaged = [
        json!({"content_id": "one", "engaged_seconds": 7}),
        json!({"engaged_seconds": 15}),
        json!({"engaged_seconds": 16}),
    ];
    assert_eq!(
        properties(&stored["Page Engaged"]),
        engaged.iter().collect::<Vec<_>>()
    );
    assert_eq!(
        properties(&stored["Article Shared"]),
        [&json!({"network": "mail"})]
    );
}

#[tokio::test]
async fn a_browsers_visitor_opts_out_comes_back_and_is_forgotten() {
    if is_left_out() {
        return;
    }
    for (setup, more) in [("same", ""), ("third", THIRD_PARTY)] {
        let (mut serve, port) = site(more).await;
        let told = browse(&serve, "choices", setup, &port).await;
        let id = |at: usize| told["ids"][at].as_str();
        let first = id(0).unwrap();
        assert_eq!(
            (id(1), id(3), id(5)),
            (None, None, None),
            "taken away by GPC, by the opt-out, and forgotten: {told}"
        );
        let ids = [Some(first), id(2), id(4), id(6)];
        assert!(ids.iter().all(Option::is_some), "{told}");
        assert_eq!(
            ids.iter().collect::<BTreeSet<_>>().len(),
            4,
            "each time another one: {told}"
        );
        let answers =
            json!([{"userprint_state": "optout"}, {"userprint_state": "optin"}, {"forgotten": true}]);
        assert_eq!(told["answers"], answers);
        let is_own = setup == "same";
        assert_eq!(
            told["choice"],
            if is_own {
                "__Host-userprint_state=optout"
            } else {
                ""
            }
        );

        let stored = stored(&serve).await;
        for (path, id, state) in [
            ("/known", id(0), "minted"),
            ("/gpc", None, "optout"),
            ("/back", id(2), "minted"),
            ("/out", None, "optout"),
            ("/in", id(4), "minted"),
            ("/new", id(6), "minted"),
            ("Userprint Forgotten", id(4), "forgotten"),
        ] {
            let [row] = &stored[path][..] else {
                panic!("{path}: {:?}", stored[path])
            };
            assert_eq!(
                (
                    row["anonymous_id"].as_str(),
                    row["context"]["userprint_state"].as_str()
                ),
                (id, Some(state)),
                "{path}"
            );
        }
        serve.stop().await;
    }
}

#[tokio::test]
async fn a_browsers_visitor_is_nobody_before_consent() {
    if is_left_out() {
        return;
    }
    let (mut serve, port) = site("[pixel]\nconsent = \"required\"\n").await;
    let told = browse(&serve, "consent", "same", &port).await;
    assert_eq!(told["before"], json!([]), "no cookie before it");
    let stored = stored(&serve).await;
    let before = &stored["/before"][0];
    assert_eq!(
        (&before["anonymous_id"], &before["context"]["userprint_state"]),
        (&Value::Null, &json!("absent"))
    );
    let read = &stored["Article Read"][0];
    assert_eq!(
        (&read["anonymous_id"], &read["properties"]),
        (
            &told["id"],
            &json!({"content_id": "after", "engaged_seconds": 15})
        )
    );
    assert!(told["id"].is_string());
    serve.stop().await;
}
