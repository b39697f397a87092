//! A running `momsflow serve`: the real binary on a data dir of its own, with its embedded PostgreSQL.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use momsflow::embedded::connection_of;
use reqwest::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio_postgres::Client;

use super::support::{DataDir, connect, value};

/// How long anything may take that ought to take a second or two, on a machine that is busy: a wait that ends when its
/// condition holds costs nothing by being allowed to be long.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// What is not done by then ends a stop with a failure. Shorter than [`PATIENCE`].
const SHUTDOWN_DEADLINE: &str = "150s";
/// How long a command may take that has real work to do, such as an import.
const COMMAND_PATIENCE: Duration = Duration::from_secs(420);
/// Where ports are drawn: below those that the kernel hands out for outgoing connections, so that a serve that
/// starts again finds its port free, and apart from those that embedded PostgreSQLs draw, of which one that starts
/// meanwhile would take what was given out here and is bound only later.
const PORTS: std::ops::Range<u16> = 10_000..20_000;
/// What a failing test shows of the log.
const SHOWN_LOG_LINES: usize = 80;

/// A serve process and all that a test needs to use it, kill it and start it again.
///
/// Keeps data dir, addresses and key over restarts. When it is dropped, or the test process ends in whatever
/// way, serve and its PostgreSQL are killed and the folder goes. On a panic the end of the log is printed.
pub struct Serve {
    data: DataDir,
    config: PathBuf,
    env: Vec<(String, String)>,
    http: SocketAddr,
    admin: SocketAddr,
    process: Option<Child>,
    /// Reads from a pipe whose other end closes with this process, however that ends.
    watchdog: Child,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Asserts the exit code and gives the standard output.
    #[track_caller]
    pub fn expect(self, code: i32) -> String {
        assert_eq!(
            self.code,
            Some(code),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        self.stdout
    }

    /// The standard output as JSON, after exit code 0.
    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_str(&self.expect(0)).unwrap()
    }
}

/// The binary under test, without configuration from this process's environment.
pub fn momsflow() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_momsflow"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MOMSFLOW_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end without blocking other tasks.
pub async fn run(command: Command) -> Ran {
    let output = tokio::process::Command::from(command).kill_on_drop(true).output();
    let output = tokio::time::timeout(COMMAND_PATIENCE, output)
        .await
        .unwrap()
        .unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits until `condition` holds; panics with `what` after [`PATIENCE`].
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Serve {
    /// Starts serve with a config file of this TOML text (may be empty) and waits until it is ready.
    pub async fn start(config: &str) -> Self {
        Self::start_with(config, &[]).await
    }

    /// As [`Serve::start`], with environment variables, which win over the config.
    pub async fn start_with(config: &str, env: &[(&str, &str)]) -> Self {
        let data = DataDir::new();
        let file = data.parent().join("momsflow.toml");
        fs::write(&file, config).unwrap();
        let watchdog = watch(data.parent());
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut serve = Self {
            data,
            config: file,
            env: env.iter().map(own).collect(),
            http: free_address(),
            admin: free_address(),
            process: None,
            watchdog,
        };
        serve.start_again().await;
        serve
    }

    /// Starts it again after [`Serve::stop`] or [`Serve::kill`], and waits until it is ready.
    pub async fn start_again(&mut self) {
        self.launch();
        self.wait_ready().await;
    }

    /// Starts the process and does not wait.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let output = |name| {
            let path = self.data.parent().join(name);
            File::options().create(true).append(true).open(path).unwrap()
        };
        let mut command = self.command(&["serve"]);
        // A machine that stalls for a second shall not make a hit unsure; the bound has tests of its own.
        command.env("MOMSFLOW_PIXEL__ANSWER_WITHIN", "30s");
        command
            .env("MOMSFLOW_HTTP__LISTEN", self.http.to_string())
            .env("MOMSFLOW_ADMIN__LISTEN", self.admin.to_string())
            .env("MOMSFLOW_SHUTDOWN_DEADLINE", SHUTDOWN_DEADLINE)
            .stdout(output("serve.out"))
            .stderr(output("serve.log"));
        self.process = Some(command.spawn().unwrap());
    }

    /// Waits until `/ready` answers 200, on the listener that every role has.
    pub async fn wait_ready(&mut self) {
        let client = self.client();
        let began = Instant::now();
        loop {
            let process = self.process.as_mut().unwrap();
            if let Some(status) = process.try_wait().unwrap() {
                panic!("serve ended with {status}\n{}", self.log_tail());
            }
            let ask = client.get(format!("http://{}/ready", self.admin));
            let answer = ask.timeout(Duration::from_secs(10)).send().await;
            if answer.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "serve is not ready\n{}",
                self.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The binary with this data dir and config, for any subcommand.
    pub fn command(&self, arguments: &[&str]) -> Command {
        // What comes after `--` goes to psql.
        let end = arguments.iter().position(|argument| *argument == "--");
        let (own, passed) = arguments.split_at(end.unwrap_or(arguments.len()));
        let mut command = momsflow();
        command
            .args(own)
            .arg("--config")
            .arg(&self.config)
            .arg("--data-dir")
            .arg(self.data.path())
            .args(passed)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            // Who works in here is killed with the data dir.
            .current_dir(self.data.parent());
        command
    }

    /// Runs a subcommand beside the serve, to its end.
    pub async fn cli(&self, arguments: &[&str]) -> Ran {
        run(self.command(arguments)).await
    }

    /// What it says of itself once it has no fault: where a machine stands still for seconds, there is one that passes.
    pub async fn status(&self) -> Value {
        let began = Instant::now();
        loop {
            let status = self.status_with_faults().await;
            let faults = &status["faults"];
            if *faults == serde_json::json!({}) {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "{faults}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What `momsflow status` prints once nothing is wrong.
    pub async fn status_text(&self) -> String {
        let began = Instant::now();
        loop {
            let ran = self.cli(&["status"]).await;
            if ran.code == Some(0) || began.elapsed() > PATIENCE {
                return ran.expect(0);
            }
        }
    }

    pub async fn status_with_faults(&self) -> Value {
        super::support::status(self.data.path()).await.unwrap()
    }

    pub fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// The folder around the data dir, for a test's own files.
    pub fn folder(&self) -> &Path {
        self.data.parent()
    }

    pub fn http(&self) -> SocketAddr {
        self.http
    }

    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// An address on the public listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// The write key that serve made; there is none where the config has `[[sources]]`.
    pub fn write_key(&self) -> String {
        let text = fs::read_to_string(self.data.path().join("write-key")).unwrap();
        text.trim().to_owned()
    }

    /// An HTTP client, for this test's runtime.
    pub fn client(&self) -> reqwest::Client {
        reqwest::Client::builder().timeout(PATIENCE).build().unwrap()
    }

    /// Posts JSON with the write key that serve made; gives the status and the body.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.post_as(&self.write_key(), path, body).await
    }

    /// Posts JSON with a key of the config's `[[sources]]`.
    pub async fn post_as(&self, key: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.client().post(self.url(path)).json(body);
        let answer = request.basic_auth(key, Some("")).send().await.unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap_or_default())
    }

    /// Gets a path of the public listener; gives the status and the text.
    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.client().get(self.url(path)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// The event store, as its owner.
    pub async fn sql(&self) -> Client {
        connect(&connection_of(self.data.path()).unwrap().events())
            .await
            .unwrap()
    }

    /// The one value of a query's one row, as text.
    pub async fn value(&self, query: &str) -> String {
        value(&self.sql().await, query).await
    }

    /// Waits until capture has stored all that the log holds by now, and what the spool has for it.
    pub async fn settle(&self) {
        until(
            "the spool is empty and capture at the end of the log",
            async || {
                // The spool first: what it has sent is in the log by then.
                let spooled = self.status().await["spool"]["records"].as_i64().unwrap_or(0);
                let status = self.status().await;
                let partitions = status["log"]["partitions"].as_array().unwrap();
                let is_stored = |partition: &Value| partition["capture"]["next_offset"] == partition["end"];
                spooled == 0 && !partitions.is_empty() && partitions.iter().all(is_stored)
            },
        )
        .await;
    }

    /// Every process of it that runs: serve, PostgreSQL, subcommands.
    pub fn processes(&self) -> Vec<i32> {
        self.data.processes()
    }

    pub fn pid(&self) -> Option<i32> {
        self.process
            .as_ref()
            .map(|process| i32::try_from(process.id()).unwrap())
    }

    /// The postmaster of the embedded PostgreSQL, as its pid file says.
    pub fn postmaster(&self) -> Option<i32> {
        let file = self.data.postgres("cluster").join("postmaster.pid");
        fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()
    }

    /// Sends a signal to serve alone.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().unwrap()).unwrap(), signal).unwrap();
    }

    /// Stops it by SIGTERM and asserts exit code 0 and that nothing of it runs any more.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.log_tail());
        assert_eq!(self.data.processes(), Vec::<i32>::new(), "left behind");
    }

    /// Kills serve with SIGKILL. PostgreSQL lives on, as it would after a crash.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    /// Kills serve and every process of its PostgreSQL.
    pub async fn kill_all(&mut self) {
        self.kill().await;
        until("everything is dead", async || {
            let processes = self.data.processes();
            processes.iter().copied().for_each(super::support::kill);
            processes.is_empty()
        })
        .await;
    }

    /// Waits for the process's end.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status;
            }
            if began.elapsed() > PATIENCE {
                let _ = process.kill();
                let _ = process.wait();
                panic!("serve does not end\n{}", self.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Everything that serve logged, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.data.parent().join("serve.log")).unwrap_or_default()
    }

    /// Everything that serve printed, over all its starts.
    pub fn printed(&self) -> String {
        fs::read_to_string(self.data.parent().join("serve.out")).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..].join("\n")
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the end of serve's log:\n{}", self.log_tail());
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// A loopback address whose port is free now, and which nobody else in this process was given: it may be bound much
/// later, and by a broker that has many.
pub fn free_address() -> SocketAddr {
    static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::random_range(PORTS)));
        let is_new = TAKEN.lock().unwrap().insert(addr.port());
        if is_new && TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
}

/// Kills whoever works in a folder, and removes it, once this process is gone or closes the pipe. Twice, for
/// children that were forked meanwhile.
pub fn watch(folder: &Path) -> Child {
    let script = r#"trap '' INT TERM; read -r _
        for round in 1 2; do
            for process in /proc/[0-9]*; do
                case "$(readlink "$process/cwd")" in "$1"|"$1"/*) kill -9 "${process#/proc/}";; esac
            done
        done
        rm -rf "$1""#;
    Command::new("sh")
        .args(["-c", script, "watchdog"])
        .arg(folder.canonicalize().unwrap())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
