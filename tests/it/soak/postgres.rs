//! A PostgreSQL that momsflow does not supervise, to be killed and started again, at any place.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use momsflow::embedded::{Installation, find};
use tokio_postgres::{Client, Config};

use crate::place::Place;
use crate::serve::{PATIENCE, watch};
use crate::support::{DataDir, connect, kill};

const EVENTS: &str = "momsflow_events";
const VIEWS: &str = "momsflow_views";

pub struct Postgres {
    folder: DataDir,
    place: Place,
    installation: Installation,
    address: SocketAddr,
    process: Option<Child>,
    watchdog: Child,
}

impl Postgres {
    /// Makes a cluster with momsflow's two databases, and starts it.
    pub async fn start(place: Place) -> Self {
        let folder = DataDir::named("cluster");
        let installation = find(None, folder.path(), None).unwrap();
        let mut postgres = Self {
            watchdog: watch(folder.parent()),
            address: place.free_address(),
            folder,
            place,
            installation,
            process: None,
        };
        postgres.make();
        postgres.start_again().await;
        let admin = postgres.connect().await.unwrap();
        for database in [EVENTS, VIEWS] {
            let made = admin.batch_execute(&format!("CREATE DATABASE {database}")).await;
            made.unwrap();
        }
        postgres
    }

    fn make(&self) {
        let cluster = self.folder.path();
        fs::create_dir(cluster).unwrap();
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(cluster).status();
            assert!(owned.unwrap().success());
        }
        let made = self
            .program("initdb")
            .args([
                "-A",
                "trust",
                "-U",
                "momsflow",
                "-E",
                "UTF8",
                "--no-instructions",
                "-D",
            ])
            .arg(cluster)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        // Namespaces come from elsewhere than loopback, and nobody else is there.
        let trust = "host all all 127.0.0.1/32 trust\nhost all all 0.0.0.0/0 trust\n";
        fs::write(cluster.join("pg_hba.conf"), trust).unwrap();
    }

    /// Starts it, also after [`Postgres::kill`], and waits until it answers.
    pub async fn start_again(&mut self) {
        assert!(self.process.is_none());
        let port = self.address.port().to_string();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let settings = [
            "listen_addresses=*",
            "unix_socket_directories=",
            "max_connections=60",
            "max_wal_size=4GB",
        ];
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.folder.path()).args(["-p", &port]);
        for setting in settings {
            command.args(["-c", setting]);
        }
        self.process = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let begun = Instant::now();
        while self.connect().await.is_none() {
            let said = || fs::read_to_string(self.log()).unwrap_or_default();
            assert!(
                begun.elapsed() < PATIENCE,
                "PostgreSQL does not answer:\n{}",
                said()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills every process of it with SIGKILL.
    pub fn kill(&mut self) {
        let Some(mut postmaster) = self.process.take() else {
            return;
        };
        postmaster.kill().unwrap();
        postmaster.wait().unwrap();
        while !self.folder.processes().is_empty() {
            self.folder.processes().into_iter().for_each(kill);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Connects to the database that is there from the start.
    async fn connect(&self) -> Option<Client> {
        connect(&self.config("postgres")).await.ok()
    }

    /// Connects to the event store.
    pub async fn events(&self) -> Client {
        connect(&self.config(EVENTS)).await.unwrap()
    }

    /// The section of the config, for hosts that reach it at another address than this process.
    pub fn toml(&self, ip: Option<IpAddr>) -> String {
        let address = SocketAddr::new(ip.unwrap_or(self.address.ip()), self.address.port());
        let url = |database| format!("postgres://momsflow@{address}/{database}");
        format!(
            "[postgres]\nevents_url = \"{}\"\nviews_url = \"{}\"\n",
            url(EVENTS),
            url(VIEWS)
        )
    }

    fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host(self.address.ip().to_string())
            .port(self.address.port())
            .user("momsflow")
            .dbname(database)
            .connect_timeout(Duration::from_secs(5));
        config
    }

    fn log(&self) -> PathBuf {
        self.folder.parent().join("postgres.log")
    }

    /// One of its programs, as the user that PostgreSQL wants.
    fn program(&self, name: &str) -> Command {
        let program = self.installation.program(name);
        let mut command = if is_root() {
            let mut command = self.place.command("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]);
            command.arg(program);
            command
        } else {
            self.place.command(program)
        };
        command.current_dir(self.folder.parent()).stdin(Stdio::null());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
