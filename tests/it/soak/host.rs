//! The momsflow under test: a real process that is killed and started again on one data dir.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use momsflow::embedded::connection_of;
use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::Config;

use super::client::Client;
use super::event::{SERVER, WEB};
use crate::place::Place;
use crate::serve::{PATIENCE, watch};
use crate::support::DataDir;

/// What differs between the tests' configurations.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Lines of TOML.
    pub config: String,
    /// A folder to work in; else a temporary one.
    pub folder: Option<PathBuf>,
    pub place: Place,
}

pub struct Host {
    pub data_dir: DataDir,
    pub addr: SocketAddr,
    /// Where it tells how it is, whatever roles it has.
    admin: SocketAddr,
    place: Place,
    root: PathBuf,
    child: Option<Child>,
    /// They end what is left when this process ends in whatever way.
    watchdogs: [Child; 2],
    pub starts: u32,
    pub slowest_start: Duration,
    /// Starts that ended by themselves, with what they said.
    pub failed_starts: Vec<String>,
    /// The highest VmHWM of any of its processes, in KiB.
    pub peak_kib: u64,
}

impl Host {
    pub fn new(settings: &Settings) -> Self {
        let data_dir = DataDir::new();
        let root = settings
            .folder
            .clone()
            .unwrap_or_else(|| data_dir.parent().to_owned());
        let place = settings.place.clone();
        let (addr, admin) = (place.free_address(), place.free_address());
        let config = format!(
            "{}\n[http]\nlisten = \"{addr}\"\n[admin]\nlisten = \"{admin}\"\n\
             [[sources]]\nname = \"{SERVER}\"\nkey = \"{SERVER}-key\"\ntrusted = true\nmay_backdate = true\n\
             [[sources]]\nname = \"{WEB}\"\nkey = \"{WEB}-key\"\n",
            settings.config
        );
        std::fs::write(data_dir.parent().join("momsflow.toml"), config).unwrap();
        Self {
            addr,
            admin,
            place,
            watchdogs: [data_dir.parent(), &root].map(watch),
            data_dir,
            root,
            child: None,
            starts: 0,
            slowest_start: Duration::ZERO,
            failed_starts: Vec::new(),
            peak_kib: 0,
        }
    }

    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    pub fn keys() -> HashMap<&'static str, String> {
        [SERVER, WEB]
            .map(|source| (source, format!("{source}-key")))
            .into()
    }

    /// The data dir of momsflow.
    pub fn state(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Where what momsflow says is written.
    pub fn log(&self) -> PathBuf {
        self.data_dir.parent().join("momsflow.log")
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Starts the process, without waiting for anything.
    pub fn launch(&mut self) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let child = self
            .command(&["serve"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        self.starts += 1;
    }

    /// Starts until it answers. A start that ends by itself is noted, and repeated a few times.
    pub async fn start(&mut self) {
        let begun = Instant::now();
        for _ in 0..5 {
            self.launch();
            if self.await_live().await {
                self.slowest_start = self.slowest_start.max(begun.elapsed());
                return;
            }
        }
        panic!("momsflow does not start:\n{}", tail(&self.log(), 30));
    }

    async fn await_live(&mut self) -> bool {
        let begun = Instant::now();
        let mut client = Client::new(self.admin);
        loop {
            if let Some(status) = self.exited() {
                self.failed_starts
                    .push(format!("{status}: {}", tail(&self.log(), 6)));
                return false;
            }
            if client.get("/live").await.is_ok_and(|answer| answer.status == 200) {
                return true;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "it does not come up:\n{}",
                tail(&self.log(), 30)
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The status of a process that ended although nobody asked.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap()?;
        self.child = None;
        Some(status)
    }

    pub fn pid(&self) -> Option<i32> {
        self.child.as_ref().map(|child| child.id().cast_signed())
    }

    pub fn kill(&mut self) {
        self.note_memory();
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks it to stop; `None` where it is not done within the patience.
    pub async fn terminate(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.note_memory();
        signal(self.pid()?, Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.exited() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// Reads the most memory that the process ever had.
    pub fn note_memory(&mut self) -> u64 {
        let peak = self
            .pid()
            .and_then(|pid| memory(pid, "VmHWM"))
            .unwrap_or_default();
        self.peak_kib = self.peak_kib.max(peak);
        peak
    }

    /// Lets the kernel's high-water mark begin anew, where this user may.
    pub fn forget_peak(&mut self) {
        self.note_memory();
        if let Some(pid) = self.pid() {
            let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    pub fn postmaster(&self) -> Option<i32> {
        let file = std::fs::read_to_string(self.state().join("postgres/cluster/postmaster.pid")).ok()?;
        let pid = file.lines().next()?.trim().parse().ok()?;
        self.postgres().contains(&pid).then_some(pid)
    }

    /// Every process of PostgreSQL: those that work in its folder.
    pub fn postgres(&self) -> Vec<i32> {
        let Ok(cluster) = self.state().join("postgres/cluster").canonicalize() else {
            return Vec::new();
        };
        let is_there =
            |pid: &i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == cluster);
        let pids = std::fs::read_dir("/proc").unwrap();
        pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(is_there)
            .collect()
    }

    pub async fn ready(&self) -> (u16, serde_json::Value) {
        match Client::new(self.admin).get("/ready").await {
            Ok(answer) => (answer.status, answer.body),
            Err(_) => (0, serde_json::Value::Null),
        }
    }

    /// Waits until `/ready` has the status and its body the word.
    pub async fn await_ready(&self, status: u16, word: &str, patience: Duration) -> Result<Duration, String> {
        let begun = Instant::now();
        loop {
            let (now, body) = self.ready().await;
            if now == status && body.to_string().contains(word) {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > patience {
                return Err(format!("/ready says {now} {body}, not {status} with {word:?}"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub fn events_config(&self) -> Option<Config> {
        Some(connection_of(&self.state()).ok()?.events())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let binary = std::env::var("MOMSFLOW_TEST_BINARY");
        let binary = binary.unwrap_or_else(|_| env!("CARGO_BIN_EXE_momsflow").to_owned());
        let mut command = self.place.command(binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MOMSFLOW_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .arg("--config")
            .arg(self.data_dir.parent().join("momsflow.toml"))
            .arg("--data-dir")
            .arg(self.state())
            .current_dir(self.data_dir.parent())
            .stdin(Stdio::null());
        command
    }
}

impl Host {
    /// Ends every process of its and leaves its folder for somebody to look at.
    pub fn keep(mut self) -> PathBuf {
        self.end();
        for watchdog in &mut self.watchdogs {
            let _ = watchdog.kill();
        }
        self.data_dir.keep()
    }

    fn end(&mut self) {
        self.kill();
        for _ in 0..3 {
            for pid in self.postgres() {
                crate::support::kill(pid);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end();
        for watchdog in &mut self.watchdogs {
            drop(watchdog.stdin.take());
            let _ = watchdog.wait();
        }
    }
}

pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}

/// A figure of /proc/PID/status, in KiB.
pub fn memory(pid: i32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

pub fn tail(file: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
