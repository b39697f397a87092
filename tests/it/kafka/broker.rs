//! A real Kafka: brokers in KRaft mode, and their own console tools.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use momsflow::config;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::console::{java_at, libraries};
use crate::place::Place;
use crate::serve::{free_address, watch};

pub const PATIENCE: Duration = Duration::from_secs(180);
/// Names a broker that runs already, as `host:port`.
const GIVEN: &str = "MOMSFLOW_TEST_KAFKA";

static SHARED: OnceLock<Option<String>> = OnceLock::new();
static TOPICS: AtomicU32 = AtomicU32::new(0);
static FORMATTED: OnceLock<Vec<(OsString, Vec<u8>)>> = OnceLock::new();

/// The address of the one broker that all tests share; `None`, with a line that says why, where there is none.
pub fn shared() -> Option<String> {
    let start = || {
        if let Ok(given) = std::env::var(GIVEN) {
            return Some(given);
        }
        let broker = Broker::start()?;
        let address = broker.address();
        // Statics are not dropped: its watchdog cleans up after this process.
        std::mem::forget(broker);
        Some(address)
    };
    let address = SHARED.get_or_init(start).clone();
    if address.is_none() {
        println!("skipped: no Kafka here (scripts/fetch-kafka.sh fetches it, and needs Java and Maven)");
    }
    address
}

/// A config for a topic of this test's own on a broker. The topic is not made yet.
pub fn topic_on(broker: &str) -> config::Kafka {
    let number = TOPICS.fetch_add(1, Ordering::SeqCst);
    config::Kafka {
        brokers: vec![broker.to_owned()],
        topic: format!("test-{}-{number}", std::process::id()),
        partitions: 2,
        replication: 1,
        min_insync_replicas: 1,
        ..config::Kafka::default()
    }
}

/// What a broker has beside its plain listener, and where it is.
#[derive(Default)]
pub struct Extra {
    pub place: Place,
    /// Among several; alone where left out.
    pub seat: Option<Seat>,
    pub listeners: Vec<Listener>,
    pub settings: String,
    /// Arguments of the tool that formats the broker's folder.
    pub format: Vec<String>,
}

/// A broker's place in a cluster whose brokers are its controllers too.
#[derive(Clone, Debug)]
pub struct Seat {
    pub cluster_id: String,
    /// The node with the number n is the n-th, from 1.
    pub controllers: Vec<SocketAddr>,
    pub node: usize,
}

impl Seat {
    fn alone() -> Self {
        Self {
            cluster_id: cluster_id(),
            controllers: vec![free_address()],
            node: 1,
        }
    }
}

pub struct Listener {
    pub name: &'static str,
    pub protocol: &'static str,
    pub address: SocketAddr,
    /// Where clients are sent to.
    pub advertised: SocketAddr,
}

/// A broker of a test's own, to be killed and frozen.
pub struct Broker {
    folder: TempDir,
    place: Place,
    address: SocketAddr,
    process: Option<Child>,
    watchdog: Child,
}

impl Broker {
    /// Starts one and waits until it answers; `None` where Kafka is not installed.
    pub fn start() -> Option<Self> {
        Self::start_with(|_| Extra::default())
    }

    /// As [`Broker::start`], with more than a plain listener; what it needs may be put into the folder.
    pub fn start_with(extra: impl FnOnce(&Path) -> Extra) -> Option<Self> {
        let mut broker = Self::make(extra)?;
        broker.start_again();
        Some(broker)
    }

    /// Makes one that does not run yet.
    pub fn make(extra: impl FnOnce(&Path) -> Extra) -> Option<Self> {
        libraries()?;
        let folder = tempfile::tempdir().unwrap();
        let extra = extra(folder.path());
        let watchdog = watch(folder.path());
        let broker = Self {
            folder,
            address: extra.place.free_address(),
            place: extra.place.clone(),
            process: None,
            watchdog,
        };
        broker.configure(&extra);
        Some(broker)
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    fn configure(&self, extra: &Extra) {
        let folder = self.folder.path().display();
        let broker = self.address;
        let seat = extra.seat.clone().unwrap_or_else(Seat::alone);
        let (node, controller) = (seat.node, seat.controllers[seat.node - 1]);
        let voters = (1..).zip(&seat.controllers);
        let voters: Vec<_> = voters.map(|(node, at)| format!("{node}@{at}")).collect();
        let voters = voters.join(",");
        let each =
            |text: &dyn Fn(&Listener) -> String| -> String { extra.listeners.iter().map(text).collect() };
        let open = each(&|listener| format!(",{}://{}", listener.name, listener.address));
        let advertised = each(&|listener| format!(",{}://{}", listener.name, listener.advertised));
        let protocols = each(&|listener| format!(",{}:{}", listener.name, listener.protocol));
        let text = format!(
            "process.roles=broker,controller\nnode.id={node}\ncontroller.quorum.voters={voters}\n\
             listeners=PLAINTEXT://{broker}{open},CONTROLLER://{controller}\n\
             advertised.listeners=PLAINTEXT://{broker}{advertised}\n\
             inter.broker.listener.name=PLAINTEXT\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}\n\
             log.dirs={folder}/data\n\
             auto.create.topics.enable=false\ndelete.topic.enable=true\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=1\n\
             group.initial.rebalance.delay.ms=0\n\
             log.retention.check.interval.ms=500\nlog.initial.task.delay.ms=500\nlog.segment.delete.delay.ms=500\n\
             num.network.threads=2\nnum.io.threads=2\n"
        );
        let text = text + &extra.settings;
        fs::write(self.folder.path().join("server.properties"), text).unwrap();
        // Formatting takes a JVM. A folder that was formatted says whose it is in one file of text.
        let formatted = match extra.format.is_empty() {
            true => FORMATTED.get_or_init(|| self.format(&seat, &[])),
            false => &self.format(&seat, &extra.format),
        };
        let data = self.folder.path().join("data");
        fs::create_dir_all(&data).unwrap();
        for (name, bytes) in formatted {
            fs::write(data.join(name), bytes).unwrap();
        }
        let directory = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4());
        let cluster = &seat.cluster_id;
        let whose = format!("version=1\ncluster.id={cluster}\nnode.id={node}\ndirectory.id={directory}\n");
        fs::write(data.join("meta.properties"), whose).unwrap();
    }

    /// What Kafka's own tool makes of a broker's folder: names and contents of its files.
    fn format(&self, seat: &Seat, arguments: &[String]) -> Vec<(OsString, Vec<u8>)> {
        let formatted = self
            .java("kafka.tools.StorageTool")
            .args(["format", "-t", &seat.cluster_id, "-c", "server.properties"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(formatted.status.success(), "{formatted:?}");
        let files = fs::read_dir(self.folder.path().join("data")).unwrap();
        let files = files.map(|file| file.unwrap());
        files
            .map(|file| (file.file_name(), fs::read(file.path()).unwrap()))
            .collect()
    }

    /// Starts it after [`Broker::kill`], on the same port and data, and waits until it answers.
    pub fn start_again(&mut self) {
        self.launch();
        self.wait();
    }

    /// Starts it without waiting.
    pub fn launch(&mut self) {
        assert!(self.process.is_none());
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("kafka.log"))
            .unwrap();
        let process = self
            .java("kafka.Kafka")
            .arg("server.properties")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    /// Waits until it answers.
    pub fn wait(&mut self) {
        let began = Instant::now();
        while !self.is_started() {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && began.elapsed() < PATIENCE,
                "Kafka did not start\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The listener takes connections only once the broker serves.
    fn is_started(&self) -> bool {
        std::net::TcpStream::connect(self.address).is_ok()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Sends it a signal, such as SIGSTOP.
    pub fn signal(&self, signal: Signal) {
        let pid = self.process.as_ref().unwrap().id();
        kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("kafka.log")).unwrap_or_default()
    }

    fn java(&self, class: &str) -> Command {
        let mut command = java_at(&self.place, class).unwrap();
        // Who works in here is killed with the folder.
        command.current_dir(self.folder.path());
        command
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!(
                "the end of Kafka's log:\n{}",
                lines[lines.len().saturating_sub(20)..].join("\n")
            );
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// An id as Kafka makes them: base64, of which its tool takes none that looks like a flag.
pub fn cluster_id() -> String {
    let random = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4());
    format!("m{}", &random[1..])
}
