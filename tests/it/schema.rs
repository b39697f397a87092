use momsflow::embedded::READER;
use momsflow::store::migrate::{Database, MigrateError, migrate};
use momsflow::store::pool;
use momsflow::store::reader::{ReaderGrant, grant_reader};

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
    let views = grant_reader(&postgres.views_config(), Database::Views, READER)
        .await
        .unwrap();
    assert_eq!(views, ReaderGrant::Granted);

    let reader = connect(&postgres.connections().reader_events()).await.unwrap();
    assert_eq!(value(&reader, "SELECT count(*) FROM all_events").await, "1");
    assert_eq!(value(&reader, "SHOW statement_timeout").await, "30s");
    for refused in [
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
