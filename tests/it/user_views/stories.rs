use serde_json::json;

use super::{CONFIG, Serve, Site, connect, connection_of, until, value};

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_who_logs_in_is_one_person_with_all_that_it_read_before() {
    let site = Site::new().await;
    site.reads("browser", "tomatoes", "garden", 200).await;
    site.reads("browser", "beans", "garden", 190).await;
    site.reads("stranger", "politics", "news", 190).await;
    let run = site.settle().await;
    assert_eq!((&run["events"], &run["people"]), (&json!(3), &json!(2)));
    assert_eq!(
        site.value("SELECT count(*) FROM user_views WHERE user_id IS NULL")
            .await,
        "2"
    );

    let log_in = json!({"type": "identify", "userId": "ada", "anonymousId": "browser"});
    site.send("server-key", 185, log_in).await;
    site.settle().await;
    let ada = "SELECT concat_ws(' ', anonymous_ids_count, events_count, sessions_count, reads_count, engaged_seconds, \
               lifecycle_stage, favourite_topic_1, favourite_author) FROM user_views WHERE user_id = 'ada'";
    assert_eq!(site.value(ada).await, "1 3 1 2 120 new garden Ada");
    assert_eq!(
        site.value("SELECT count(*) FROM user_views").await,
        "2",
        "the browser is nobody of its own"
    );
    assert_eq!(
        site.value("SELECT sum(people) FROM content_day WHERE content_id = 'beans'")
            .await,
        "1"
    );
    assert_eq!(
        site.value("SELECT title FROM items WHERE content_id = 'beans'")
            .await,
        "beans"
    );
    site.assert_verified().await;

    let told = site.0.cli(&["user-views", "explain", "browser"]).await.expect(0);
    assert!(told.contains("ada, a user with 1 known browsers"), "{told}");
    assert!(told.contains("lifecycle_stage new"), "{told}");
    site.0.cli(&["user-views", "explain", "nobody"]).await.expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_edge_gives_the_visitor_its_history_back() {
    let site = Site::new().await;
    site.reads("tablet", "tomatoes", "garden", 100).await;
    let log_in = json!({"type": "identify", "userId": "ada", "anonymousId": "tablet"});
    site.send("server-key", 50, log_in).await;
    site.settle().await;
    assert_eq!(
        site.value("SELECT reads_count FROM user_views WHERE user_id = 'ada'")
            .await,
        "1"
    );
    let edge = site.0.value("SELECT edge_id FROM identity_edges").await;
    site.0
        .cli(&["identity", "revoke", &edge, "--yes"])
        .await
        .expect(0);
    site.settle().await;
    let rows = "SELECT string_agg(concat_ws(' ', coalesce(user_id, '-'), reads_count, events_count), ', ' ORDER BY reads_count) \
                FROM user_views";
    assert_eq!(site.value(rows).await, "ada 0 1, - 1 1");
    site.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_keeps_the_views_up_to_date_by_itself() {
    let config = CONFIG.replace(
        "[\"ingest\", \"capture\"]",
        "[\"ingest\", \"capture\", \"user-views\"]",
    );
    let site = Site(Serve::start(&format!("{config}\n[views]\nschedule = \"every 1s\"\n")).await);
    site.reads("browser", "tomatoes", "garden", 5).await;
    until("the view is there", async || {
        site.value("SELECT count(*) FROM user_views WHERE reads_count = 1")
            .await
            == "1"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_nobody_knows_are_named_and_count_as_activity() {
    let site = Site::new().await;
    let odd = json!({"type": "track", "event": "Teapot Filled", "anonymousId": "browser"});
    site.send("page-key", 5, odd).await;
    let run = site.settle().await;
    assert_eq!(run["unknown_events"], json!(["Teapot Filled"]));
    assert_eq!(site.value("SELECT events_count FROM user_views").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_says_what_it_is_and_dashboards_may_read_it() {
    let site = Site::new().await;
    let reader = connect(&connection_of(site.0.data_dir()).unwrap().reader_views())
        .await
        .unwrap();
    let without = "SELECT coalesce(string_agg(format('%s.%s', c.relname, a.attname), ', '), '') \
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND c.relname <> 'refinery_schema_history' \
          AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)";
    assert_eq!(value(&reader, without).await, "");
    let tables = reader
        .query(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'refinery_schema_history' \
             UNION ALL SELECT viewname FROM pg_views WHERE schemaname = 'public'",
            &[],
        )
        .await
        .unwrap();
    assert!(tables.len() > 12);
    for table in tables {
        let table: &str = table.get(0);
        reader
            .query(&format!("SELECT * FROM {table} LIMIT 1"), &[])
            .await
            .unwrap();
    }
    assert!(reader.query("SELECT * FROM state.people", &[]).await.is_err());
}
