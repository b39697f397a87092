//! Edges of what was stored by a capture that did not know them.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Browser, Site, rederived, someone};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_capture_stored_is_derived_once_more_and_revocations_stay() {
    let site = Site::new().await;
    let (tablet, phone, old, ada, ben) = (
        someone("tablet"),
        someone("phone"),
        someone("old"),
        someone("ada"),
        someone("ben"),
    );
    // In an earlier month, and its copy by another message.
    let login = json!({"type": "identify", "anonymousId": old, "userId": ada,
        "timestamp": Timestamp::now() - SignedDuration::from_hours(24 * 40)});
    for _ in 0..2 {
        let batch = json!({"batch": [login]});
        let (status, body) = site.serve.post_as("history-key", "/v1/import", &batch).await;
        assert_eq!(status, 200, "{body}");
    }
    site.logs_in(&tablet, &ada, 300).await;
    site.logs_in(&tablet, &ben, 200).await;
    site.logs_in(&phone, &ada, 100).await;
    site.reads_as(&ada, &old, "Read", 50).await;
    let claimed = json!({"event": "Read", "anonymousId": phone, "userId": ben});
    site.send("page-key", 40, claimed).await;
    let (mut known, mut gone) = (Browser::default(), Browser::default());
    known.hit(&site, "Known").await;
    gone.hit(&site, "Gone").await;
    let order = json!({"event": "Ordered", "userId": ada, "context": known.forwarded()});
    site.send("server-key", 30, order).await;
    gone.ask(&site, "DELETE", "/p").await;
    let edge = site.show(&tablet).await["links"]
        .as_array()
        .unwrap()
        .iter()
        .find(|link| link["user_id"] == ben.as_str())
        .unwrap()["edge_id"]
        .to_string();
    site.serve
        .cli(&["identity", "revoke", &edge, "--yes"])
        .await
        .expect(0);
    let history = site.history(&ada).await;

    let rebuild = async |more: &[&str]| {
        let told = site
            .serve
            .cli(&[&["identity", "rebuild", "--json"][..], more].concat())
            .await;
        let progress = told.stderr.clone();
        let mut told = told.json();
        let months = told["months"].as_u64().unwrap();
        assert!(months >= 2);
        assert_eq!(progress.lines().count() as u64, months, "{progress}");
        told.as_object_mut().unwrap().remove("months");
        told
    };
    let nothing = json!({"edges": 0, "claims": 0, "wishes": 0, "dry_run": false});
    assert_eq!(rebuild(&[]).await, nothing, "capture has left nothing out");

    // All of it, as an older capture would have left it; then a part, where edges begin later than they ought to.
    let forget = "DELETE FROM identity_edges; DELETE FROM identity_claims; DELETE FROM identity_suppressions";
    let sql = site.sql().await;
    sql.batch_execute(forget).await.unwrap();
    let all = |dry_run| json!({"edges": 6, "claims": 1, "wishes": 1, "dry_run": dry_run});
    assert_eq!(
        rebuild(&["--dry-run"]).await,
        all(true),
        "ada's old device in both months"
    );
    assert_eq!(site.value("SELECT count(*) FROM identity_edges").await, "0");
    assert_eq!(rebuild(&[]).await, all(false));
    assert_eq!(rebuild(&[]).await, nothing);
    rederived(&mut site.sql().await).await;
    let later = "UPDATE identity_edges SET first_seen_at = now(), event_id = gen_random_uuid() WHERE anonymous_id = $1";
    sql.execute(later, &[&phone]).await.unwrap();
    sql.execute(
        "UPDATE identity_edges SET last_seen_on = '2020-01-01' WHERE anonymous_id = $1",
        &[&tablet],
    )
    .await
    .unwrap();
    assert_eq!(rebuild(&[]).await["edges"], 3);
    rederived(&mut site.sql().await).await;

    assert_eq!(site.history(&ada).await, history);
    let shown = site.show(&tablet).await;
    let revoked = shown["links"].as_array().unwrap().iter();
    let revoked: Vec<_> = revoked
        .filter(|link| !link["revoked_at"].is_null())
        .map(|link| &link["user_id"])
        .collect();
    assert_eq!(revoked, [&json!(ben)], "a revocation is for ever: {shown}");
    gone.hit(&site, "Came+again").await;
    site.serve.settle().await;
    assert_eq!(
        site.value("SELECT count(*) FROM events WHERE event = 'Came again'")
            .await,
        "0"
    );
}
