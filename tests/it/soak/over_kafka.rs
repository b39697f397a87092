//! Conservation over several hosts: two take events, two store them, and everything between them is struck.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use momsflow::config;
use rustix::process::Signal;

use super::host::{Host, signal, tail};
use super::load::Manner;
use super::platform::{Parts, Platform};
use super::postgres::Postgres;
use super::report::Report;
use super::schedule::{Fault, Step, schedule};
use super::{TURN, seconds, seed};
use crate::kafka::broker::Broker;
use crate::kafka::tcp_proxy::{Fault as Strike, TcpProxy, proxied};
use crate::place::Place;

const SHORT: Duration = Duration::from_secs(60);
/// About what one round of the long schedule takes; it has at least five.
const ROUND: Duration = Duration::from_secs(110);
const LEAST_ROUNDS: u32 = 5;
const LEASE: Duration = Duration::from_secs(3);
/// Longer than a lease.
const FREEZE: Duration = LEASE.saturating_add(Duration::from_secs(2));
/// A host that has just started may have no partition yet.
const TRIES: u32 = 30;
/// It is away for that long when it is on its way back.
const KAFKA_START: Duration = Duration::from_secs(3);
const DELAY: Duration = Duration::from_millis(100);

/// A platform under blows, and what came of them.
struct Struck {
    platform: Platform,
    broker: Broker,
    proxy: TcpProxy,
    done: BTreeMap<String, u32>,
    complaints: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_kafka_everything_acknowledged_is_stored_once_whatever_is_struck() {
    let _turn = TURN.lock().await;
    let postgres = tokio::spawn(Postgres::start(Place::default()));
    let Some((broker, proxy, kafka)) = proxied().await else {
        return;
    };
    let kafka = config::Kafka {
        partitions: 6,
        ..kafka
    };
    let (time, seed) = (seconds(SHORT), seed());
    let rounds = (time > SHORT).then(|| (time.as_secs().div_ceil(ROUND.as_secs()) as u32).max(LEAST_ROUNDS));
    let steps = schedule(seed, rounds);
    println!(
        "SOAK_SEED={seed} SOAK_SECONDS={}, {} faults:",
        time.as_secs(),
        steps.len()
    );
    for step in &steps {
        println!("  {:4} ms later {}", step.pause.as_millis(), step.fault);
    }
    let mut platform = Platform::start(Parts {
        kafka,
        postgres: postgres.await.unwrap(),
        postgres_ip: None,
        ingest: vec![Place::default(); 2],
        capture: vec![Place::default(); 2],
        lease: LEASE,
    })
    .await;
    let manner = Manner {
        clients: 6,
        max_batch: 80,
        pause: Duration::from_millis(200),
    };
    let load = platform.load(manner, seed);
    load.set_duplicates(20);
    platform.open_pixel(seed);
    let mut struck = Struck {
        platform,
        broker,
        proxy,
        done: BTreeMap::new(),
        complaints: Vec::new(),
    };
    let begun = Instant::now();
    for step in steps {
        struck.suffer(step).await;
        println!("{:6.1} s {}", begun.elapsed().as_secs_f32(), step.fault);
    }
    let mut report = Report::new("over Kafka", seed);
    report.line("under load for", format!("{:.0?}", begun.elapsed()));
    report.waited("logged again after", struck.platform.logged_again().await);
    for (fault, count) in &struck.done {
        report.line(fault, count);
    }
    struck
        .complaints
        .iter()
        .for_each(|complaint| report.fault(complaint));
    if struck.platform.ledger.book().spooled == 0 {
        report.fault("nothing was spooled");
    }
    struck.platform.conclude(load, report).await;
}

impl Struck {
    async fn suffer(&mut self, step: Step) {
        tokio::time::sleep(step.pause).await;
        match step.fault {
            Fault::KillIngest(host) => restart(&mut self.platform.ingest[host], step.rest).await,
            Fault::KillCapture(host) => restart(&mut self.platform.capture[host], step.rest).await,
            Fault::FreezeIngest(host) => freeze(self.platform.ingest[host].pid()).await,
            Fault::FreezeCapture(host) => freeze(self.platform.capture[host].pid()).await,
            Fault::FreezeInCopy(host) => {
                let mut tries = 0..TRIES;
                while !self.freeze_in_copy(host).await {
                    if tries.next().is_none() {
                        return self.complaints.push(format!("{}: it had none", step.fault));
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Fault::KillPostgres => {
                self.platform.postgres.kill();
                tokio::time::sleep(step.rest).await;
                self.platform.postgres.start_again().await;
            }
            Fault::KillKafka | Fault::FreezeKafka | Fault::StopKafka(_) => self.strike_kafka(step).await,
            Fault::Hang(direction) => self.proxy.strike(Strike::Hang(direction)),
            Fault::Cut => self.proxy.strike(Strike::Cut),
            Fault::Delay => {
                self.proxy.delay(DELAY);
                tokio::time::sleep(Duration::from_secs(2)).await;
                self.proxy.delay(Duration::ZERO);
                self.proxy.strike(Strike::Cut);
            }
        }
        *self.done.entry(step.fault.to_string()).or_default() += 1;
        self.look(step.fault);
    }

    /// No process ends by itself, whatever befalls it.
    fn look(&mut self, fault: Fault) {
        for host in self.platform.ingest.iter_mut().chain(&mut self.platform.capture) {
            if let Some(status) = host.exited() {
                let said = tail(&host.log(), 8);
                self.complaints.push(format!(
                    "a host ended by itself ({status}) around {fault}:\n{said}"
                ));
                host.launch();
            }
        }
    }

    async fn strike_kafka(&mut self, step: Step) {
        match step.fault {
            Fault::FreezeKafka => {
                self.broker.signal(Signal::STOP);
                tokio::time::sleep(FREEZE).await;
                return self.broker.signal(Signal::CONT);
            }
            Fault::StopKafka(time) => {
                self.broker.kill();
                tokio::time::sleep(time / 2).await;
                for host in 0..self.platform.ingest.len() {
                    restart(&mut self.platform.ingest[host], step.rest).await;
                    let kill = Fault::KillIngest(host).to_string();
                    *self.done.entry(kill).or_default() += 1;
                }
                tokio::time::sleep((time / 2).saturating_sub(KAFKA_START)).await;
            }
            _ => {
                self.broker.kill();
                tokio::time::sleep(step.rest).await;
            }
        }
        tokio::task::block_in_place(|| self.broker.start_again());
    }

    /// Holds every COPY up before its first row, freezes a host that has one, and lets go: what PostgreSQL waits for
    /// then is the frozen host. `false` where that one had none.
    async fn freeze_in_copy(&mut self, host: usize) -> bool {
        let Some(pid) = self.platform.capture[host].pid() else {
            return false;
        };
        let client = self.platform.postgres.events().await;
        // With all of its months: at a month's border there are two.
        let lock = "BEGIN; LOCK TABLE events IN SHARE MODE";
        let count = |wait: &str| {
            let copying = "FROM pg_stat_activity WHERE query LIKE 'COPY events_%' AND state = 'active'";
            format!("SELECT count(*) >= 4, count(*) > 0 {copying} AND {wait}")
        };
        // Three of six partitions are each host's.
        let held_up = count("wait_event_type = 'Lock'");
        // Others are done by then with what they waited with.
        let stuck = count("wait_event = 'ClientRead' AND query_start < now() - interval '500 ms'");
        client.batch_execute(lock).await.unwrap();
        let begun = Instant::now();
        let observer = self.platform.postgres.events().await;
        let is_held_up = async || observer.query_one(&held_up, &[]).await.unwrap().get::<_, bool>(0);
        while begun.elapsed() < Duration::from_secs(5) && !is_held_up().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        signal(pid, Signal::STOP);
        client.batch_execute("COMMIT").await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let is_stuck = observer.query_one(&stuck, &[]).await.unwrap().get(1);
        if is_stuck {
            tokio::time::sleep(FREEZE).await;
        }
        signal(pid, Signal::CONT);
        is_stuck
    }
}

/// Kills a host and starts it again, without waiting until it is up.
async fn restart(host: &mut Host, rest: Duration) {
    host.kill();
    tokio::time::sleep(rest).await;
    host.launch();
}

/// Stops a process for longer than its leases.
async fn freeze(pid: Option<i32>) {
    let Some(pid) = pid else { return };
    signal(pid, Signal::STOP);
    tokio::time::sleep(FREEZE).await;
    signal(pid, Signal::CONT);
}
