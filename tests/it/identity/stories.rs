//! What happens on devices, and whose the events are then.

use serde_json::json;

use super::{Browser, Site, someone};

const NONE: [&str; 0] = [];

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_who_logs_in_later_has_one_history() {
    let site = Site::shared().await;
    let (visitor, ada) = (someone("visitor"), someone("ada"));
    site.reads(&visitor, "Two days before", 48 * 60).await;
    site.reads(&visitor, "Just before", 20).await;
    assert_eq!(site.history(&ada).await, NONE);
    assert_eq!(site.of_nobody(&visitor).await, ["Two days before", "Just before"]);

    site.logs_in(&visitor, &ada, 15).await;
    site.reads_as(&ada, &visitor, "Signed in", 10).await;
    site.reads(&visitor, "By the page", 5).await;
    let all = ["Two days before", "Just before", "Signed in", "By the page"];
    assert_eq!(site.history(&ada).await, all);
    assert_eq!(site.of_nobody(&visitor).await, NONE);

    let shown = site.show(&ada).await;
    let edge = &shown["links"][0];
    assert_eq!(
        (
            &edge["anonymous_id"],
            &edge["evidence"],
            &edge["source"],
            &edge["joined_events"]
        ),
        (&json!(visitor), &json!("identify"), &json!("server"), &json!(3))
    );
}

/// The pixel sees the pages, the site's server knows who logged in and forwards the cookie.
#[tokio::test(flavor = "multi_thread")]
async fn the_pixels_visitor_becomes_the_user_whose_server_forwards_the_cookie() {
    let site = Site::shared().await;
    let ada = someone("ada");
    let mut browser = Browser::default();
    browser.hit(site, "Seen by the pixel").await;
    let context = browser.forwarded();
    let login = json!({"type": "identify", "userId": ada, "context": context});
    site.send("server-key", 0, login).await;
    browser.hit(site, "Seen after").await;
    assert_eq!(site.history(&ada).await, ["Seen by the pixel", "Seen after"]);

    // A site that has ids of its own for its visitors joins both of them.
    let (ben, own) = (someone("ben"), someone("session"));
    let mut browser = Browser::default();
    browser.hit(site, "Pixel").await;
    site.reads(&own, "Own", 1).await;
    let login =
        json!({"type": "identify", "userId": ben, "anonymousId": own, "context": browser.forwarded()});
    site.send("server-key", 0, login).await;
    let mut history = site.history(&ben).await;
    history.sort();
    assert_eq!(history, ["Own", "Pixel"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_log_out_the_device_is_still_its_only_users() {
    let site = Site::shared().await;
    let (visitor, ada, ben) = (someone("visitor"), someone("ada"), someone("ben"));
    site.logs_in(&visitor, &ada, 200).await;
    site.reads_as(&ada, &visitor, "Signed in", 199).await;
    site.reads(&visitor, "Logged out", 195).await;
    site.reads(&visitor, "An hour later", 130).await;
    assert_eq!(
        site.history(&ada).await,
        ["Signed in", "Logged out", "An hour later"]
    );

    // Until somebody else logs in on it: from now on nobody knows who sat there without a log-in.
    site.logs_in(&visitor, &ben, 10).await;
    assert_eq!(site.history(&ada).await, ["Signed in", "Logged out"]);
    assert_eq!(site.of_nobody(&visitor).await, ["An hour later"]);
    assert_eq!(site.history(&ben).await, NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_computer_gives_nobody_the_events_of_another() {
    let site = Site::shared().await;
    let (library, ada, ben) = (someone("library"), someone("ada"), someone("ben"));
    site.reads(&library, "A passer-by", 600).await;
    site.reads(&library, "Ada before her log-in", 410).await;
    site.logs_in(&library, &ada, 400).await;
    site.reads_as(&ada, &library, "Ada", 395).await;
    site.reads(&library, "Ada by the page", 390).await;
    site.reads(&library, "Another passer-by", 300).await;
    site.logs_in(&library, &ben, 200).await;
    site.reads(&library, "Ben by the page", 190).await;
    site.reads(&library, "The last one", 100).await;

    let of_ada = ["Ada before her log-in", "Ada", "Ada by the page"];
    assert_eq!(site.history(&ada).await, of_ada);
    assert_eq!(site.history(&ben).await, ["Ben by the page"]);
    let passers_by = ["A passer-by", "Another passer-by", "The last one"];
    assert_eq!(site.of_nobody(&library).await, passers_by);
    let shown = site.show(&library).await;
    assert_eq!(shown["links"][0]["is_shared"], true);
    let text = site.serve.cli(&["identity", "show", &library]).await.expect(0);
    assert!(text.contains(&format!("shared by {ada}, {ben}")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_in_one_session_keep_only_what_they_did_signed_in() {
    let site = Site::shared().await;
    let (tablet, ada, ben) = (someone("tablet"), someone("ada"), someone("ben"));
    site.reads(&tablet, "Before", 60).await;
    site.reads_as(&ada, &tablet, "Ada", 55).await;
    site.reads(&tablet, "Between", 50).await;
    site.reads_as(&ben, &tablet, "Ben", 45).await;
    site.reads(&tablet, "After", 40).await;
    assert_eq!(site.history(&ada).await, ["Ada"]);
    assert_eq!(site.history(&ben).await, ["Ben"]);
    assert_eq!(site.of_nobody(&tablet).await, ["Before", "Between", "After"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_log_in_changes_nothing_but_when_the_edge_was_seen_last() {
    let site = Site::shared().await;
    let (visitor, ada) = (someone("visitor"), someone("ada"));
    site.logs_in(&visitor, &ada, 3000).await;
    let first = site.show(&ada).await["links"][0].clone();
    site.reads(&visitor, "In between", 1000).await;
    site.logs_in(&visitor, &ada, 10).await;
    let shown = site.show(&ada).await;
    assert_eq!(shown["total_links"], 1);
    let second = &shown["links"][0];
    for same in ["edge_id", "first_seen_at", "event_id"] {
        assert_eq!(first[same], second[same], "{same}");
    }
    assert!(
        first["last_seen_on"].as_str() < second["last_seen_on"].as_str(),
        "{shown}"
    );
    assert_eq!(site.history(&ada).await, ["In between"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_on_five_devices_has_one_history() {
    let site = Site::shared().await;
    let ada = someone("ada");
    let devices = ["Phone", "Tablet", "Laptop", "Office", "Television"];
    let mut minutes_ago = 500;
    for device in devices {
        let visitor = someone(device);
        site.reads(&visitor, device, minutes_ago).await;
        site.logs_in(&visitor, &ada, minutes_ago - 5).await;
        minutes_ago -= 60;
    }
    assert_eq!(site.history(&ada).await, devices);
    let shown = site.show(&ada).await;
    assert_eq!(
        (&shown["total_links"], &shown["user"]["events"]),
        (&json!(5), &json!(5))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_claims_to_be_somebody_by_a_public_key_is_not() {
    let site = Site::shared().await;
    let (visitor, ada, mallory) = (someone("visitor"), someone("ada"), someone("mallory"));
    site.logs_in(&visitor, &ada, 60).await;
    let claim = json!({"type": "identify", "anonymousId": mallory, "userId": ada});
    site.send("page-key", 50, claim).await;
    let event = json!({"event": "As Ada", "anonymousId": mallory, "userId": ada});
    site.send("page-key", 40, event).await;
    let nameless = json!({"event": "Only by her name", "userId": ada});
    site.send("page-key", 30, nameless).await;
    // Nor does it take a device away from her.
    let on_hers = json!({"type": "identify", "anonymousId": visitor, "userId": mallory});
    site.send("page-key", 20, on_hers).await;
    site.reads(&visitor, "Hers", 10).await;

    assert_eq!(site.history(&ada).await, ["Hers"]);
    assert_eq!(site.of_nobody(&mallory).await, ["As Ada"]);
    let shown = site.show(&ada).await;
    assert_eq!(
        (&shown["total_links"], &shown["total_claims"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(shown["user"]["claimed_events"], 3);
    let claim = &shown["claims"][0];
    assert_eq!(
        (&claim["anonymous_id"], &claim["source"], &claim["evidence"]),
        (&json!(mallory), &json!("page"), &json!("identify"))
    );
    let text = site.serve.cli(&["identity", "show", &ada]).await.expect(0);
    assert!(
        text.contains("Claims of sources that are not trusted, which join nothing"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_cookie_joins_nobody() {
    let site = Site::shared().await;
    let ada = someone("ada");
    let mut victim = Browser::default();
    victim.hit(site, "The victim's").await;
    let stranger = "11111111-2222-4333-8444-555555555555";
    for forged in [
        victim.cookie().replace(victim.id(), stranger),
        format!("{}x", victim.cookie()),
        victim.id().to_owned(),
    ] {
        let context = json!({"userprint": forged, "page": {"url": "http://127.0.0.1/"}});
        let login = json!({"type": "identify", "userId": ada, "context": context});
        site.send("server-key", 0, login).await;
    }
    let shown = site.show(&ada).await;
    assert_eq!(
        (&shown["user"]["events"], &shown["total_links"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(site.of_nobody(victim.id()).await, ["The victim's"]);
    let traces =
        "SELECT count(*) FROM identity_edges e, identity_claims c WHERE concat(e, c) LIKE '%' || $1 || '%'";
    let traces = site.sql().await.query_one(traces, &[&stranger]).await.unwrap();
    assert_eq!(traces.get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_stays_so_whoever_logs_in_again() {
    let site = Site::shared().await;
    let (tablet, ada, support) = (someone("tablet"), someone("ada"), someone("support"));
    site.logs_in(&tablet, &ada, 3300).await;
    site.reads(&tablet, "Ada's", 3200).await;
    site.logs_in(&tablet, &support, 3100).await;
    assert_eq!(site.of_nobody(&tablet).await, ["Ada's"], "it is shared now");
    let shown = site.show(&support).await;
    let edge = shown["links"][0]["edge_id"].to_string();
    let revoke = [
        "identity",
        "revoke",
        &edge,
        "--yes",
        "--reason",
        "helped on her tablet",
    ];
    let said = site.serve.cli(&revoke).await.expect(0);
    assert!(
        said.contains(&format!("1 event from the visitor alone to {ada}")),
        "{said}"
    );
    assert_eq!(site.history(&ada).await, ["Ada's"]);

    site.logs_in(&tablet, &support, 5).await;
    site.reads_as(&support, &tablet, "Support's own", 4).await;
    assert_eq!(site.history(&ada).await, ["Ada's"]);
    assert_eq!(
        site.history(&support).await,
        ["Support's own"],
        "which names its user itself"
    );
    let again = site.show(&support).await;
    let link = &again["links"][0];
    assert_eq!(link["reason"], "helped on her tablet");
    assert_ne!(
        link["last_seen_on"], shown["links"][0]["last_seen_on"],
        "the fact is kept"
    );
    let text = site.serve.cli(&["identity", "show", &tablet]).await.expect(0);
    assert!(
        text.contains("revoked 2") && text.contains(&format!("belongs to {ada}")),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_joins_a_visitor_and_never_two_users() {
    let site = Site::shared().await;
    let (visitor, ada, old_ada) = (someone("visitor"), someone("ada"), someone("old-ada"));
    site.reads(&visitor, "Before", 50).await;
    let alias = json!({"type": "alias", "previousId": visitor, "userId": ada});
    site.send("server-key", 40, alias).await;
    assert_eq!(site.history(&ada).await, ["Before"]);

    let device = someone("device");
    site.reads(&device, "Of the old one", 30).await;
    site.logs_in(&device, &old_ada, 29).await;
    let merge = json!({"type": "alias", "previousId": old_ada, "userId": ada});
    site.send("server-key", 20, merge).await;
    assert_eq!(site.history(&ada).await, ["Before"]);
    assert_eq!(site.history(&old_ada).await, ["Of the old one"]);
    let text = site.serve.cli(&["identity", "show", &ada]).await.expect(0);
    assert!(
        text.contains("alias (server)") && text.contains("two users, which are never merged"),
        "{text}"
    );

    let old = site.serve.cli(&["identity", "show", &old_ada]).await.expect(0);
    assert!(
        !old.contains("an anonymous id") && !old.contains("belongs to"),
        "{old}"
    );

    let claim = json!({"type": "alias", "previousId": device, "userId": ada});
    site.send("page-key", 10, claim).await;
    let shown = site.show(&ada).await;
    assert_eq!(
        (&shown["total_links"], &shown["claims"][0]["evidence"]),
        (&json!(2), &json!("alias"))
    );
}
