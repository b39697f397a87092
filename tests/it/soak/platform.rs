//! Hosts that take events and hosts that store them, with a Kafka and a PostgreSQL between them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use momsflow::config;

use super::DRAIN_PATIENCE;
use super::audit::{audit_store, drain_store};
use super::hits::{KEYS, Visitors};
use super::host::{Host, Settings};
use super::ledger::Ledger;
use super::load::{Load, Manner};
use super::postgres::Postgres;
use super::report::Report;
use crate::place::Place;
use crate::serve::PATIENCE;
use crate::support::status;

/// What is not done by then ends a stop with a failure.
const SHUTDOWN_DEADLINE: &str = "150s";

/// What a platform is made of.
pub struct Parts {
    pub kafka: config::Kafka,
    pub postgres: Postgres,
    /// Where the hosts reach PostgreSQL, when it is elsewhere than for this process.
    pub postgres_ip: Option<IpAddr>,
    pub ingest: Vec<Place>,
    pub capture: Vec<Place>,
    pub lease: Duration,
}

pub struct Platform {
    pub postgres: Postgres,
    pub ingest: Vec<Host>,
    pub capture: Vec<Host>,
    pub ledger: Arc<Ledger>,
    visitors: Option<Visitors>,
    began: Timestamp,
}

impl Platform {
    pub async fn start(parts: Parts) -> Self {
        let began = Timestamp::now();
        let kafka = toml(&parts.kafka);
        let rest = format!(
            "[capture]\nlease = \"{}s\"\n{}",
            parts.lease.as_secs(),
            parts.postgres.toml(parts.postgres_ip)
        );
        let host = |roles: &str, rest: &str, place: &Place| {
            Host::new(&Settings {
                config: format!(
                    "roles = [{roles}]\nshutdown_deadline = \"{SHUTDOWN_DEADLINE}\"\n{kafka}{rest}"
                ),
                place: place.clone(),
                ..Settings::default()
            })
        };
        let mut platform = Self {
            postgres: parts.postgres,
            ingest: parts
                .ingest
                .iter()
                .map(|place| host("\"ingest\", \"pixel\"", KEYS, place))
                .collect(),
            capture: parts
                .capture
                .iter()
                .map(|place| host("\"capture\"", &rest, place))
                .collect(),
            ledger: Arc::default(),
            visitors: None,
            began,
        };
        let hosts = platform.capture.iter_mut().chain(&mut platform.ingest);
        let starts = hosts.map(async |host| {
            host.start().await;
            host.await_ready(200, "ready", PATIENCE).await.unwrap();
        });
        join_all(starts).await;
        platform
    }

    pub fn load(&self, manner: Manner, seed: u64) -> Load {
        let addrs: Vec<_> = self.ingest.iter().map(|host| host.addr).collect();
        Load::start(&addrs, Host::keys(), manner, seed, &self.ledger)
    }

    /// Lets visitors come to the pixel, until the end.
    pub fn open_pixel(&mut self, seed: u64) {
        self.visitors = Some(Visitors::start(&self.ingest, seed));
    }

    /// Waits until the next events are acknowledged by the log, and not from a spool.
    pub async fn logged_again(&self) -> Result<Duration, String> {
        let (begun, before) = (Instant::now(), self.ledger.book().logged);
        while self.ledger.book().logged == before {
            if begun.elapsed() > PATIENCE {
                return Err("events do not go to Kafka again".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(begun.elapsed())
    }

    /// Counts what is acknowledged for a while, a second: by the log, and from the spools.
    pub async fn rates(&self, time: Duration) -> (f64, f64) {
        let counts = || {
            let book = self.ledger.book();
            (book.logged, book.spooled)
        };
        let (begun, before) = (Instant::now(), counts());
        tokio::time::sleep(time).await;
        let (after, seconds) = (counts(), begun.elapsed().as_secs_f64());
        let rate = |before: u64, after: u64| (after - before) as f64 / seconds;
        (rate(before.0, after.0), rate(before.1, after.1))
    }

    /// One value of the event store.
    pub async fn value(&self, query: &str) -> String {
        crate::support::value(&self.postgres.events().await, query).await
    }

    /// Ends the load, waits until all is stored, stops every host, compares everything, and fails where something
    /// is wrong.
    pub async fn conclude(mut self, load: Load, mut report: Report) {
        load.finish().await;
        let mut hits = None;
        if let Some(visitors) = self.visitors.take() {
            hits = Some(visitors.finish().await);
        }
        report.load(&self.ledger);
        for (number, host) in self.ingest.iter().enumerate() {
            report.waited(
                &format!("spool of ingest {number} empty after"),
                empty(host).await,
            );
        }
        let store = self.postgres.events().await;
        report.drained(drain_store(&self.capture[0], &store, DRAIN_PATIENCE).await);
        let hosts = self.ingest.iter_mut().chain(&mut self.capture);
        let stops = hosts.map(async |host| (host.terminate(PATIENCE).await, host));
        for (status, host) in join_all(stops).await {
            if !status.is_some_and(|status| status.success()) {
                report.fault(format!("a clean stop ended with {status:?}"));
            }
            for failed in &host.failed_starts {
                report.fault(format!("a start ended by itself: {failed}"));
            }
        }
        let take_overs = self
            .value("SELECT coalesce(sum(take_overs), 0)::text FROM leases")
            .await;
        report.line("partitions taken over from owners that died or froze", take_overs);
        report.findings(&audit_store(&store, &self.ledger.close(), self.began).await);
        if let Some(hits) = hits {
            hits.audit(&store, &mut report).await;
        }
        report.conclude(self.ingest.into_iter().chain(self.capture));
    }
}

/// Waits until a host has no event of its own any more.
async fn empty(host: &Host) -> Result<Duration, String> {
    let begun = Instant::now();
    loop {
        let status = status(&host.state()).await.unwrap_or_default();
        let spool = &status["spool"];
        if spool["records"] == 0 {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("the spool does not empty: {spool}"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn toml(kafka: &config::Kafka) -> String {
    format!(
        "[kafka]\nbrokers = {:?}\ntopic = \"{}\"\npartitions = {}\nreplication = {}\nmin_insync_replicas = {}\n",
        kafka.brokers, kafka.topic, kafka.partitions, kafka.replication, kafka.min_insync_replicas
    )
}
