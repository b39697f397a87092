//! `momsflow identity` as people use it.

use serde_json::json;

use super::{Site, someone};

#[tokio::test(flavor = "multi_thread")]
async fn who_is_unknown_or_meant_wrongly_is_told_so() {
    let site = Site::shared().await;
    let nobody = site.serve.cli(&["identity", "show", "nobody\u{1b}[31m"]).await;
    assert_eq!(nobody.code, Some(1));
    assert!(
        nobody
            .stdout
            .starts_with("nothing is known of nobody\\u{1b}[31m\n\nhint: "),
        "{}",
        nobody.stdout
    );
    let none = site
        .serve
        .cli(&["identity", "revoke", "999999999", "--yes"])
        .await;
    assert_eq!(none.code, Some(1));
    assert!(
        none.stderr.contains("there is no edge 999999999")
            && none.stderr.contains("hint: momsflow identity show"),
        "{}",
        none.stderr
    );
    let wrong = site.serve.cli(&["identity", "revoke", "ada"]).await;
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_says_first_what_it_changes_and_asks() {
    let site = Site::shared().await;
    let (visitor, ada) = (someone("visitor"), someone("ada"));
    for minutes_ago in [300, 200, 100] {
        site.reads(&visitor, "Read", minutes_ago).await;
    }
    site.logs_in(&visitor, &ada, 50).await;
    let shown = site.show(&ada).await;
    let edge = shown["links"][0]["edge_id"].to_string();

    let asked = site.serve.cli(&["identity", "revoke", &edge]).await;
    assert_eq!(asked.code, Some(2), "nobody is there to answer: {}", asked.stderr);
    assert!(asked.stderr.contains("hint: --yes"), "{}", asked.stderr);
    for says in [
        format!("edge {edge}: {visitor} is {ada}, by identify (server), first seen 2"),
        format!("  3 events from {ada} to the visitor alone"),
        format!("Events that name {ada} themselves stay {ada}'s. It is for ever"),
    ] {
        assert!(
            asked.stdout.contains(&says),
            "{says} is not in:\n{}",
            asked.stdout
        );
    }
    let tried = site
        .serve
        .cli(&["identity", "revoke", &edge, "--dry-run", "--json"])
        .await
        .json();
    let changes = json!([{"from": ada, "to": null, "events": 3}]);
    assert_eq!(
        (&tried["changes"], &tried["revoked_at"]),
        (&changes, &json!(null))
    );
    assert_eq!(site.show(&ada).await, shown, "nothing was changed");

    let done = site
        .serve
        .cli(&["identity", "revoke", &edge, "--yes", "--json"])
        .await
        .json();
    assert_eq!(done["changes"], changes);
    let after = site.show(&ada).await;
    assert_eq!(after["links"][0]["revoked_at"], done["revoked_at"]);
    assert_eq!(after["links"][0]["joined_events"], 0);
    let again = site
        .serve
        .cli(&["identity", "revoke", &edge, "--yes", "--reason", "late"])
        .await
        .expect(0);
    assert!(again.contains("is revoked since"), "{again}");
    assert_eq!(site.show(&ada).await, after, "the first word counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_and_a_visitor_are_shown_with_their_events() {
    let site = Site::shared().await;
    let (visitor, ada) = (someone("visitor"), someone("ada"));
    site.reads(&visitor, "Read", 300).await;
    site.reads_as(&ada, &visitor, "Read", 50).await;
    site.serve.settle().await;
    let user = site.serve.cli(&["identity", "show", &ada]).await.expect(0);
    for says in [
        format!("{ada}, a user\n  events that name this user: 1, 2"),
        "  events joined by the edges below: 1\n".to_owned(),
        "EDGE".to_owned(),
        "event (server)".to_owned(),
        "holds".to_owned(),
    ] {
        assert!(user.contains(&says), "{says} is not in:\n{user}");
    }
    let device = site.serve.cli(&["identity", "show", &visitor]).await.expect(0);
    for says in [
        format!("{visitor}, an anonymous id\n  belongs to {ada}, with all"),
        format!("  events of {ada}: 2, 1 of them signed in, 2"),
    ] {
        assert!(device.contains(&says), "{says} is not in:\n{device}");
    }
    // Many devices are cut, and counted.
    let sql = site.sql().await;
    let many = "INSERT INTO identity_edges (anonymous_id, user_id, first_seen_at, last_seen_on, source, evidence, event_id) \
                SELECT $1 || n, $1, now(), now(), 's', 'event', gen_random_uuid() FROM generate_series(1, 120) n";
    sql.execute(many, &[&ada]).await.unwrap();
    let shown = site.show(&ada).await;
    assert_eq!(
        (shown["links"].as_array().unwrap().len(), &shown["total_links"]),
        (100, &json!(121))
    );
    let text = site.serve.cli(&["identity", "show", &ada]).await.expect(0);
    assert!(text.contains("… and 21 more"), "{text}");
}
