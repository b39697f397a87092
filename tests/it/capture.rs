//! Capture against a real PostgreSQL and the embedded log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::{Timestamp, ToSpan};
use momsflow::broker::embedded::EmbeddedLog;
use momsflow::broker::{EventLog, LogError, OffsetRange, Record, StoredRecord};
use momsflow::clock::Clock;
use momsflow::config;
use momsflow::event::wire::{VERSION, encode_event, encode_rejection};
use momsflow::event::{Event, EventKind, Origin, Payload, RejectedBecause, Rejection};
use momsflow::lifecycle::Health;
use momsflow::roles::capture::{Capture, Status};
use momsflow::store::migrate::{Database, migrate};
use momsflow::store::pool;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::serve::{PATIENCE, until};
use crate::shared::event_store;
use crate::support::{DataDir, connect, value};

/// Longer than a busy machine stands still, so that a lease is lost where a test wants it to be lost.
const LEASE: Duration = Duration::from_secs(30);
/// For tests that wait for a lease's end.
const SHORT_LEASE: Duration = Duration::from_secs(10);

/// A capture over a log and a database of its own.
struct Bench {
    folder: tempfile::TempDir,
    log: Arc<EmbeddedLog>,
    database: Config,
    client: Client,
    clock: Clock,
    health: Health,
    lease: Duration,
    running: Option<(CancellationToken, JoinHandle<Result<(), String>>)>,
}

impl Bench {
    /// A log that events no longer go to.
    fn former_log(&self) -> Arc<EmbeddedLog> {
        let settings = config::EventLog {
            partitions: 1,
            min_free_disk: bytesize::ByteSize::b(0),
            ..config::EventLog::default()
        };
        EmbeddedLog::open(&self.folder.path().join("former"), &settings, self.clock.clone()).unwrap()
    }

    async fn new() -> Self {
        Self::at(Timestamp::now()).await
    }

    async fn at(now: Timestamp) -> Self {
        Self::with_lease(now, LEASE).await
    }

    async fn with_lease(now: Timestamp, lease: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(now);
        let settings = config::EventLog {
            partitions: 2,
            min_free_disk: bytesize::ByteSize::b(0),
            ..config::EventLog::default()
        };
        let log = EmbeddedLog::open(folder.path(), &settings, clock.clone()).unwrap();
        let database = event_store().await;
        let client = connect(&database).await.unwrap();
        let mut bench = Self {
            folder,
            log,
            database,
            client,
            clock,
            health: Health::default(),
            lease,
            running: None,
        };
        bench.start("one");
        bench
    }

    fn capture(&self, owner: &str) -> Capture {
        Capture {
            log: self.log.clone(),
            pool: pool::connect(self.database.clone(), 4),
            database: self.database.clone().into(),
            clock: self.clock.clone(),
            health: self.health.clone(),
            config: config::Capture {
                lease: self.lease,
                ..config::Capture::default()
            },
            backdate_from: "2000-01-01T00:00:00Z".parse().unwrap(),
            owner: owner.to_owned(),
            place: String::new(),
            name: owner.to_owned(),
            status: Status::default(),
            shutdown_deadline: Duration::from_secs(60),
        }
    }

    fn start(&mut self, owner: &str) {
        let token = CancellationToken::new();
        let task = tokio::spawn(self.capture(owner).run(token.clone()));
        self.running = Some((token, task));
    }

    /// Stops capture, which stores everything first.
    async fn stop(&mut self) {
        if let Some((token, task)) = self.running.take() {
            token.cancel();
            task.await.unwrap().unwrap();
        }
    }

    async fn append(&self, partition: i32, values: Vec<Vec<u8>>) {
        let records = values
            .into_iter()
            .map(|value| Record {
                key: "k".into(),
                value: value.into(),
            })
            .collect();
        self.log.append(partition, records).await.unwrap();
    }

    /// Its epoch, and whether it is valid.
    async fn lease_of_the_first_partition(&self) -> String {
        let query = "SELECT epoch || ' ' || (expires_at > now()) FROM leases WHERE log_partition = 0";
        value(&self.client, query).await
    }

    /// Waits until the first partition's lease was renewed for longer than it would have lasted by itself.
    async fn lease_is_outlived(&self) {
        let query = format!(
            "SELECT expires_at + interval '{} s' FROM leases WHERE log_partition = 0",
            self.lease.as_secs()
        );
        let end = value(&self.client, &query).await;
        let outlived = format!("SELECT expires_at > '{end}' FROM leases WHERE log_partition = 0");
        until("the lease is renewed", async || {
            value(&self.client, &outlived).await == "t"
        })
        .await;
    }

    /// Waits until every record of the log is accounted for.
    async fn drained(&self) {
        let mut ends = 0;
        for partition in 0..self.log.partitions() {
            ends += self.log.offsets(partition).await.unwrap().end;
        }
        let query = "SELECT coalesce(sum(next_offset), 0) FROM positions";
        let begun = Instant::now();
        loop {
            let reached = value(&self.client, query).await;
            if reached == ends.to_string() {
                return;
            }
            let faults = self.health.faults();
            assert!(
                begun.elapsed() < PATIENCE,
                "not drained: {reached} of {ends}; faults {faults:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn count(&self, from: &str) -> String {
        value(&self.client, &format!("SELECT count(*) FROM {from}")).await
    }

    /// stored, duplicate, dead_letter, foreign, gap, conflict over all partitions.
    async fn account(&self) -> String {
        value(
            &self.client,
            "SELECT concat_ws(' ', sum(stored), sum(duplicate), sum(dead_letter), sum(\"foreign\"), sum(gap), \
             sum(conflict)) FROM positions",
        )
        .await
    }
}

fn event(clock: &Clock, id: Uuid) -> Event<'static> {
    let now = clock.now();
    Event {
        v: VERSION,
        event_id: id,
        kind: EventKind::Track,
        received_at: now,
        accepted_at: now,
        occurred_at: now,
        original_timestamp: Some(now),
        sent_at: Some(now),
        event: Some("Article Viewed".into()),
        name: None,
        user_id: Some("u-1".into()),
        anonymous_id: None,
        group_id: None,
        previous_id: None,
        message_id: None,
        source: "server".into(),
        trusted: true,
        is_bot: false,
        origin: Origin::Live,
        properties: Some(serde_json::from_str(r#"{"content_id":"a-1","words":1200,"tags":["x"]}"#).unwrap()),
        traits: None,
        context: None,
    }
}

fn encoded(clock: &Clock, id: Uuid) -> Vec<u8> {
    encode_event(&event(clock, id))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_once_with_every_column_and_count() {
    let mut bench = Bench::new().await;
    let ids: Vec<_> = (0..1000).map(|_| Uuid::new_v4()).collect();
    for chunk in ids.chunks(100) {
        bench
            .append(0, chunk.iter().map(|id| encoded(&bench.clock, *id)).collect())
            .await;
    }
    bench.drained().await;
    assert_eq!(bench.account().await, "1000 0 0 0 0 0");
    assert_eq!(bench.count("events").await, "1000");
    assert_eq!(
        bench
            .count("events WHERE properties->>'content_id' = 'a-1' AND user_id = 'u-1'")
            .await,
        "1000"
    );
    assert_eq!(
        value(&bench.client, "SELECT sum(events) FROM event_minutes").await,
        "1000"
    );
    let types =
        "SELECT string_agg(property || ' ' || json_type, ', ' ORDER BY property) FROM event_properties";
    until("the catalogue is written, apart from the events", async || {
        value(&bench.client, types).await == "content_id string, tags array, words number"
    })
    .await;
    bench.stop().await; // writes what the catalogue has counted last
    let counts = "SELECT string_agg(DISTINCT events::text, ' ') FROM event_properties";
    assert_eq!(value(&bench.client, counts).await, "1000");
    let stored: Timestamp = bench
        .client
        .query_one("SELECT received_at FROM events LIMIT 1", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(stored, bench.clock.now());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_property_key_is_the_same_however_it_is_escaped() {
    let mut bench = Bench::new().await;
    let mut spelled = event(&bench.clock, Uuid::new_v4());
    spelled.properties = Some(serde_json::from_str(r#"{"größe":1}"#).unwrap());
    let mut escaped = event(&bench.clock, Uuid::new_v4());
    escaped.properties = Some(serde_json::from_str(r#"{"gr\u00f6\u00dfe":2,"a\/b":1,"a/b":1}"#).unwrap());
    bench
        .append(0, vec![encode_event(&spelled), encode_event(&escaped)])
        .await;
    bench.drained().await;
    bench.stop().await;
    let counts = "SELECT string_agg(property || ' ' || events, ', ' ORDER BY property) FROM event_properties";
    assert_eq!(value(&bench.client, counts).await, "a/b 2, größe 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_counted_and_those_that_differ_are_conflicts() {
    let mut bench = Bench::new().await;
    let ids: Vec<_> = (0..300).map(|_| Uuid::new_v4()).collect();
    let all = || {
        ids.iter()
            .map(|id| encoded(&bench.clock, *id))
            .collect::<Vec<_>>()
    };
    bench.append(0, all()).await;
    bench.drained().await;
    bench.append(0, all()).await; // by COPY, which fails as a whole
    bench.append(1, all()).await; // by another partition's worker
    // In one batch with the copies, each of what follows would be compared with the first of them.
    bench.drained().await;
    let mut other = event(&bench.clock, ids[0]);
    other.user_id = Some("somebody else".into());
    bench
        .append(0, vec![encode_event(&other), encode_event(&other)])
        .await;
    bench.drained().await;
    assert_eq!(bench.count("events").await, "300");
    assert_eq!(
        bench.account().await,
        "300 602 0 0 0 1",
        "the second copy of a copy says nothing new"
    );
    assert_eq!(
        value(&bench.client, "SELECT sum(events) FROM event_minutes").await,
        "300"
    );
    bench.stop().await;
    let counts = "SELECT sum(events) FROM event_properties WHERE property = 'words'";
    assert_eq!(
        value(&bench.client, counts).await,
        "300",
        "copies are not counted twice"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_another_month_is_found() {
    let bench = Bench::at("2026-11-15T12:00:00Z".parse().unwrap()).await;
    let id = Uuid::new_v4();
    bench.append(0, vec![encoded(&bench.clock, id)]).await;
    bench.drained().await;
    // The same event from a spool, a month later; and as history, a year before; and by a client that is a day ahead.
    bench.clock.set("2026-12-20T12:00:00Z".parse().unwrap());
    let mut spooled = event(&bench.clock, id);
    spooled.origin = Origin::Spooled;
    let mut imported = event(&bench.clock, id);
    imported.origin = Origin::Imported;
    imported.received_at = "2025-10-01T00:00:00Z".parse().unwrap();
    let mut ahead = event(&bench.clock, id);
    ahead.sent_at = Some(bench.clock.now().checked_add(24.hours()).unwrap());
    let batch = [&spooled, &imported, &ahead].map(encode_event);
    for value in batch {
        bench.append(1, vec![value]).await;
        bench.drained().await;
    }
    assert_eq!(bench.count("events").await, "1");
    assert_eq!(bench.account().await, "1 3 0 0 0 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finds_the_copies_that_another_log_has_brought_in_a_later_month() {
    let bench = Bench::at("2026-11-15T12:00:00Z".parse().unwrap()).await;
    let former = bench.former_log();
    let (twice, once) = (Uuid::new_v4(), Uuid::new_v4());
    let records = [twice, once].map(|id| Record {
        key: "k".into(),
        value: encoded(&bench.clock, id).into(),
    });
    former.append(0, records.to_vec()).await.unwrap();
    let drain = |token| {
        let capture = Capture {
            log: former.clone(),
            ..bench.capture("one")
        };
        capture.drain(token)
    };
    let stopped = CancellationToken::new();
    stopped.cancel();
    assert!(!drain(stopped).await, "a stop leaves the rest for the next start");
    // The client's retry, a month later: its timestamp is still that of November.
    let mut retried = event(&bench.clock, twice);
    bench.clock.set("2026-12-20T12:00:00Z".parse().unwrap());
    retried.received_at = bench.clock.now();
    retried.accepted_at = bench.clock.now();
    bench.append(1, vec![encode_event(&retried)]).await;
    until("the retry is stored", async || bench.count("events").await == "1").await;

    for _ in 0..2 {
        assert!(drain(CancellationToken::new()).await);
        assert_eq!(bench.count("events").await, "2");
        assert_eq!(bench.account().await, "2 1 0 0 0 0");
    }
    assert!(bench.health.faults().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_a_dead_letter_and_its_neighbours_are_stored() {
    let bench = Bench::new().await;
    let mut too_long = event(&bench.clock, Uuid::new_v4());
    too_long.user_id = Some("u".repeat(600).into());
    let mut absurd = event(&bench.clock, Uuid::new_v4());
    absurd.received_at = "2200-01-01T00:00:00Z".parse().unwrap();
    let nul = String::from_utf8(encoded(&bench.clock, Uuid::new_v4()))
        .unwrap()
        // With its quotes: a random id may hold the same letters.
        .replace("\"a-1\"", "\"a\\u0000b\"");
    let rejection = Rejection {
        v: VERSION,
        rejected: RejectedBecause {
            code: "missing_identity".into(),
            pointer: String::new(),
            detail: "an event needs an id".into(),
        },
        event_id: Uuid::new_v4(),
        received_at: bench.clock.now(),
        source: "web".into(),
        trusted: false,
        message_id: None,
        origin: Origin::Live,
        scope: serde_json::json!({"kind": "track"}),
        payload: Payload::Text("{\"event\":\"x\"}".into()),
        payload_length: 13,
        payload_sha256: "00".repeat(32),
    };
    let mut hostile = rejection.clone();
    hostile.source = "a\0b".into();
    hostile.rejected.code = "c\0d".into();
    hostile.scope = serde_json::json!({"x": "\0"});
    hostile.received_at = Timestamp::MIN;
    bench
        .append(
            0,
            vec![
                encode_rejection(&hostile),
                encoded(&bench.clock, Uuid::new_v4()),
                b"not json".to_vec(),
                vec![0xff, 0xfe],
                b"{}".to_vec(),
                Vec::new(),
                encode_event(&too_long),
                encode_event(&absurd),
                nul.into_bytes(),
                encode_rejection(&rejection),
                encoded(&bench.clock, Uuid::new_v4()),
            ],
        )
        .await;
    bench.drained().await;
    assert_eq!(bench.account().await, "2 0 5 4 0 0");
    let codes = "SELECT string_agg(code, ' ' ORDER BY log_offset) FROM dead_letters";
    assert_eq!(
        value(&bench.client, codes).await,
        "c\\0d foreign_record foreign_record foreign_record foreign_record id_too_long timestamp_out_of_bounds \
         nul_character missing_identity"
    );
    let payload = "SELECT convert_from(payload, 'UTF8') FROM dead_letters WHERE code = 'missing_identity'";
    assert_eq!(value(&bench.client, payload).await, "{\"event\":\"x\"}");
    assert_eq!(
        bench.count("pg_class WHERE relname = 'events_2200_01'").await,
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_event_that_postgres_refuses_is_found() {
    let bench = Bench::new().await;
    bench.append(0, vec![encoded(&bench.clock, Uuid::new_v4())]).await;
    bench.drained().await;
    // Stands for anything that validation does not foresee.
    bench
        .client
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF NEW.event = 'poison' THEN RAISE EXCEPTION 'refused' USING ERRCODE = '22003'; END IF; \
             RETURN NEW; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    let mut values: Vec<_> = (0..500).map(|_| encoded(&bench.clock, Uuid::new_v4())).collect();
    let mut poison = event(&bench.clock, Uuid::new_v4());
    poison.event = Some("poison".into());
    values.insert(123, encode_event(&poison));
    values.insert(456, encode_event(&poison)); // a copy of it
    bench.append(0, values).await;
    bench.drained().await;
    assert_eq!(bench.account().await, "501 1 1 0 0 0");
    let letter = "SELECT concat_ws(' ', code, log_offset, event_id) FROM dead_letters";
    assert_eq!(
        value(&bench.client, letter).await,
        format!("postgres_22003 124 {}", poison.event_id)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_postgres_refuses_everything_capture_pauses_and_loses_nothing() {
    let mut bench = Bench::with_lease(Timestamp::now(), SHORT_LEASE).await;
    bench.drained().await;
    bench
        .client
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'refused' USING ERRCODE = '22003'; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    let values = (0..2000).map(|_| encoded(&bench.clock, Uuid::new_v4())).collect();
    bench.append(0, values).await;
    until("it says why it is paused", async || {
        format!("{:?}", bench.health.faults()).contains("too many")
    })
    .await;
    assert_eq!(bench.count("dead_letters").await, "0");
    let lease = bench.lease_of_the_first_partition().await;
    // Over several tries.
    bench.lease_is_outlived().await;
    assert_eq!(
        bench.lease_of_the_first_partition().await,
        lease,
        "a pause keeps it"
    );
    bench
        .client
        .batch_execute("DROP TRIGGER refuse ON events")
        .await
        .unwrap();
    bench.drained().await;
    assert_eq!(bench.account().await, "2000 0 0 0 0 0");
    // The commit is seen in SQL a moment before the worker says that it is well.
    until("it is healthy", async || bench.health.faults().is_empty()).await;
    assert_eq!(bench.lease_of_the_first_partition().await, lease);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_log_is_away_its_only_reader_keeps_its_leases_and_says_who_is_away() {
    let mut bench = Bench::with_lease(Timestamp::now(), SHORT_LEASE).await;
    bench.stop().await;
    let log = Arc::new(Reachable {
        log: bench.log.clone(),
        is_cut: AtomicBool::new(false),
    });
    let capture = Capture {
        log: log.clone(),
        ..bench.capture("one")
    };
    let token = CancellationToken::new();
    let running = tokio::spawn(capture.run(token.clone()));
    bench.append(0, vec![encoded(&bench.clock, Uuid::new_v4())]).await;
    bench.drained().await;
    let lease = bench.lease_of_the_first_partition().await;

    log.is_cut.store(true, Ordering::SeqCst);
    bench.append(0, vec![encoded(&bench.clock, Uuid::new_v4())]).await;
    until("the partition says who is away", async || {
        let faults = bench.health.faults();
        let reason = faults.get("capture of partition 0").cloned().unwrap_or_default();
        assert!(!reason.contains("PostgreSQL"), "{reason}");
        reason.contains("no answer from the event log: cut off")
    })
    .await;
    bench.lease_is_outlived().await;
    assert_eq!(bench.lease_of_the_first_partition().await, lease);
    log.is_cut.store(false, Ordering::SeqCst);
    bench.drained().await;
    assert_eq!(bench.account().await, "2 0 0 0 0 0");
    assert_eq!(bench.lease_of_the_first_partition().await, lease);
    until("it is healthy", async || bench.health.faults().is_empty()).await;
    token.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_was_mended_by_hand_goes_on_from_where_it_was_put() {
    let mut bench = Bench::new().await;
    let values = (0..3).map(|_| encoded(&bench.clock, Uuid::new_v4())).collect();
    bench.append(0, values).await;
    bench.drained().await;
    bench.stop().await;
    bench
        .client
        .batch_execute("UPDATE positions SET fingerprint = '\\x00' WHERE log_partition = 0")
        .await
        .unwrap();
    bench.start("one");
    until("the partition is paused", async || {
        format!("{:?}", bench.health.faults()).contains("the log was made anew")
    })
    .await;
    let lease = bench.lease_of_the_first_partition().await;
    bench.append(0, vec![encoded(&bench.clock, Uuid::new_v4())]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.account().await, "3 0 0 0 0 0", "it stores nothing");
    bench
        .client
        .batch_execute("UPDATE positions SET fingerprint = NULL WHERE log_partition = 0")
        .await
        .unwrap();
    bench.drained().await;
    assert_eq!(bench.account().await, "4 0 0 0 0 0");
    assert_eq!(bench.lease_of_the_first_partition().await, lease);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_owner_fences_the_first() {
    let mut bench = Bench::new().await;
    bench.append(0, vec![encoded(&bench.clock, Uuid::new_v4())]).await;
    bench.drained().await;
    // Another host takes the leases, as after an expiry.
    bench
        .client
        .batch_execute("UPDATE leases SET owner = 'two', epoch = epoch + 1, expires_at = now() + '1h'")
        .await
        .unwrap();
    bench.append(0, vec![encoded(&bench.clock, Uuid::new_v4())]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        bench.count("events").await,
        "1",
        "the first owner must change nothing"
    );
    bench.stop().await;
    bench.start("two");
    bench.drained().await;
    assert_eq!(bench.account().await, "2 0 0 0 0 0");
    bench.stop().await;
}

/// A log that a host can be cut off from.
#[derive(Debug)]
struct Reachable {
    log: Arc<EmbeddedLog>,
    is_cut: AtomicBool,
}

impl Reachable {
    fn reach(&self) -> Result<&EmbeddedLog, LogError> {
        match self.is_cut.load(Ordering::SeqCst) {
            true => Err(LogError::Unavailable("cut off".to_owned())),
            false => Ok(&self.log),
        }
    }
}

#[async_trait]
impl EventLog for Reachable {
    fn log_id(&self) -> Uuid {
        self.log.log_id()
    }

    fn kind(&self) -> &'static str {
        self.log.kind()
    }

    fn partitions(&self) -> i32 {
        self.log.partitions()
    }

    async fn append(&self, partition: i32, records: Vec<Record>) -> Result<i64, LogError> {
        self.reach()?.append(partition, records).await
    }

    async fn fetch(
        &self,
        partition: i32,
        offset: i64,
        max_bytes: usize,
        max_wait: Duration,
    ) -> Result<Vec<StoredRecord>, LogError> {
        self.reach()?.fetch(partition, offset, max_bytes, max_wait).await
    }

    async fn offsets(&self, partition: i32) -> Result<OffsetRange, LogError> {
        self.reach()?.offsets(partition).await
    }

    fn release(&self, partition: i32, offset: i64) {
        self.log.release(partition, offset);
    }

    fn health(&self) -> Result<(), String> {
        self.reach().map(|_| ()).map_err(|error| error.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_reach_the_log_leaves_its_share_to_others() {
    let mut bench = Bench::with_lease(Timestamp::now(), SHORT_LEASE).await;
    let log = Arc::new(Reachable {
        log: bench.log.clone(),
        is_cut: AtomicBool::new(false),
    });
    let other = Capture {
        log: log.clone(),
        health: Health::default(),
        ..bench.capture("two")
    };
    let (health, token) = (other.health.clone(), CancellationToken::new());
    let running = tokio::spawn(other.run(token.clone()));
    let owners = "SELECT string_agg(DISTINCT owner, ' ' ORDER BY owner) FROM leases WHERE expires_at > now()";
    let owned_by = async |expected: &str| {
        until(&format!("the owners are {expected}"), async || {
            value(&bench.client, owners).await == expected
        })
        .await;
    };
    owned_by("one two").await;

    log.is_cut.store(true, Ordering::SeqCst);
    for partition in 0..2 {
        bench
            .append(partition, vec![encoded(&bench.clock, Uuid::new_v4())])
            .await;
    }
    bench.drained().await;
    owned_by("one").await;
    until("the host says that it is cut off", async || {
        format!("{:?}", health.faults()).contains("the event log does not answer")
    })
    .await;

    log.is_cut.store(false, Ordering::SeqCst);
    owned_by("one two").await;
    until("it is healthy", async || health.faults().is_empty()).await;
    assert_eq!(bench.account().await, "2 0 0 0 0 0");
    token.cancel();
    running.await.unwrap().unwrap();
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_handed_over_costs_the_giver_no_connection() {
    let mut bench = Bench::new().await;
    let owned = "SELECT string_agg(owner || ' ' || epoch || ' ' || take_overs, ', ' ORDER BY owner) FROM leases \
                 WHERE expires_at > now()";
    let owned_as = async |expected: &str| {
        until(&format!("the leases are {expected}"), async || {
            value(&bench.client, owned).await == expected
        })
        .await;
    };
    owned_as("one 1 0, one 1 0").await;
    let other = bench.capture("two");
    let token = CancellationToken::new();
    let running = tokio::spawn(other.run(token.clone()));
    owned_as("one 1 0, two 2 0").await;
    // Nobody's session was ended: the one that writes for a lease is the one that took it.
    let sessions = "SELECT count(*) FROM leases JOIN pg_stat_activity \
                    ON pid = leases.backend_pid AND pg_stat_activity.backend_start = leases.backend_start";
    assert_eq!(value(&bench.client, sessions).await, "2");
    token.cancel();
    running.await.unwrap().unwrap();
    owned_as("one 1 0, one 3 0").await;
    assert_eq!(bench.count("capture_hosts").await, "1", "who stops says so");
    assert_eq!(
        bench.health.faults(),
        Default::default(),
        "nothing went wrong on the way"
    );
    bench.stop().await;
    assert_eq!(bench.count("capture_hosts").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_each_host_has_what_it_had() {
    let data = DataDir::new();
    let postgres = data.start().await;
    let database = postgres.events_config();
    migrate(&database, Database::Events).await.unwrap();
    // Its own database is not used.
    let bench = Bench::with_lease(Timestamp::now(), SHORT_LEASE).await;
    let hosts: Vec<_> = ["three", "four"]
        .into_iter()
        .map(|owner| {
            let capture = Capture {
                pool: pool::connect(database.clone(), 4),
                database: database.clone().into(),
                health: Health::default(),
                ..bench.capture(owner)
            };
            let (token, health) = (CancellationToken::new(), capture.health.clone());
            let running = tokio::spawn(capture.run(token.clone()));
            (token, health, running)
        })
        .collect();
    let owned = "SELECT string_agg(owner || ' ' || log_partition, ', ' ORDER BY owner) FROM leases \
                 WHERE expires_at > now()";
    let look = async || value(&connect(&database).await.unwrap(), owned).await;
    let is_shared = |owned: &str| owned.contains("three") && owned.contains("four");
    until("each has one", async || is_shared(&look().await)).await;
    let before = look().await;

    postgres.stop().await.unwrap();
    // So that neither host's word still holds.
    tokio::time::sleep(SHORT_LEASE + Duration::from_secs(3)).await;
    let postgres = data.start().await;
    until("each has one again", async || is_shared(&look().await)).await;
    until("both are healthy", async || {
        hosts.iter().all(|(_, health, _)| health.faults().is_empty())
    })
    .await;
    assert_eq!(look().await, before);
    let taken = "SELECT sum(take_overs) FROM leases";
    assert_eq!(value(&connect(&database).await.unwrap(), taken).await, "0");
    for (token, _, running) in hosts {
        token.cancel();
        running.await.unwrap().unwrap();
    }
    postgres.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_is_not_open_gets_its_rows_into_events_late() {
    let bench = Bench::at("2026-11-15T12:00:00Z".parse().unwrap()).await;
    let id = Uuid::new_v4();
    bench.append(0, vec![encoded(&bench.clock, id)]).await;
    bench.drained().await;
    bench
        .client
        .batch_execute("UPDATE months SET state = 'sealed' WHERE month = '2026-11-01'")
        .await
        .unwrap();
    bench
        .append(
            0,
            vec![encoded(&bench.clock, Uuid::new_v4()), encoded(&bench.clock, id)],
        )
        .await;
    bench.drained().await;
    assert_eq!(bench.count("events").await, "1");
    assert_eq!(bench.count("events_late").await, "1");
    assert_eq!(bench.count("all_events").await, "2");
    assert_eq!(
        bench.account().await,
        "2 1 0 0 0 0",
        "a copy of a sealed month's row is found there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_at_any_moment_costs_nothing() {
    let bench = Bench::new().await;
    let killer = connect(&bench.database).await.unwrap();
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'momsflow'";
    let chaos = tokio::spawn(async move {
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(rand::random_range(5..60))).await;
            // Also ends the test's own connection; it is made anew below.
            let _ = killer.simple_query(kill).await;
        }
    });
    for _ in 0..60 {
        let values = (0..100).map(|_| encoded(&bench.clock, Uuid::new_v4())).collect();
        bench.append(rand::random_range(0..2), values).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    chaos.await.unwrap();
    let client = connect(&bench.database).await.unwrap();
    let bench = Bench { client, ..bench };
    bench.drained().await;
    assert_eq!(bench.account().await, "6000 0 0 0 0 0");
    assert_eq!(bench.count("events").await, "6000");
}

/// A pair comes by its user's partition; by several of them since there are more partitions, or when it is the word of a
/// source that is not trusted as well.
#[tokio::test(flavor = "multi_thread")]
async fn pairs_that_come_by_several_partitions_are_locked_in_one_order() {
    let mut bench = Bench::new().await;
    let pairs = 100;
    let seen = |pair: usize, days_ago: i64| {
        let mut event = event(&bench.clock, Uuid::new_v4());
        event.occurred_at = bench.clock.now() - (24 * days_ago).hours();
        event.user_id = Some(format!("u-{pair:02}").into());
        event.anonymous_id = Some(format!("v-{pair:02}").into());
        encode_event(&event)
    };
    bench
        .append(0, (0..pairs).map(|pair| seen(pair, 9)).collect())
        .await;
    bench.drained().await;
    let epochs = "SELECT string_agg(epoch::text, ' ') FROM leases";
    let before = value(&bench.client, epochs).await;

    // Both are stopped in the middle, each with what it has locked by then.
    let blocker = connect(&bench.database).await.unwrap();
    let block = "BEGIN; SELECT FROM identity_edges WHERE user_id = 'u-50' FOR UPDATE";
    blocker.batch_execute(block).await.unwrap();
    let forwards = (0..pairs).map(|pair| seen(pair, 5)).collect();
    let backwards = (0..pairs).rev().map(|pair| seen(pair, 4)).collect();
    tokio::join!(bench.append(0, forwards), bench.append(1, backwards));
    until("both wait", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        value(&bench.client, waiting).await == "2"
    })
    .await;
    blocker.batch_execute("ROLLBACK").await.unwrap();
    bench.drained().await;
    assert_eq!(
        value(&bench.client, epochs).await,
        before,
        "none had to begin anew"
    );
    let edges = "SELECT count(*) || ' ' || count(DISTINCT last_seen_on) FROM identity_edges";
    assert_eq!(value(&bench.client, edges).await, "100 1");
    bench.stop().await;
}

/// A visitor's wish comes by one partition, what is to be left out by others: each worker has to see all wishes, in
/// whatever order they were committed.
#[tokio::test(flavor = "multi_thread")]
async fn wishes_to_be_forgotten_hold_for_all_partitions() {
    let mut bench = Bench::new().await;
    let ids: Vec<_> = (0..300).map(|_| Uuid::new_v4().to_string()).collect();
    let of = |id: &String, name: &'static str, minutes: i64| {
        let mut event = event(&bench.clock, Uuid::new_v4());
        event.accepted_at = bench.clock.now() + minutes.minutes();
        event.event = Some(name.into());
        event.trusted = false;
        event.user_id = None;
        event.anonymous_id = Some(id.clone().into());
        event.context = Some(serde_json::from_str(r#"{"userprint_state":"forgotten"}"#).unwrap());
        encode_event(&event)
    };
    let read = |id: &String, minutes: i64| of(id, "Read", minutes);
    // Both read the list while it is still empty, and while it grows by both.
    for chunk in ids.chunks(20) {
        let (here, there) = chunk.split_at(10);
        let wishes = |ids: &[String]| ids.iter().map(|id| of(id, "Userprint Forgotten", 0)).collect();
        tokio::join!(bench.append(0, wishes(here)), bench.append(1, wishes(there)));
    }
    bench.drained().await;
    for partition in [0, 1] {
        let before = ids.iter().map(|id| read(id, -1)).collect();
        bench.append(partition, before).await;
        let after = ids.iter().map(|id| read(id, 1)).collect();
        bench.append(partition, after).await;
    }
    bench.drained().await;
    let account = "SELECT sum(stored) || ' ' || sum(suppressed) FROM positions";
    assert_eq!(value(&bench.client, account).await, "900 600");

    // A user's events come by the user's partition, and may be read after a wish that was accepted after them.
    let order = |minutes: i64| {
        let mut event = event(&bench.clock, Uuid::new_v4());
        event.accepted_at = bench.clock.now() + minutes.minutes();
        event.event = Some(if minutes < 0 { "Before" } else { "After" }.into());
        event.anonymous_id = Some(ids[0].clone().into());
        encode_event(&event)
    };
    bench.append(1, vec![order(-1), order(1)]).await;
    bench.drained().await;
    let orders = "SELECT string_agg(event || ' ' || coalesce(anonymous_id, 'nobody'), ', ' ORDER BY event) FROM events \
                  WHERE user_id = 'u-1'";
    assert_eq!(
        value(&bench.client, orders).await,
        format!("After nobody, Before {}", ids[0])
    );
    let in_order = "SELECT count(*) = 300 AND count(DISTINCT seq) = 300 FROM identity_suppressions";
    assert_eq!(value(&bench.client, in_order).await, "t");
    bench.stop().await;
}
