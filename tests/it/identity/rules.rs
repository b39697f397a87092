//! That the same facts come of the same events, however they come, and that SQL follows the rules of the code.

use jiff::{SignedDuration, Timestamp};
use momsflow::event::is_placeholder;
use momsflow::identity::{Links, Person, Visit, assign};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Site, rederived, someone};
use crate::serve::until;
use crate::shared::event_store;
use crate::support::{connect, value};

const USERS: [&str; 3] = ["ada", "ben", "cleo"];

/// Edges and claims of a family of ids, with its name left out.
async fn facts(site: &Site, family: &str) -> String {
    let query = "SELECT string_agg(replace(concat_ws(' ', anonymous_id, user_id, source, evidence, first_seen_at, last_seen_on, \
                 event_id, kind), $1, ''), E'\n' ORDER BY anonymous_id, user_id, source) \
                 FROM (SELECT anonymous_id, user_id, source, evidence, first_seen_at, last_seen_on, event_id, 'edge' AS kind FROM identity_edges \
                 UNION ALL SELECT anonymous_id, user_id, source, evidence, first_seen_at, last_seen_on, event_id, 'claim' FROM identity_claims) f \
                 WHERE anonymous_id LIKE '%' || $1";
    site.sql()
        .await
        .query_one(query, &[&family])
        .await
        .unwrap()
        .get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn late_repeated_and_turned_events_make_the_same_facts() {
    let site = Site::new().await;
    let mut random = StdRng::seed_from_u64(6);
    let now = Timestamp::now();
    let mut events: Vec<(i64, Value)> = Vec::new();
    for number in 0..120_i64 {
        let kind = *["identify", "track", "alias"].choose(&mut random).unwrap();
        let mut event = json!({
            "type": kind, "event": "Read", "userId": USERS.choose(&mut random).unwrap(),
            "anonymousId": format!("v{}", random.random_range(0..4)), "messageId": format!("m{number}"),
        });
        if kind == "alias" {
            event["previousId"] = json!(format!("p{}", random.random_range(0..2)));
        }
        // No two at once: between those the ids of the events would decide, which differ.
        events.push((number * 37 % 6000, event));
    }
    let (straight, turned) = (someone(""), someone(""));
    let mut again = events.clone();
    again.extend(events[..60].to_vec());
    again.shuffle(&mut random);
    for (family, events) in [(&straight, &events), (&turned, &again)] {
        for (minutes_ago, event) in events {
            let mut event = event.clone();
            for id in ["userId", "anonymousId", "previousId", "messageId"] {
                if let Some(text) = event[id].as_str() {
                    event[id] = json!(format!("{text}{family}"));
                }
            }
            // History keeps its times as they are.
            event["timestamp"] = json!(now - SignedDuration::from_mins(*minutes_ago));
            let (status, body) = site
                .serve
                .post_as("history-key", "/v1/import", &json!({"batch": [event]}))
                .await;
            assert_eq!(status, 200, "{body}");
        }
    }
    site.serve.settle().await;
    let counted = "SELECT concat_ws(' ', sum(stored), sum(duplicate)) FROM positions";
    assert_eq!(site.value(counted).await, "240 60");
    // Ids of events come from those of the messages, which differ; the first event of a pair is the same one.
    let without_event = |facts: String| {
        let is_id = |word: &&str| Uuid::parse_str(word).is_err();
        let line = |line: &str| line.split(' ').filter(is_id).collect::<Vec<_>>().join(" ");
        facts.lines().map(line).collect::<Vec<_>>()
    };
    let expected = without_event(facts(&site, &straight).await);
    assert_eq!(
        expected.len(),
        4 * 3 + 2 * 3,
        "each visitor with each user: {expected:?}"
    );
    assert_eq!(without_event(facts(&site, &turned).await), expected);
    // The same of claims, whose times no client can set: here only what is stored tells them.
    again.shuffle(&mut random);
    for (minutes_ago, event) in again.into_iter().take(60) {
        site.send("page-key", minutes_ago, event).await;
    }
    site.serve.settle().await;
    rederived(&mut site.sql().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_left_out_moves_nothing() {
    let site = Site::shared().await;
    let (visitor, ada, id) = (someone("visitor"), someone("ada"), Uuid::new_v4());
    let login = json!({"type": "identify", "anonymousId": visitor, "userId": ada, "messageId": id});
    site.send("server-key", 500, login.clone()).await;
    let before = site.show(&ada).await;
    for minutes_ago in [900, 10] {
        site.send("server-key", minutes_ago, login.clone()).await;
    }
    let other =
        json!({"type": "identify", "anonymousId": visitor, "userId": someone("ben"), "messageId": id});
    site.send("server-key", 10, other).await;
    assert_eq!(site.show(&ada).await, before);
    assert_eq!(site.show(&visitor).await["total_links"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_pair_is_written_once_a_day() {
    let site = Site::shared().await;
    let (visitor, ada) = (someone("visitor"), someone("ada"));
    let day = SignedDuration::from_hours(24);
    let midnight = Timestamp::now().round(jiff::Unit::Hour).unwrap().as_second() / 86_400 * 86_400;
    let begin = Timestamp::from_second(midnight).unwrap() - day * 2;
    let read = async |at: Timestamp| {
        let event = json!({"event": "Read", "userId": ada, "anonymousId": visitor, "timestamp": at, "sentAt": Timestamp::now()});
        let (status, body) = site.serve.post_as("server-key", "/v1/track", &event).await;
        assert_eq!(status, 200, "{body}");
        site.serve.settle().await;
        let state = "SELECT xmin || ' ' || xmax FROM identity_edges WHERE user_id = $1";
        let state: String = site.sql().await.query_one(state, &[&ada]).await.unwrap().get(0);
        state
    };
    // Well within the day: the correction of clocks moves events by moments.
    let first = read(begin + SignedDuration::from_mins(10)).await;
    assert!(first.ends_with(" 0"), "nobody has locked it since: {first}");
    for minute in 11..20 {
        let state = read(begin + SignedDuration::from_mins(minute * 70)).await;
        assert_eq!(state, first, "minute {minute} wrote");
    }
    assert_ne!(
        read(begin + day + SignedDuration::from_mins(5)).await,
        first,
        "a new day"
    );
}

/// The store may have been restored from a copy while capture was away from it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_remembered_for_as_long_as_the_lease() {
    let site = Site::new().await;
    let (visitor, ada) = (someone("visitor"), someone("ada"));
    let edges_after_a_log_in = async || {
        site.logs_in(&visitor, &ada, 0).await;
        site.serve.settle().await;
        site.value("SELECT count(*) FROM identity_edges").await
    };
    assert_eq!(edges_after_a_log_in().await, "1");
    site.sql()
        .await
        .execute("DELETE FROM identity_edges", &[])
        .await
        .unwrap();
    assert_eq!(edges_after_a_log_in().await, "0", "the pair is remembered");

    let end = "SELECT count(pg_terminate_backend(backend_pid)) FROM leases";
    assert_eq!(site.value(end).await, "4");
    site.logs_in(&visitor, &ada, 0).await;
    until(
        "the partition is taken anew, and the edge is written",
        async || site.value("SELECT count(*) FROM identity_edges").await == "1",
    )
    .await;
}

/// SQL has the rule a second time, for people and tools; both must say the same.
#[tokio::test(flavor = "multi_thread")]
async fn sql_says_whose_events_are_as_the_code_does() {
    let database = event_store().await;
    let client = connect(&database).await.unwrap();
    let mut random = StdRng::seed_from_u64(7);
    let base: Timestamp = "2026-11-02T00:00:00Z".parse().unwrap();
    let mut shared = 0;
    for round in 0..60 {
        let visitor = format!("v{round}");
        let mut visits = Vec::new();
        for _ in 0..random.random_range(0..40) {
            let visit = Visit {
                // Pauses of exactly half an hour are the border.
                occurred_at: base + SignedDuration::from_mins(10 * random.random_range(0..120)),
                event_id: Uuid::from_u128(random.random()),
                user: random
                    .random_bool(0.3)
                    .then(|| (*USERS.choose(&mut random).unwrap()).to_owned()),
            };
            let claimed = visit.user.is_none() && random.random_bool(0.3);
            insert(&client, &visitor, &visit, claimed).await;
            visits.push(visit);
        }
        let edges = subset(&mut random);
        let revoked = subset(&mut random);
        for user in &edges {
            let add = "INSERT INTO identity_edges (anonymous_id, user_id, first_seen_at, last_seen_on, source, evidence, event_id) \
                       VALUES ($1, $2, now(), now(), 's', 'event', gen_random_uuid())";
            client.execute(add, &[&visitor, user]).await.unwrap();
        }
        for user in &revoked {
            let add = "INSERT INTO identity_revocations VALUES ($1, $2, now())";
            client.execute(add, &[&visitor, user]).await.unwrap();
        }
        for without in [None, Some("ada")] {
            let seen = |user| (user, base);
            let revoked = revoked.iter().copied().chain(without);
            let links = Links::new(edges.iter().copied().map(seen), revoked.map(seen), base);
            shared += u32::from(links.is_shared());
            let mut visits = visits.clone();
            let expected: Vec<_> = assign(&visitor, &links, &mut visits)
                .into_iter()
                .map(|(visit, person)| match person {
                    Person::User(user) => (visit.event_id, Some(user.to_owned())),
                    Person::Visitor(_) => (visit.event_id, None),
                })
                .collect();
            let query =
                "SELECT event_id, person_user_id FROM visitor_events($1, $2) ORDER BY occurred_at, event_id";
            let rows = client.query(query, &[&visitor, &without]).await.unwrap();
            let found: Vec<(Uuid, Option<String>)> =
                rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            assert_eq!(found, expected, "round {round}, without {without:?}");
        }
    }
    assert!(shared > 20, "{shared} shared devices are too few to tell");
    // Nobody's event is another's, and each is somebody's exactly once.
    let each_once = "SELECT count(*) = count(DISTINCT event_id) FROM unnest(ARRAY['ada', 'ben', 'cleo']) AS u, person_events(u)";
    assert_eq!(value(&client, each_once).await, "t");
    let joined = "SELECT (SELECT count(*) FROM unnest(ARRAY['ada', 'ben', 'cleo']) AS u, person_events(u)) \
                  = (SELECT count(*) FROM (SELECT DISTINCT anonymous_id FROM all_events) v, visitor_events(v.anonymous_id) \
                     WHERE person_user_id IS NOT NULL)";
    assert_eq!(value(&client, joined).await, "t");
}

fn subset(random: &mut StdRng) -> Vec<&'static str> {
    let many = random.random_range(0..=USERS.len());
    USERS.choose_multiple(random, many).copied().collect()
}

async fn insert(client: &Client, visitor: &str, visit: &Visit, claimed: bool) {
    let add = "INSERT INTO events_late (received_at, event_id, occurred_at, accepted_at, type, user_id, anonymous_id, is_bot, \
               source, trusted, log_id, log_partition, log_offset) \
               VALUES ($1, $2, $1, $1, 'track', $3, $4, false, 's', $5, 1, 0, 0)";
    let user = visit.user.as_deref().or(claimed.then_some("ada"));
    let trusted = visit.user.is_some();
    client
        .execute(
            add,
            &[&visit.occurred_at, &visit.event_id, &user, &visitor, &trusted],
        )
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_nobody_are_the_same_in_sql() {
    let client = connect(&event_store().await).await.unwrap();
    let mut ids: Vec<String> = [
        "",
        " ",
        "null",
        "NULL",
        "\tundefined\n",
        "nil",
        "None",
        "NaN",
        "0",
        "-1",
        "guest",
        "Anonymous",
        "anon",
        "unknown",
        "[object Object]",
        "{}",
        "[]",
        "\"\"",
        "''",
        "TRUE",
        "false",
        "N/A",
        "na",
        "-",
        "not set",
        "(not set)",
        "unset",
        "empty",
        "user_id",
        "userId",
        "anonymous_id",
        "00000000-0000-0000-0000-000000000000",
        "00000000000000000000000000000000",
    ]
    .map(str::to_owned)
    .to_vec();
    assert!(ids.iter().all(|id| is_placeholder(id)));
    let others = [
        "u-1",
        "00",
        "nullable",
        "guest-17",
        "Åse",
        "un\u{212a}nown",
        "n/a/",
        "\u{b}null\u{c}",
    ];
    ids.extend(others.map(str::to_owned));
    for id in ids {
        let said = client.query_one("SELECT names_nobody($1)", &[&id]).await.unwrap();
        assert_eq!(said.get::<_, bool>(0), is_placeholder(&id), "{id:?}");
    }
    assert_eq!(value(&client, "SELECT names_nobody(NULL)").await, "t");
}
