//! How fast capture catches up after an outage of PostgreSQL, while events go on arriving.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use momsflow::broker::EventLog;
use momsflow::clock::Clock;
use momsflow::embedded::{EmbeddedPostgres, Options};
use momsflow::lifecycle::Health;
use tokio_postgres::{Client, Config};

use super::PARTITIONS;
use super::broker::{Broker, environment};
use crate::Sizes;
use crate::event_store::connect;
use crate::load::{Load, Posts};
use crate::process::{Folder, KEY, Process, free_address};
use crate::report::{Goal, Report, Series};
use crate::visible::{maximum, until_ready};

const POSTS: Posts = Posts::Batch(100);
const CONNECTIONS: usize = 16;
/// Of what the whole path can take at once, what arrives: a host that has room for such an outage.
const ARRIVAL: f64 = 0.25;
/// How much may wait for capture to count as caught up: what arrives in so long.
const CAUGHT_UP: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long catching up may take: in outages, and at least.
const PATIENCE: f64 = 10.0;
const LEAST_PATIENCE: Duration = Duration::from_secs(300);

/// A PostgreSQL that can go and come back under the same address.
struct Postgres {
    options: Options,
    running: EmbeddedPostgres,
}

/// A serve, what it appends to and what it stores in.
struct Pipeline {
    server: Process,
    log: Arc<dyn EventLog>,
    postgres: Postgres,
    events: Config,
}

#[derive(Default)]
struct Measured {
    arrived: Series,
    first: Series,
    took: Series,
    stored: Series,
    ratio: Series,
}

pub async fn measure(sizes: &Sizes, broker: &Broker, folder: &Folder, report: &mut Report) {
    eprintln!("kafka-lag");
    let mut pipeline = Pipeline::start(broker, folder.path()).await;
    let sql = connect(&pipeline.events).await;
    let maximum = maximum(sizes, &pipeline.server, &sql, "with Kafka, ", report).await;
    let mut measured = Measured::default();
    for _ in 0..sizes.rounds.min(3) {
        pipeline
            .outage(outage(sizes), maximum * ARRIVAL, &mut measured)
            .await;
    }
    measured.report(outage(sizes), report);
    pipeline.server.stop();
    pipeline.postgres.running.stop().await.unwrap();
}

/// `MOMSFLOW_BENCH_OUTAGE` makes it as many seconds.
fn outage(sizes: &Sizes) -> Duration {
    let given = std::env::var("MOMSFLOW_BENCH_OUTAGE").ok();
    given.map_or(sizes.outage, |seconds| {
        Duration::from_secs(seconds.parse().unwrap())
    })
}

impl Postgres {
    async fn start(data_dir: &Path) -> Self {
        let options = Options {
            data_dir: data_dir.to_owned(),
            bin_dir: None,
            port: free_address().port(),
            health: Health::default(),
        };
        let running = EmbeddedPostgres::start(options.clone()).await.unwrap();
        Self { options, running }
    }

    /// Stops it for a while; returns when it takes connections again.
    async fn pause(&mut self, pause: Duration) {
        self.running.stop().await.unwrap();
        tokio::time::sleep(pause).await;
        self.running = EmbeddedPostgres::start(self.options.clone()).await.unwrap();
    }

    fn url(&self, config: &Config) -> String {
        let connections = self.running.connections();
        format!(
            "postgres://momsflow:{}@127.0.0.1:{}/{}",
            connections.owner_password().reveal(),
            connections.port(),
            config.get_dbname().unwrap()
        )
    }
}

impl Pipeline {
    async fn start(broker: &Broker, folder: &Path) -> Self {
        let postgres = Postgres::start(&folder.join("lag-postgres")).await;
        let topic = broker.topic("lag", PARTITIONS);
        let events = postgres.running.events_config();
        let mut env = environment(&topic);
        env.push(("MOMSFLOW_POSTGRES__EVENTS_URL", postgres.url(&events)));
        let views = postgres.running.views_config();
        env.push(("MOMSFLOW_POSTGRES__VIEWS_URL", postgres.url(&views)));
        let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = Process::serve(&folder.join("lag"), &env);
        until_ready(&server).await;
        Self {
            server,
            log: broker.open(&topic, &Clock::system()).await,
            postgres,
            events,
        }
    }

    /// One outage under a steady load, which ends when capture has caught up.
    async fn outage(&mut self, outage: Duration, pace: f64, measured: &mut Measured) {
        let load = Load {
            address: self.server.address,
            key: KEY.to_owned(),
            posts: POSTS,
            connections: CONNECTIONS,
            pace: Some(pace),
            window: outage.mul_f64(PATIENCE).max(LEAST_PATIENCE),
            may_refuse: false,
        };
        let running = tokio::spawn(load.run());
        tokio::time::sleep(CAUGHT_UP).await;
        let (before, began) = (self.end().await, Instant::now());
        self.postgres.pause(outage).await;
        let arrived = (self.end().await - before) as f64 / began.elapsed().as_secs_f64();
        let back = Instant::now();
        let sql = connect(&self.events).await;
        let already = stored(&sql).await;
        let mut first = None;
        let (now_stored, took) = loop {
            let now_stored = stored(&sql).await;
            if now_stored > already {
                first.get_or_insert_with(|| back.elapsed());
            }
            if ((self.end().await - now_stored) as f64) < pace * CAUGHT_UP.as_secs_f64() {
                break (now_stored, back.elapsed());
            }
            assert!(!running.is_finished(), "capture does not catch up");
            tokio::time::sleep(LOOK_EVERY).await;
        };
        running.abort();
        let rate = (now_stored - already) as f64 / took.as_secs_f64();
        measured.arrived.push(arrived);
        measured.first.push(first.unwrap_or(took).as_secs_f64());
        measured.took.push(took.as_secs_f64());
        measured.stored.push(rate);
        measured.ratio.push(rate / arrived);
        self.settle(&sql).await;
    }

    /// Records in the topic.
    async fn end(&self) -> i64 {
        let mut end = 0;
        for partition in 0..self.log.partitions() {
            end += self.log.offsets(partition).await.unwrap().end;
        }
        end
    }

    async fn settle(&self, sql: &Client) {
        while stored(sql).await < self.end().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// What capture has stored, from its own books.
async fn stored(sql: &Client) -> i64 {
    let query = "SELECT coalesce(sum(next_offset), 0)::bigint FROM positions";
    sql.query_one(query, &[]).await.unwrap().get(0)
}

impl Measured {
    fn report(&self, outage: Duration, report: &mut Report) {
        let name = |what: &str| format!("PostgreSQL away for {} s: {what}", outage.as_secs());
        let mut add = |what: &str, series: &Series, unit, goal| {
            report.add(&name(what), series.clone(), unit, goal);
        };
        add("arrived and acknowledged", &self.arrived, "events/s", Goal::None);
        add("until something is stored again", &self.first, "s", Goal::None);
        add("until caught up", &self.took, "s", Goal::None);
        add("stored meanwhile", &self.stored, "events/s", Goal::None);
        add("stored ÷ arrived", &self.ratio, "×", Goal::AtLeast(3.0));
    }
}
