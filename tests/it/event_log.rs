//! The embedded log as a process: killed at random moments, on a full disk.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use momsflow::broker::embedded::EmbeddedLog;
use momsflow::broker::{EventLog, LogError, Record};
use momsflow::clock::Clock;
use momsflow::config;
use rand::Rng;

use crate::log_contract::{fetch_all, holds_the_contract};
use crate::serve::until;

const FOLDER: &str = "MOMSFLOW_TEST_LOG_FOLDER";

fn open(folder: &Path) -> Arc<EmbeddedLog> {
    let config = config::EventLog {
        partitions: 2,
        min_free_disk: ByteSize::b(0),
        ..config::EventLog::default()
    };
    EmbeddedLog::open(folder, &config, Clock::system()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_holds_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    holds_the_contract(open(folder.path())).await;
}

/// Appends for ever from several tasks, and says on stdout what was acknowledged: not a test of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of whatever_is_acknowledged_outlives_kill_9"]
async fn child_that_appends() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let log = open(Path::new(&folder));
    let tasks: Vec<_> = (0..6)
        .map(|task| {
            let log = log.clone();
            tokio::spawn(async move {
                loop {
                    let count = rand::rng().random_range(1..50);
                    let nonce: u64 = rand::rng().random();
                    let base = log.append(task % 2, records(nonce, count)).await.unwrap();
                    let line = format!("acknowledged {} {base} {count} {nonce}\n", task % 2);
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            })
        })
        .collect();
    futures_util::future::join_all(tasks).await;
}

fn records(nonce: u64, count: u64) -> Vec<Record> {
    let value = |number| {
        format!(
            "{nonce}-{number}-{}",
            "x".repeat((nonce.wrapping_mul(number) % 2000) as usize)
        )
    };
    let record = |number| Record {
        key: "person".into(),
        value: value(number).into(),
    };
    (0..count).map(record).collect()
}

/// Lets a child append for a while, kills it, and returns what it said was acknowledged.
fn append_and_kill(folder: &Path) -> Vec<[u64; 4]> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "event_log::child_that_appends",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    let mut parse = |line: String| {
        let numbers = line.strip_prefix("acknowledged ").map(str::split_whitespace);
        let numbers: Vec<u64> = numbers
            .into_iter()
            .flatten()
            .filter_map(|word| word.parse().ok())
            .collect();
        acknowledged.extend(<[u64; 4]>::try_from(numbers));
        line
    };
    for line in lines.by_ref() {
        if parse(line.unwrap()).starts_with("acknowledged") {
            break;
        }
    }
    std::thread::sleep(Duration::from_millis(rand::rng().random_range(0..250)));
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may be cut off in the middle of a number; it has fewer numbers or a wrong nonce then.
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    for line in rest {
        parse(line);
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_acknowledged_outlives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    let mut log_id = None;
    for _ in 0..10 {
        let path = folder.path().to_owned();
        let killed = tokio::task::spawn_blocking(move || append_and_kill(&path))
            .await
            .unwrap();
        assert!(
            !killed.is_empty(),
            "the child acknowledges something before it is killed"
        );
        acknowledged.extend(killed);
        let log = open(folder.path());
        assert_eq!(*log_id.get_or_insert(log.log_id()), log.log_id());
        let all = [fetch_all(&*log, 0, 0).await, fetch_all(&*log, 1, 0).await];
        for [partition, base, count, nonce] in &acknowledged {
            let stored = &all[*partition as usize][*base as usize..(*base + *count) as usize];
            let found = stored.iter().map(|record| &record.value);
            let sent = records(*nonce, *count);
            assert!(
                found.eq(sent.iter().map(|record| &record.value)),
                "at {partition}/{base}"
            );
        }
        log.close().await;
    }
    println!("{} acknowledged calls outlived 10 kills", acknowledged.len());
}

/// A small file system of its own, where the machine lets us mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// Appends until the log refuses, and returns what was acknowledged.
async fn fill(log: &EmbeddedLog) -> (Vec<(i64, Vec<Record>)>, LogError) {
    let mut acknowledged = Vec::new();
    loop {
        let noise = |_| rand::random_iter::<u8>().take(20_000).collect::<Vec<_>>();
        let records: Vec<_> = (0..50)
            .map(noise)
            .map(|value| Record {
                key: "person".into(),
                value: value.into(),
            })
            .collect();
        match log.append(0, records.clone()).await {
            Ok(base) => acknowledged.push((base, records)),
            Err(error) => return (acknowledged, error),
        }
    }
}

async fn assert_all_there(log: &EmbeddedLog, acknowledged: &[(i64, Vec<Record>)]) {
    let all = fetch_all(log, 0, 0).await;
    for (base, records) in acknowledged {
        let stored = &all[*base as usize..*base as usize + records.len()];
        assert!(
            stored
                .iter()
                .map(|record| &record.value)
                .eq(records.iter().map(|record| &record.value))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_acknowledged_and_is_survived() {
    let Some(disk) = SmallDisk::mount(200) else {
        println!("SKIPPED: mounting a tmpfs is not allowed here, so no disk can be filled");
        return;
    };
    let folder = disk.0.path().join("log");
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 80 << 20]).unwrap();
    let log = open(&folder);
    let (mut acknowledged, refusal) = fill(&log).await;
    assert!(matches!(refusal, LogError::Unavailable(_)), "{refusal:?}");
    assert!(acknowledged.len() > 20 && log.health().is_err());
    assert_all_there(&log, &acknowledged).await;
    let (again, _) = fill(&log).await;
    acknowledged.extend(again);

    std::fs::remove_file(&ballast).unwrap();
    until("the log is healthy", async || log.health().is_ok()).await;
    let record = Record {
        key: "person".into(),
        value: "there is room again".into(),
    };
    let base = log.append(0, vec![record.clone()]).await.unwrap();
    acknowledged.push((base, vec![record]));
    assert_all_there(&log, &acknowledged).await;
    log.close().await;
    let log = open(&folder);
    assert_all_there(&log, &acknowledged).await;
    log.close().await;
    println!("{} acknowledged calls outlived a full disk", acknowledged.len());
}
