//! Servers in processes of their own, measured from outside, that end with the bench.

use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::load::exchange;

pub const KEY: &str = "bench-key";
/// What a server prints before its address, be it momsflow or a peer.
pub const ADDRESS: &str = "http://";
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// Below what the kernel hands out for outgoing connections, and apart from what embedded PostgreSQLs draw.
const PORTS: std::ops::Range<u16> = 10_000..20_000;

/// A folder below target/, or in `MOMSFLOW_BENCH_DIR` to measure another disk. It goes when it is dropped, with
/// every process that works in it.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        let place = std::env::var_os("MOMSFLOW_BENCH_DIR");
        let place = place.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
        let folder = tempfile::tempdir_in(place).unwrap();
        // PostgreSQL runs as another user where the bench runs as root.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn processes(&self) -> Vec<i32> {
        let root = self.path().canonicalize().unwrap_or_default();
        let entries = fs::read_dir("/proc").into_iter().flatten();
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder.starts_with(&root))
            })
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for pid in self.processes() {
            signal(pid, Signal::KILL);
        }
    }
}

/// A running server.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    /// Where its metrics are; peers have none.
    admin: Option<SocketAddr>,
    pub data_dir: PathBuf,
}

impl Process {
    /// Starts `momsflow serve` on a data dir, on free ports.
    pub fn serve(data_dir: &Path, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_momsflow"));
        command.args(["serve", "--data-dir"]).arg(data_dir);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MOMSFLOW_")) {
            command.env_remove(name);
        }
        command
            .env("MOMSFLOW_HTTP__LISTEN", "127.0.0.1:0")
            .env("MOMSFLOW_ADMIN__LISTEN", "127.0.0.1:0")
            .env("MOMSFLOW_LOG__LEVEL", "warn")
            .env("MOMSFLOW_WRITE_KEY", KEY)
            .envs(env.iter().copied());
        Self::start(command, data_dir, 2)
    }

    /// Starts a serve whose capture waits for a PostgreSQL that never answers, so that ingest has the machine.
    pub fn serve_ingest(data_dir: &Path) -> Self {
        const NOWHERE: &str = "postgres://nobody@127.0.0.1:1/nothing";
        Self::serve(
            data_dir,
            &[
                ("MOMSFLOW_POSTGRES__EVENTS_URL", NOWHERE),
                ("MOMSFLOW_POSTGRES__VIEWS_URL", NOWHERE),
            ],
        )
    }

    /// Starts one of the bench's own servers.
    pub fn peer(name: &str, folder: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--peer", name]);
        Self::start(command, folder, 1)
    }

    /// Starts a server that prints so many addresses.
    fn start(mut command: Command, folder: &Path, addresses: usize) -> Self {
        fs::create_dir_all(folder).unwrap();
        let log = folder.with_extension("log");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let printed: Vec<SocketAddr> = output
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| address(&line))
            .take(addresses)
            .collect();
        let Some(&address) = printed.first() else {
            let _ = child.kill();
            panic!("no server: {}", fs::read_to_string(&log).unwrap_or_default());
        };
        Self {
            child,
            address,
            admin: printed.get(1).copied(),
            data_dir: folder.to_owned(),
        }
    }

    /// What `/metrics` says.
    pub async fn metrics(&self) -> String {
        let admin = self.admin.unwrap();
        get(admin, "/metrics").await.1
    }

    /// Seconds of CPU that the process has used, its children not counted.
    pub fn cpu(&self) -> f64 {
        cpu_of(&self.child.id().to_string())
    }

    /// Resident bytes now and at the most since [`Self::forget_peak`].
    pub fn memory(&self) -> (u64, u64) {
        memory_of(&self.child.id().to_string())
    }

    pub fn forget_peak(&self) {
        fs::write(self.proc("clear_refs"), "5").unwrap();
    }

    /// How often the process has been woken: context switches of all of its threads.
    pub fn wakeups(&self) -> u64 {
        let tasks = fs::read_dir(self.proc("task")).into_iter().flatten().flatten();
        tasks
            .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
            .flat_map(|status| {
                let switches =
                    |line: &str| line.split_once("voluntary_ctxt_switches:")?.1.trim().parse().ok();
                status.lines().filter_map(switches).collect::<Vec<u64>>()
            })
            .sum()
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) {
        self.end();
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    fn end(&mut self) {
        signal(self.child.id().cast_signed(), Signal::TERM);
        let began = Instant::now();
        while began.elapsed() < STOP_PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// The address in a line that a server prints.
fn address(line: &str) -> Option<SocketAddr> {
    let address = line.split_once(ADDRESS)?.1;
    address.trim().trim_end_matches("/metrics").parse().ok()
}

/// A loopback address whose port is free now, to be bound later.
pub fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::random_range(PORTS)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A GET; returns status and body.
pub async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut answer = Vec::new();
    let status = exchange(&mut connection, request.as_bytes(), &mut answer)
        .await
        .unwrap();
    (status, String::from_utf8_lossy(&answer).into_owned())
}

/// Seconds of CPU that the bench itself has used.
pub fn own_cpu() -> f64 {
    cpu_of("self")
}

/// Seconds of CPU that a process has used.
pub fn cpu_of(pid: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; user and system time are the 12th and 13th field behind it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Resident bytes of a process now and at the most.
pub fn memory_of(pid: &str) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    (bytes("VmRSS:"), bytes("VmHWM:"))
}

/// Asks a process to stop.
pub fn signal_term(pid: u32) {
    signal(pid.cast_signed(), Signal::TERM);
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}
