//! Three brokers with three copies of everything: leaders move, one dies, two die.

use std::time::{Duration, Instant};

use momsflow::broker::EventLog as _;
use momsflow::broker::kafka::KafkaLog;
use momsflow::config;

use super::broker::{Broker, Extra, Seat, cluster_id, shared, topic_on};
use super::call::{alter_topic, leaders};
use crate::place::Place;
use crate::serve::{PATIENCE, free_address, until};
use crate::soak::load::Manner;
use crate::soak::platform::{Parts, Platform};
use crate::soak::postgres::Postgres;
use crate::soak::report::Report;
use crate::soak::{TURN, seconds, seed};
use crate::support::status;

const BROKERS: usize = 3;
const SHORT: Duration = Duration::from_secs(60);
/// What is promised to operators, and measured where there is time and quiet for it.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// Over which a rate is measured.
const WINDOW: Duration = Duration::from_secs(1);
/// Of the load before, in the log and not in the spool.
const BACK: f64 = 0.7;
/// A dead broker is noticed in 3 s, not in 9; leaders go home within seconds, not minutes.
const SETTINGS: &str = "default.replication.factor=3\nmin.insync.replicas=2\n\
    offsets.topic.replication.factor=3\ntransaction.state.log.replication.factor=3\n\
    broker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=500\n\
    leader.imbalance.check.interval.seconds=3\nleader.imbalance.per.broker.percentage=0\n";

struct Cluster {
    brokers: Vec<Broker>,
    kafka: config::Kafka,
}

impl Cluster {
    fn start() -> Option<Self> {
        let controllers: Vec<_> = (0..BROKERS).map(|_| free_address()).collect();
        let cluster_id = cluster_id();
        let make = |node| {
            Broker::make(|_| Extra {
                seat: Some(Seat {
                    cluster_id: cluster_id.clone(),
                    controllers: controllers.clone(),
                    node,
                }),
                settings: SETTINGS.to_owned(),
                ..Extra::default()
            })
        };
        let mut brokers = (1..=BROKERS).map(make).collect::<Option<Vec<_>>>()?;
        brokers.iter_mut().for_each(Broker::launch);
        brokers.iter_mut().for_each(Broker::wait);
        let kafka = config::Kafka {
            brokers: brokers.iter().map(Broker::address).collect(),
            partitions: 6,
            replication: 3,
            min_insync_replicas: 2,
            ..topic_on("")
        };
        Some(Self { brokers, kafka })
    }

    fn start_again(&mut self, dead: &[usize]) {
        tokio::task::block_in_place(|| {
            dead.iter().for_each(|broker| self.brokers[*broker].launch());
            dead.iter().for_each(|broker| self.brokers[*broker].wait());
        });
    }

    /// Each partition's leader, by its node.
    async fn leaders(&self, ask: usize) -> Vec<i32> {
        leaders(&self.brokers[ask].address(), &self.kafka.topic).await
    }

    /// Demands so many copies from now on.
    async fn demand(&self, ask: usize, copies: usize) {
        let broker = self.brokers[ask].address();
        alter_topic(
            &broker,
            &self.kafka.topic,
            "min.insync.replicas",
            &copies.to_string(),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_brokers_one_may_die_and_two_cost_no_event() {
    let _turn = TURN.lock().await;
    let postgres = tokio::spawn(Postgres::start(Place::default()));
    let Some(mut cluster) = tokio::task::block_in_place(Cluster::start) else {
        shared();
        return;
    };
    let platform = Platform::start(Parts {
        kafka: cluster.kafka.clone(),
        postgres: postgres.await.unwrap(),
        postgres_ip: None,
        ingest: vec![Place::default()],
        capture: vec![Place::default()],
        lease: Duration::from_secs(20),
    })
    .await;
    let manner = Manner {
        clients: 4,
        max_batch: 60,
        pause: Duration::from_millis(60),
    };
    let (seed, mut report) = (seed(), Report::new("three brokers", seed()));
    let load = platform.load(manner, seed);
    let before = steady(&platform).await;
    report.line("into Kafka before", format!("{before:.0}/s"));

    // Each of them in turn, where there is time.
    let dying = if seconds(SHORT) > SHORT { BROKERS } else { 1 };
    for dead in 0..dying {
        one_dies(&mut cluster, dead, &platform, before, &mut report).await;
    }
    too_few_copies(&mut cluster, &platform, before, &mut report).await;
    two_die(&mut cluster, &platform, before, &mut report).await;
    platform.conclude(load, report).await;
}

/// The rate into Kafka once nothing is spooled any more, as it may be while all of it starts.
async fn steady(platform: &Platform) -> f64 {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let (logged, spooled) = platform.rates(WINDOW).await;
        if logged > 0.0 && spooled == 0.0 {
            let mut most = logged;
            for _ in 0..3 {
                most = most.max(platform.rates(WINDOW).await.0);
            }
            return most;
        }
    }
    panic!("events do not go to Kafka, though all brokers are up");
}

/// Its partitions' leaders move to the others, and home again when it is back.
async fn one_dies(cluster: &mut Cluster, dead: usize, platform: &Platform, before: f64, report: &mut Report) {
    let (node, other) = (dead + 1, (dead + 1) % BROKERS);
    let at_home = cluster.leaders(other).await;
    cluster.brokers[dead].kill();
    let mut moved = Vec::new();
    until("leaders have moved", async || {
        moved = cluster.leaders(other).await;
        moved != at_home && !moved.contains(&i32::try_from(node).unwrap())
    })
    .await;
    back(&format!("broker {node} killed"), platform, before, report).await;
    cluster.start_again(&[dead]);
    until("leaders are at home again", async || {
        cluster.leaders(other).await == at_home
    })
    .await;
    report.line(
        "leaders before, then, and at last",
        format!("{at_home:?} {moved:?} {at_home:?}"),
    );
    back("leaders moved home", platform, before, report).await;
}

/// With two of three copies and three demanded, Kafka answers NotEnoughReplicas while all of it is up.
async fn too_few_copies(cluster: &mut Cluster, platform: &Platform, before: f64, report: &mut Report) {
    // A log that knows of two.
    let log = super::open(&cluster.kafka).await;
    cluster.demand(0, 3).await;
    cluster.brokers[1].kill();
    let refused = async {
        // At first it waits for the copy of the dead one, until that counts as dead.
        until("Kafka answers NotEnoughReplicas", async || {
            let said = status(platform.ingest[0].data_dir.path()).await;
            said.unwrap_or_default()["spool"]["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("NotEnoughReplicas"))
        })
        .await;
    };
    tokio::join!(
        spooled("one copy too few", platform, report),
        refused,
        stays_refused(&log)
    );
    cluster.demand(0, 2).await;
    back("enough copies again", platform, before, report).await;
    until("the log is healthy, though nothing was appended", async || {
        log.health().is_ok()
    })
    .await;
}

/// What is demanded by now is known, and goes on being missed.
async fn stays_refused(log: &KafkaLog) {
    until("too few copies are seen", async || {
        let reason = log.health().err().unwrap_or_default();
        reason.contains("2 copies are in sync, 3 are needed")
    })
    .await;
    let looks = Instant::now() + Duration::from_secs(6);
    while Instant::now() < looks {
        assert!(log.health().is_err(), "nothing has changed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The second one: what is left is no majority of the controllers either.
async fn two_die(cluster: &mut Cluster, platform: &Platform, before: f64, report: &mut Report) {
    cluster.brokers[2].kill();
    spooled("two brokers killed", platform, report).await;
    cluster.start_again(&[1, 2]);
    back("two brokers are back", platform, before, report).await;
}

/// Waits until nothing but the spool takes events, and sees that it does.
async fn spooled(what: &str, platform: &Platform, report: &mut Report) {
    let begun = Instant::now();
    loop {
        let (logged, spooled) = platform.rates(WINDOW).await;
        if logged == 0.0 && spooled > 0.0 {
            return report.line(&format!("{what}: spooled"), format!("{spooled:.0}/s"));
        }
        if begun.elapsed() > PATIENCE {
            return report.fault(format!("{what}: {logged:.0}/s logged, {spooled:.0}/s spooled"));
        }
    }
}

/// Waits for a second in which the log takes what comes, and notes when that second began. Among other tests, which take
/// the machine's time, anything is enough; in a long run it has to be about as much as before, and soon.
async fn back(what: &str, platform: &Platform, before: f64, report: &mut Report) {
    let is_long = seconds(SHORT) > SHORT;
    let (enough, within) = if is_long {
        (BACK * before, BACK_WITHIN)
    } else {
        (1.0, PATIENCE)
    };
    let begun = Instant::now();
    loop {
        let (rate, spooled) = platform.rates(WINDOW).await;
        let took = begun.elapsed().saturating_sub(WINDOW);
        if rate >= enough && (is_long || spooled == 0.0) {
            return report.line(
                &format!("{what}: {rate:.0}/s after"),
                format!("{:.1} s", took.as_secs_f64()),
            );
        }
        if took > within {
            return report.fault(format!(
                "{what}: {rate:.0}/s after {took:?}, {before:.0}/s before"
            ));
        }
    }
}
