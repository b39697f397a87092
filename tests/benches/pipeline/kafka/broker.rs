//! One real Kafka broker, with its own defaults and the heap that Kafka's start script gives it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use momsflow::broker::EventLog;
use momsflow::broker::kafka::{KafkaLog, prepare};
use momsflow::clock::Clock;
use momsflow::config::{self, Config};

use crate::process::{Folder, cpu_of, free_address};

const PATIENCE: Duration = Duration::from_secs(180);
const BROKER_HEAP: &str = "-Xmx1g";

/// A broker that ends with the bench. Its data goes with its folder.
pub struct Broker {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
    jars: PathBuf,
}

/// Where `scripts/fetch-kafka.sh` puts the jars of one of the poms.
pub fn jars(name: &str) -> Option<PathBuf> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/.cache")
        .join(name);
    let has_java = Command::new("java")
        .arg("-version")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    (has_java && cache.join(".installed").exists()).then(|| cache.join("libs"))
}

impl Broker {
    /// Starts one in a folder and waits until it answers; `None` where Kafka is not installed.
    pub fn start(folder: &Folder) -> Option<Self> {
        let jars = jars("kafka")?;
        let folder = folder.path().join("kafka");
        fs::create_dir_all(&folder).unwrap();
        let (address, controller) = (free_address(), free_address());
        fs::write(
            folder.join("server.properties"),
            settings(address, controller, &folder),
        )
        .unwrap();
        let format = [
            "format",
            "-t",
            "bW9tc2Zsb3ctYmVuY2gxMg",
            "-c",
            "server.properties",
        ];
        run(java(&jars, "kafka.tools.StorageTool", "-Xmx256m")
            .args(format)
            .current_dir(&folder));
        let log = File::create(folder.join("kafka.log")).unwrap();
        let process = java(&jars, "kafka.Kafka", BROKER_HEAP)
            .arg("server.properties")
            // Who works in here ends with the folder.
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut broker = Self {
            process,
            address,
            folder,
            jars,
        };
        broker.wait();
        Some(broker)
    }

    fn wait(&mut self) {
        let began = Instant::now();
        // The listener takes connections only once the broker serves.
        while TcpStream::connect(self.address).is_err() {
            let has_ended = self.process.try_wait().unwrap().is_some();
            assert!(
                !has_ended && began.elapsed() < PATIENCE,
                "Kafka did not start\n{}",
                fs::read_to_string(self.folder.join("kafka.log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Seconds of CPU that it has used.
    pub fn cpu(&self) -> f64 {
        cpu_of(&self.process.id().to_string())
    }

    /// One of Kafka's own tools.
    pub fn tool(&self, class: &str) -> Command {
        let mut command = java(&self.jars, class, BROKER_HEAP);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    /// A config for a topic on this broker.
    pub fn topic(&self, name: &str, partitions: i32) -> config::Kafka {
        config::Kafka {
            brokers: vec![self.address()],
            topic: name.to_owned(),
            partitions,
            replication: 1,
            min_insync_replicas: 1,
            ..config::Kafka::default()
        }
    }

    /// Makes a topic and opens it.
    pub async fn open(&self, topic: &config::Kafka, clock: &Clock) -> Arc<dyn EventLog> {
        let max_event = Config::default().ingest.max_event.as_u64();
        let found = prepare(topic, momsflow::broker::kafka::Needs::all(max_event))
            .await
            .unwrap();
        assert_eq!(found.findings, [], "a topic that was made as configured");
        KafkaLog::open(topic, &found, clock).unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The environment by which serve uses a topic.
pub fn environment(topic: &config::Kafka) -> Vec<(&'static str, String)> {
    vec![
        ("MOMSFLOW_KAFKA__BROKERS", topic.brokers.join(",")),
        ("MOMSFLOW_KAFKA__TOPIC", topic.topic.clone()),
        ("MOMSFLOW_KAFKA__PARTITIONS", topic.partitions.to_string()),
        ("MOMSFLOW_KAFKA__REPLICATION", "1".to_owned()),
        ("MOMSFLOW_KAFKA__MIN_INSYNC_REPLICAS", "1".to_owned()),
    ]
}

/// Runs a command to its end; gives what it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn java(jars: &Path, class: &str, heap: &str) -> Command {
    let mut command = Command::new("java");
    command
        .args([heap, "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-cp"])
        .arg(jars.join("*"))
        .arg(class);
    command
}

fn settings(broker: SocketAddr, controller: SocketAddr, folder: &Path) -> String {
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@{controller}\n\
         listeners=PLAINTEXT://{broker},CONTROLLER://{controller}\nadvertised.listeners=PLAINTEXT://{broker}\n\
         inter.broker.listener.name=PLAINTEXT\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={}/data\nauto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n",
        folder.display()
    )
}
