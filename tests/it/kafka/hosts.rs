//! Several capture hosts share the partitions of one topic, and come, go, die and freeze under load.

use std::time::{Duration, Instant};

use momsflow::config;
use rustix::process::Signal;
use tokio_postgres::Client;

use super::broker::{shared, topic_on};
use super::console::topics;
use super::load::{Load, assert_exact};
use super::serving::toml;
use crate::serve::{PATIENCE, Serve, until};
use crate::shared::databases;
use crate::support::{connect, value};

const PARTITIONS: usize = 6;
/// Longer than a busy machine stands still, so that only who dies or is frozen loses what it has.
const LEASE: &str = "20s";

/// A topic, a PostgreSQL, a host that takes events, and clients that send them all the time.
struct Platform {
    kafka: config::Kafka,
    ingest: Serve,
    client: Client,
    capture: String,
    load: Option<Load>,
}

impl Platform {
    async fn start() -> Option<Self> {
        let kafka = config::Kafka {
            partitions: PARTITIONS as i32,
            ..topic_on(&shared()?)
        };
        let (database, urls) = databases().await;
        let client = connect(&database).await.unwrap();
        let ingest = Serve::start(&format!("roles = [\"ingest\"]\n{}", toml(&kafka))).await;
        Some(Self {
            ingest,
            client,
            kafka: kafka.clone(),
            capture: format!(
                "roles = [\"capture\"]\n{}{urls}[capture]\nlease = \"{LEASE}\"\n",
                toml(&kafka)
            ),
            load: None,
        })
    }

    /// Clients that send until the audit.
    fn load(&mut self, clients: u32) {
        self.load = Some(Load::start(&self.ingest, clients));
    }

    /// Starts a host that captures.
    async fn host(&self) -> Serve {
        Serve::start(&self.capture).await
    }

    /// How many partitions each host has that has any, the fewest first.
    async fn shares(&self) -> Vec<i64> {
        let query = "SELECT count(*) FROM leases WHERE expires_at > now() GROUP BY owner ORDER BY 1";
        let rows = self.client.query(query, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until the hosts have such shares; gives how long that took.
    async fn shared_out(&self, shares: &[i64]) -> Duration {
        let began = Instant::now();
        until(&format!("the shares are {shares:?}"), async || {
            self.shares().await == shares
        })
        .await;
        began.elapsed()
    }

    async fn value(&self, query: &str) -> String {
        value(&self.client, query).await
    }

    /// Ends the load, waits until one host sees all stored, and asserts that it is what was acknowledged.
    async fn audit(&mut self, host: &Serve) {
        let acknowledged = self.load.take().unwrap().end().await;
        host.settle().await;
        assert_exact(&self.client, &acknowledged).await;
    }
}

fn tell(what: &str, took: Duration) {
    println!("{what} after {:.2} s", took.as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_join_leave_and_die_share_fairly_and_lose_nothing() {
    let Some(mut platform) = Platform::start().await else {
        return;
    };
    platform.load(2);
    let one = platform.host().await;
    platform.shared_out(&[6]).await;

    let mut two = platform.host().await;
    tell("a second host has its share", platform.shared_out(&[3, 3]).await);
    let three = platform.host().await;
    tell(
        "a third host has its share",
        platform.shared_out(&[2, 2, 2]).await,
    );

    until("the third host shows two partitions as its own", async || {
        let status = three.status().await;
        let hosts = status["capture_hosts"].as_array().unwrap();
        let own = hosts.iter().find(|host| host["is_this"] == true).unwrap();
        let partitions = status["log"]["partitions"].as_array().unwrap();
        let owned = partitions
            .iter()
            .filter(|partition| partition["capture"]["owner"] == own["name"]);
        hosts.len() == 3 && own["partitions"] == 2 && owned.count() == 2
    })
    .await;

    two.signal(Signal::TERM);
    tell("handed over on stop", platform.shared_out(&[3, 3]).await);
    assert_eq!(two.ended().await.code(), Some(0));
    assert_eq!(platform.value("SELECT sum(take_overs) FROM leases").await, "0");

    let mut dying = three;
    dying.kill().await;
    tell("taken over after a death", platform.shared_out(&[6]).await);
    assert_eq!(platform.value("SELECT sum(take_overs) FROM leases").await, "3");
    until("the metrics count them", async || {
        let metrics = one.client().get(format!("http://{}/metrics", one.admin()));
        let metrics = metrics.send().await.unwrap().text().await.unwrap();
        let taken = metrics
            .lines()
            .filter(|line| line.starts_with("momsflow_capture_take_overs_total{"))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap());
        taken.sum::<i64>() == 3
    })
    .await;

    dying.start_again().await;
    tell("a host is back", platform.shared_out(&[3, 3]).await);
    platform.audit(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_hosts_than_partitions_stand_by_and_are_ready() {
    let Some(platform) = Platform::start().await else {
        return;
    };
    let mut hosts = Vec::new();
    for _ in 0..=PARTITIONS {
        // Which waits until it is ready.
        hosts.push(platform.host().await);
    }
    platform.shared_out(&[1; PARTITIONS]).await;
    let mut leaving = hosts.remove(0);
    let stopped_at = Instant::now();
    leaving.signal(Signal::TERM);
    leaving.ended().await;
    platform.shared_out(&[1; PARTITIONS]).await;
    tell("the one that stood by has a partition", stopped_at.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_frozen_in_the_middle_of_a_copy_changes_nothing_when_it_wakes() {
    let Some(mut platform) = Platform::start().await else {
        return;
    };
    platform.load(3);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let sleeper = platform.host().await;
    let stuck = freeze_in_copy(&platform, &sleeper).await;
    println!(
        "{} backends wait for the frozen host in the middle of a COPY",
        stuck.len()
    );
    let before = platform.value("SELECT sum(epoch) FROM leases").await;

    let frozen_at = Instant::now();
    let awake = platform.host().await;
    until("the frozen host's leases are taken", async || {
        platform
            .value("SELECT count(*) FROM leases WHERE take_overs > 0")
            .await
            == PARTITIONS.to_string()
    })
    .await;
    tell("taken over from a frozen host", frozen_at.elapsed());
    for backend in &stuck {
        let query =
            format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {backend} AND query LIKE 'COPY%'");
        assert_eq!(platform.value(&query).await, "0", "it would block its successor");
    }
    assert_ne!(platform.value("SELECT sum(epoch) FROM leases").await, before);
    // Longer than its lease, and the successor works on its partitions.
    let positions = "SELECT sum(next_offset) FROM positions";
    let reached: i64 = platform.value(positions).await.parse().unwrap();
    until("the successor stores", async || {
        platform.value(positions).await.parse::<i64>().unwrap() > reached
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;

    sleeper.signal(Signal::CONT);
    tell(
        "the woken host has its share again",
        platform.shared_out(&[3, 3]).await,
    );
    until("both are healthy", async || {
        let (first, second) = (
            sleeper.status_with_faults().await,
            awake.status_with_faults().await,
        );
        [first, second]
            .iter()
            .all(|status| status["faults"].as_object().unwrap().is_empty())
    })
    .await;
    platform.audit(&awake).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_added_are_taken_up_without_a_restart() {
    let Some(mut platform) = Platform::start().await else {
        return;
    };
    platform.load(2);
    let (one, two) = (platform.host().await, platform.host().await);
    platform.shared_out(&[3, 3]).await;
    let (broker, topic) = (&platform.kafka.brokers[0], &platform.kafka.topic);
    topics(broker, &["--alter", "--topic", topic, "--partitions", "9"]).await;
    platform.shared_out(&[4, 5]).await;
    // Ingest fills them too.
    until("the new partitions have events", async || {
        let stored = "SELECT count(*) FROM positions WHERE log_partition >= 6 AND stored > 0";
        platform.value(stored).await == "3"
    })
    .await;
    platform.audit(&one).await;
    for host in [&one, &two] {
        assert_eq!(host.status().await["faults"], serde_json::json!({}));
    }
}

/// Freezes a host while at least one of its backends is in the middle of a COPY and stays there; gives their pids.
async fn freeze_in_copy(platform: &Platform, host: &Serve) -> Vec<i32> {
    let waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
                   AND query LIKE 'COPY events_%' AND wait_event = 'ClientRead'";
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
                AND query LIKE 'COPY events_%'";
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if platform.value(busy).await == "0" {
            continue;
        }
        host.signal(Signal::STOP);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let stuck = platform.client.query(waiting, &[]).await.unwrap();
        if !stuck.is_empty() {
            return stuck.iter().map(|row| row.get(0)).collect();
        }
        host.signal(Signal::CONT);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the host was never in the middle of a COPY");
}
