use jiff::Timestamp;
use momsflow::embedded::READER;
use momsflow::store::migrate::{Database, MigrateError, migrate};
use momsflow::store::month::Month;
use momsflow::store::months::ensure_month;
use momsflow::store::pool;
use momsflow::store::reader::{ReaderGrant, grant_reader};

use super::serve::until;
use super::shared::event_store;
use super::support::{DataDir, connect, value};

#[tokio::test(flavor = "multi_thread")]
async fn migrations_run_once_whoever_tries() {
    let data = DataDir::new();
    let postgres = data.start().await;
    let config = postgres.events_config();
    let attempts = (0..4).map(|_| migrate(&config, Database::Events));
    let reports = futures_util::future::try_join_all(attempts).await.unwrap();
    let applied: Vec<_> = reports.iter().flat_map(|report| report.applied.clone()).collect();
    assert_eq!(applied.first().map(String::as_str), Some("V1__event_store"));
    let again = migrate(&config, Database::Events).await.unwrap();
    assert_eq!(again.applied, Vec::<String>::new());
    assert_eq!(
        again.version,
        applied.len() as i64,
        "each version was applied once"
    );
    migrate(&postgres.views_config(), Database::Views).await.unwrap();
    let client = connect(&config).await.unwrap();
    assert_eq!(
        value(
            &client,
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        )
        .await,
        "0"
    );

    client
        .batch_execute(
            "INSERT INTO refinery_schema_history VALUES (999, 'future', '2030-01-01T00:00:00Z', '1')",
        )
        .await
        .unwrap();
    let error = migrate(&config, Database::Events).await.unwrap_err();
    assert!(matches!(error, MigrateError::Newer { found: 999, .. }), "{error}");
    postgres.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_no_release_made_is_refused_with_what_to_do() {
    let config = event_store().await;
    let client = connect(&config).await.unwrap();
    let change = "UPDATE refinery_schema_history SET name = 'host_process', checksum = '1' WHERE version = 3";
    client.batch_execute(change).await.unwrap();
    let error = migrate(&config, Database::Events).await.unwrap_err();
    assert!(!error.is_transient());
    let said = error.to_string();
    assert!(
        said.contains("V3__host_process") && said.contains("hint: "),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reader_sees_the_parents_and_changes_nothing() {
    let data = DataDir::new();
    let postgres = data.start().await;
    let config = postgres.events_config();
    migrate(&config, Database::Events).await.unwrap();
    let owner = connect(&config).await.unwrap();
    owner
        .batch_execute(
            "CREATE TABLE events_2026_01 PARTITION OF events \
             FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00'); \
             INSERT INTO events (received_at, event_id, occurred_at, accepted_at, type, is_bot, source, trusted, log_id, \
                                 log_partition, log_offset) \
             VALUES ('2026-01-05', gen_random_uuid(), '2026-01-05', '2026-01-05', 'track', false, 's', true, 1, 0, 0)",
        )
        .await
        .unwrap();
    for _ in 0..2 {
        let granted = grant_reader(&config, Database::Events, READER).await.unwrap();
        assert_eq!(granted, ReaderGrant::Granted);
    }
    migrate(&postgres.views_config(), Database::Views).await.unwrap();
    let views = grant_reader(&postgres.views_config(), Database::Views, READER)
        .await
        .unwrap();
    assert_eq!(views, ReaderGrant::Granted);

    let reader = connect(&postgres.connections().reader_events()).await.unwrap();
    assert_eq!(value(&reader, "SELECT count(*) FROM all_events").await, "1");
    assert_eq!(value(&reader, "SHOW statement_timeout").await, "30s");
    for asked in [
        "SELECT count(*) FROM person_events('ada')",
        "SELECT count(*) FROM visitor_events('visitor')",
        "SELECT count(*) FROM identity_links",
        "SELECT count(*) FROM identity_visitors",
        "SELECT (SELECT count(*) FROM identity_edges) + (SELECT count(*) FROM identity_claims) + (SELECT count(*) FROM identity_revocations)",
    ] {
        assert_eq!(value(&reader, asked).await, "0", "{asked}");
    }
    for refused in [
        "SELECT * FROM identity_suppressions",
        "SELECT * FROM events_2026_01",
        "SELECT * FROM leases",
        "DELETE FROM events",
        "CREATE TABLE mine (n int)",
        "SET default_transaction_read_only = off; DELETE FROM events",
    ] {
        assert!(reader.batch_execute(refused).await.is_err(), "{refused}");
    }

    let absent = grant_reader(&config, Database::Events, "nobody_there")
        .await
        .unwrap();
    assert!(matches!(absent, ReaderGrant::Skipped { .. }), "{absent:?}");
    postgres.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_momsflow_may_not_change_is_skipped() {
    let data = DataDir::new();
    let postgres = data.start().await;
    let owner = connect(&postgres.events_config()).await.unwrap();
    owner
        .batch_execute("CREATE ROLE plain LOGIN PASSWORD 'p'; GRANT CREATE ON SCHEMA public TO plain")
        .await
        .unwrap();
    let mut plain = postgres.events_config();
    plain.user("plain").password("p");
    migrate(&plain, Database::Events).await.unwrap();
    let granted = grant_reader(&plain, Database::Events, READER).await.unwrap();
    assert!(
        matches!(&granted, ReaderGrant::Skipped { reason } if reason.contains("permission denied")),
        "{granted:?}"
    );

    owner
        .batch_execute(&format!(
            "ALTER ROLE {READER} SET default_transaction_read_only = on; \
             ALTER ROLE {READER} SET statement_timeout = '5min'"
        ))
        .await
        .unwrap();
    let granted = grant_reader(&plain, Database::Events, READER).await.unwrap();
    assert_eq!(
        granted,
        ReaderGrant::Granted,
        "an administrator has set the limits"
    );
    postgres.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_outlives_a_restart_of_the_server() {
    let data = DataDir::new();
    let postgres = data.start().await;
    let pool = pool::connect(postgres.events_config(), 2);
    assert_eq!(value(&pool.get().await.unwrap(), "SELECT 1").await, "1");
    postgres.stop().await.unwrap();
    assert!(pool.get().await.is_err());
    let postgres = data.start().await;
    assert_eq!(value(&pool.get().await.unwrap(), "SELECT 1").await, "1");
    postgres.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_has_to_wait_for_its_lock_is_in_nobodys_way() {
    let database = event_store().await;
    let client = connect(&database).await.unwrap();
    let month = Month::of("1999-07-01T00:00:00Z".parse().unwrap());
    // As a VACUUM or an ALTER TABLE would.
    let holder = connect(&database).await.unwrap();
    holder
        .batch_execute("BEGIN; LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE")
        .await
        .unwrap();
    let made = tokio::spawn({
        let mut client = connect(&database).await.unwrap();
        async move { ensure_month(&mut client, month, Timestamp::now()).await }
    });
    // Anything that waited in the queue and is stronger than what readers and writers hold would hold those up for as long
    // as the lock is held.
    let waits = "SELECT coalesce(string_agg(DISTINCT mode, ' '), '') FROM pg_locks WHERE NOT granted \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    for _ in 0..2 {
        until("it waits for its lock", async || {
            value(&client, "SELECT count(*) FROM events").await;
            let waits = value(&client, waits).await;
            assert!(["", "ShareUpdateExclusiveLock"].contains(&&*waits), "{waits}");
            !waits.is_empty()
        })
        .await;
        // It gives up soon, and comes again.
        until("it has given up", async || value(&client, waits).await.is_empty()).await;
    }
    assert!(!made.is_finished(), "the lock was not in its way");
    let table = "SELECT count(*) FROM months WHERE partition = 'events_1999_07'";
    assert_eq!(value(&client, table).await, "0");
    holder.batch_execute("COMMIT").await.unwrap();
    made.await.unwrap().unwrap();
    assert_eq!(value(&client, table).await, "1");
}
