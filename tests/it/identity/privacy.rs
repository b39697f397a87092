//! Who asked to be forgotten, and who does not want to be known.

use serde_json::{Value, json};

use super::{Browser, Site, someone};

/// stored, suppressed, and whether every record is accounted for.
const ACCOUNT: &str = "SELECT concat_ws(' ', sum(stored), sum(suppressed), \
    sum(stored + duplicate + dead_letter + \"foreign\" + suppressed + gap) = sum(next_offset - first_offset)) FROM positions";

async fn metric(site: &Site, line: &str) -> bool {
    let answer = site
        .serve
        .client()
        .get(format!("http://{}/metrics", site.serve.admin()));
    let text = answer.send().await.unwrap().text().await.unwrap();
    let counts = text
        .lines()
        .filter(|known| known.starts_with("momsflow_capture_records_total") && known.contains(line));
    counts
        .filter_map(|known| known.rsplit(' ').next()?.parse::<u64>().ok())
        .sum::<u64>()
        > 0
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_of_a_forgotten_visitor_is_not_stored_and_is_counted() {
    let mut site = Site::new().await;
    let (ada, mut browser) = (someone("ada"), Browser::default());
    browser.hit(&site, "Before").await;
    let answer: Value = browser.ask(&site, "DELETE", "/p").await.json().await.unwrap();
    assert_eq!(answer, json!({"forgotten": true}));
    site.serve.settle().await;
    assert_eq!(site.value(ACCOUNT).await, "2 0 t", "the wish is an event too");

    // The cookie is taken away; whoever kept a copy of it sends it again, by the pixel and through the site's server.
    let mut copy = browser.clone();
    copy.hit(&site, "By the pixel").await;
    let forwarded = copy.forwarded();
    let nameless = json!({"event": "By the server", "context": forwarded});
    site.send("server-key", 0, nameless).await;
    let claimed = json!({"event": "By a page", "anonymousId": copy.id(), "userId": ada});
    site.send("page-key", 0, claimed).await;
    copy.ask(&site, "DELETE", "/p").await;
    // What cannot be read is no dead letter either.
    copy.ask(&site, "GET", "/p.gif?data=%25%25").await;
    site.serve.settle().await;
    assert_eq!(site.value(ACCOUNT).await, "2 5 t");
    assert_eq!(site.value("SELECT count(*) FROM dead_letters").await, "0");
    assert!(metric(&site, "outcome=\"suppressed\"").await);

    // A user's own event is not the visitor's to take away: it is stored without a word of that visitor.
    let order =
        json!({"event": "Order Completed", "userId": ada, "properties": {"total": 10}, "context": forwarded});
    site.send("server-key", 0, order).await;
    let own_id = json!({"event": "Own Id", "userId": ada, "anonymousId": "own", "context": forwarded});
    site.send("server-key", 0, own_id).await;
    let alias = json!({"type": "alias", "userId": ada, "previousId": copy.id()});
    site.send("server-key", 0, alias).await;
    site.serve.settle().await;
    assert_eq!(site.value(ACCOUNT).await, "5 5 t");
    let stored = "SELECT string_agg(concat_ws(' ', coalesce(event, type), anonymous_id, properties->>'total', \
                  context->>'userprint_state', context->'page'->>'url'), ', ' ORDER BY log_offset) FROM all_events WHERE user_id LIKE 'ada%'";
    assert_eq!(
        site.value(stored).await,
        "Order Completed 10 http://127.0.0.1/, Own Id own http://127.0.0.1/, alias"
    );
    let traces = "SELECT (SELECT count(*) FROM all_events e WHERE e::text LIKE '%' || $1 || '%') \
                  + (SELECT count(*) FROM identity_edges e WHERE e::text LIKE '%' || $1 || '%') * 100 \
                  + (SELECT count(*) FROM identity_claims e WHERE e::text LIKE '%' || $1 || '%') * 100";
    let traces = site.sql().await.query_one(traces, &[&copy.id()]).await.unwrap();
    assert_eq!(traces.get::<_, i64>(0), 2, "the hit from before, and the wish");

    // A restart forgets nobody's wish.
    site.serve.stop().await;
    site.serve.start_again().await;
    copy.hit(&site, "After a restart").await;
    site.serve.settle().await;
    assert_eq!(site.value(ACCOUNT).await, "5 6 t");
    let shown = site.serve.cli(&["identity", "show", copy.id()]).await.expect(0);
    assert!(shown.contains("asked to be forgotten"), "{shown}");
    let catalogue = site.serve.cli(&["events", "list"]).await.expect(0);
    assert!(
        !catalogue.contains("By the pixel") && !catalogue.contains("After a restart"),
        "{catalogue}"
    );
}

/// No client can make that wish for somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_visitor_can_ask_to_be_forgotten() {
    let site = Site::shared().await;
    let mut victim = Browser::default();
    victim.hit(site, "First").await;
    for key in ["page-key", "server-key"] {
        let wish = json!({
            "event": "Userprint Forgotten", "anonymousId": victim.id(),
            "context": {"userprint_state": "forgotten", "userprint": victim.cookie(), "page": {"url": "http://127.0.0.1/"}},
        });
        site.send(key, 0, wish).await;
    }
    let forger = Browser(Some(
        victim
            .cookie()
            .replace(victim.id(), "11111111-2222-4333-8444-555555555555"),
    ));
    forger.ask(site, "DELETE", "/p").await;
    site.serve.settle().await;
    victim.hit(site, "Second").await;
    let stored = site.of_nobody(victim.id()).await;
    assert!(stored.contains(&"Second".to_owned()), "{stored:?}");
    assert_eq!(site.show(victim.id()).await["forgotten_at"], Value::Null);
}

/// Who said no before the log-in is not joined, whatever cookie is still there.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_to_be_known_is_not_joined() {
    let site = Site::shared().await;
    let (ada, mut browser) = (someone("ada"), Browser::default());
    browser.hit(site, "Before").await;
    let mut context = browser.forwarded();
    context["gpc"] = json!(true);
    for kind in ["identify", "track"] {
        let event = json!({"type": kind, "event": "Read", "userId": ada, "context": context});
        site.send("server-key", 0, event).await;
    }
    let by_page = json!({"event": "Read", "userId": ada, "anonymousId": "request-1", "context": context});
    site.send("page-key", 0, by_page).await;
    let shown = site.show(&ada).await;
    assert_eq!(
        (
            &shown["user"]["events"],
            &shown["total_links"],
            &shown["total_claims"]
        ),
        (&json!(2), &json!(0), &json!(0))
    );
    assert_eq!(site.of_nobody(browser.id()).await, ["Before"]);
}
