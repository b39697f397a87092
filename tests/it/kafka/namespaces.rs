//! Hosts on networks of their own, which are cut off and joined again. Needs root.
//!
//! ```text
//! this process ── front (to each namespace, never cut) ── ingest     capture 0     capture 1
//!                                                           └────────── back ─────────┘ bridge ── Kafka, PostgreSQL
//! ```

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use momsflow::config;

use super::broker::{Broker, Extra, Listener, shared, topic_on};
use crate::place::Place;
use crate::serve::{PATIENCE, until};
use crate::soak::load::Manner;
use crate::soak::platform::{Parts, Platform};
use crate::soak::postgres::Postgres;
use crate::soak::report::Report;
use crate::soak::{TURN, seconds, seed};

/// The namespaces; the first has the bridge.
const NAMES: [&str; 4] = ["store", "ingest", "capture-0", "capture-1"];
const STORE: usize = 0;
const INGEST: usize = 1;
const CAPTURE: usize = 2;
const BACK: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const BACK_PORT: u16 = 9_093;

/// A lease, what the spool needs to stand in, and a while; longer runs leave a host away for long.
const SHORT: Duration = Duration::from_secs(7);
const LONG: Duration = Duration::from_secs(60);
/// Much less than who is cut off is away for.
const LEASE: Duration = Duration::from_secs(3);

/// Namespaces with veth pairs; gone when dropped, and when this process ends in whatever way.
struct Network {
    tag: String,
    /// Of the networks between this process and the namespaces, in the range that is reserved for tests.
    subnet: u8,
    watchdog: Child,
}

impl Network {
    /// `None`, with a line that says why, where it is not allowed.
    fn lay() -> Option<Self> {
        let tag = format!("mf{:x}", rand::random::<u32>());
        let names: Vec<_> = NAMES.map(|name| format!("{tag}-{name}")).into();
        let script = format!(
            "trap '' INT TERM; read -r _; for name in {}; do ip netns del $name; done",
            names.join(" ")
        );
        let watchdog = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let network = Self {
            tag,
            subnet: rand::random(),
            watchdog,
        };
        let laid = (0..NAMES.len()).try_for_each(|number| network.lay_one(number));
        match laid {
            Ok(()) => Some(network),
            Err(reason) => {
                println!(
                    "skipped: network namespaces cannot be made here (needs root and iproute2): {reason}"
                );
                None
            }
        }
    }

    fn lay_one(&self, number: usize) -> Result<(), String> {
        let (name, front) = (self.name(number), format!("{}{number}", self.tag));
        let (here, there) = (self.front(number, 1), self.front(number, 2));
        let host = number + 1;
        let mut commands = vec![
            format!("netns add {name}"),
            format!("-n {name} link set lo up"),
            format!("link add {front} type veth peer name front netns {name}"),
            format!("addr add {here}/30 dev {front}"),
            format!("link set {front} up"),
            format!("-n {name} addr add {there}/30 dev front"),
            format!("-n {name} link set front up"),
        ];
        let store = self.name(STORE);
        if number == STORE {
            commands.extend([
                // Else it takes the address of a port, and another one when that is unplugged.
                format!("-n {store} link add bridge address 02:00:00:00:00:01 type bridge"),
                format!("-n {store} addr add {BACK}/24 dev bridge"),
                format!("-n {store} link set bridge up"),
            ]);
        } else {
            commands.extend([
                format!("-n {store} link add port{number} type veth peer name back netns {name}"),
                format!("-n {store} link set port{number} master bridge up"),
                format!("-n {name} addr add 10.99.0.{host}/24 dev back"),
                format!("-n {name} link set back up"),
            ]);
        }
        commands.iter().try_for_each(|command| ip(command))
    }

    /// Takes a namespace's plug out of the bridge: what is sent goes nowhere, and nobody is told.
    fn cut(&self, number: usize) {
        ip(&format!("-n {} link set port{number} nomaster", self.name(STORE))).unwrap();
    }

    fn join(&self, number: usize) {
        ip(&format!(
            "-n {} link set port{number} master bridge",
            self.name(STORE)
        ))
        .unwrap();
    }

    fn name(&self, number: usize) -> String {
        format!("{}-{}", self.tag, NAMES[number])
    }

    fn front(&self, number: usize, end: usize) -> Ipv4Addr {
        Ipv4Addr::new(198, 19, self.subnet, u8::try_from(4 * number + end).unwrap())
    }

    fn place(&self, number: usize) -> Place {
        Place::namespace(&self.name(number), self.front(number, 2))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.watchdog.stdin.take().map(|mut pipe| pipe.write_all(b"\n"));
        let _ = self.watchdog.wait();
    }
}

fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "ip {arguments}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

/// Kafka in the namespace of the store, where momsflow finds it at the bridge.
fn broker(place: Place) -> Option<(Broker, config::Kafka)> {
    let back = SocketAddr::from((BACK, BACK_PORT));
    let broker = Broker::start_with(|_| Extra {
        place,
        listeners: vec![Listener {
            name: "BACK",
            protocol: "PLAINTEXT",
            address: back,
            advertised: back,
        }],
        ..Extra::default()
    })?;
    let kafka = config::Kafka {
        partitions: 6,
        ..topic_on(&back.to_string())
    };
    Some((broker, kafka))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_are_cut_off_and_joined_again_lose_nothing_and_double_nothing() {
    let _turn = TURN.lock().await;
    let Some(network) = Network::lay() else { return };
    let postgres = tokio::spawn(Postgres::start(network.place(STORE)));
    let Some((_broker, kafka)) = tokio::task::block_in_place(|| broker(network.place(STORE))) else {
        shared();
        return;
    };
    let platform = Platform::start(Parts {
        kafka,
        postgres: postgres.await.unwrap(),
        postgres_ip: Some(BACK.into()),
        ingest: vec![network.place(INGEST)],
        capture: vec![network.place(CAPTURE), network.place(CAPTURE + 1)],
        lease: LEASE,
    })
    .await;
    let time = if seconds(SHORT) > SHORT { LONG } else { SHORT };
    let (seed, mut report) = (seed(), Report::new("networks cut", seed()));
    let manner = Manner {
        clients: 4,
        max_batch: 60,
        pause: Duration::from_millis(100),
    };
    let load = platform.load(manner, seed);
    load.set_duplicates(20);
    tokio::time::sleep(Duration::from_secs(3)).await;

    network.cut(INGEST);
    let before = platform.ledger.book().spooled;
    until("the spool stands in", async || {
        platform.ledger.book().spooled > before
    })
    .await;
    // What had left before the cut may be acknowledged until then.
    let (logged, spooled) = platform.rates(time - Duration::from_secs(4)).await;
    report.line("ingest cut off for", format!("{time:.0?}"));
    report.line("acknowledged meanwhile", format!("{spooled:.0}/s spooled"));
    if logged > 0.0 || spooled == 0.0 {
        report.fault(format!(
            "{logged:.0}/s into Kafka, {spooled:.0}/s spooled, while cut off"
        ));
    }
    network.join(INGEST);
    report.waited("joined: into Kafka again after", platform.logged_again().await);

    tokio::time::sleep(Duration::from_secs(2)).await;
    let taken = "SELECT coalesce(sum(take_overs), 0)::text FROM leases";
    let before = platform.value(taken).await;
    let cut_at = Instant::now();
    network.cut(CAPTURE);
    until("somebody takes over from the host that was cut off", async || {
        platform.value(taken).await != before
    })
    .await;
    report.line("taken over after", format!("{:.1?}", cut_at.elapsed()));
    tokio::time::sleep(time.saturating_sub(cut_at.elapsed())).await;
    report.line("a capture host cut off for", format!("{:.0?}", cut_at.elapsed()));
    network.join(CAPTURE);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let back = platform.capture[0].await_ready(200, "ready", PATIENCE).await;
    report.waited("joined: it is ready again after", back);
    platform.conclude(load, report).await;
}
