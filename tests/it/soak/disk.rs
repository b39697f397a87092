//! The disk full, by load and by others, up to the last byte.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::audit::{audit, drain};
use super::host::{Host, Settings, tail};
use super::ledger::Ledger;
use super::load::{Load, Manner};
use super::report::Report;
use super::{DRAIN_PATIENCE, TURN, seed};
use crate::serve::PATIENCE;

const SIZE: &str = "size=420m,mode=755";
const MIN_FREE: u64 = 48 << 20;

/// One way to be full.
struct Step {
    name: &'static str,
    /// Bytes that the filler leaves.
    leave: u64,
    is_restarted: bool,
}

const STEPS: [Step; 3] = [
    Step {
        name: "below the least that stays free",
        leave: MIN_FREE / 2,
        is_restarted: false,
    },
    Step {
        name: "to the last byte",
        leave: 0,
        is_restarted: false,
    },
    Step {
        name: "to the last byte, restarted",
        leave: 0,
        is_restarted: true,
    },
];

/// A file system of its own; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "momsflow-test"])
            .arg(folder.path())
            .output()
            .ok()?;
        output.status.success().then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_loses_nothing() {
    let _turn = TURN.lock().await;
    let Some(disk) = SmallDisk::mount() else {
        println!("SKIPPED: a tmpfs cannot be mounted here (needs root)");
        return;
    };
    let seed = seed();
    println!("SOAK_SEED={seed}");
    let began = Timestamp::now();
    let mut report = Report::new("disk full", seed);
    let mut host = Host::new(&Settings {
        config: format!("[event_log]\nmin_free_disk = {MIN_FREE}"),
        folder: Some(disk.0.path().to_owned()),
        ..Settings::default()
    });
    host.start().await;
    let ledger = Arc::new(Ledger::default());
    let manner = Manner {
        clients: 4,
        max_batch: 60,
        pause: Duration::from_millis(80),
    };
    let load = Load::start(&[host.addr], Host::keys(), manner, seed, &ledger);
    load.set_duplicates(100);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let filler = disk.0.path().join("filler");

    for step in STEPS {
        step.take(&mut report, &mut host, &filler, &ledger).await;
    }

    load.finish().await;
    if refused(&ledger) == 0 {
        report.fault("nothing was refused");
    }
    report.load(&ledger);
    report.drained(drain(&host, DRAIN_PATIENCE).await);
    report.findings(&audit(&host, &ledger.close(), began).await);
    report.conclude([host]);
}

impl Step {
    /// Fills the disk, waits until it is refused, stays there, makes room, and waits until all is well again.
    async fn take(&self, report: &mut Report, host: &mut Host, filler: &Path, ledger: &Ledger) {
        let (name, before) = (self.name, refused(ledger));
        let unready = full(filler, self.leave, host).await;
        report.waited(&format!("{name}: /ready says so after"), unready);
        for _ in 0..6 {
            // What PostgreSQL or the log give back is taken again.
            fill(filler, self.leave);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if self.is_restarted {
            restart_full(report, host, filler).await;
        } else if let Some(status) = host.exited() {
            report.fault(format!(
                "{name}: momsflow ended with {status}:\n{}",
                tail(&host.log(), 10)
            ));
        }
        report.line(&format!("{name}: refusals"), refused(ledger) - before);
        std::fs::remove_file(filler).unwrap();
        if host.pid().is_none() {
            host.start().await;
        }
        let back = host.await_ready(200, "ready", PATIENCE).await;
        report.waited(&format!("{name}: ready again after"), back);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Fills the disk, again and again since others give some of it back, until `/ready` says so.
async fn full(filler: &Path, leave: u64, host: &Host) -> Result<Duration, String> {
    let begun = Instant::now();
    loop {
        fill(filler, leave);
        let unready = host.await_ready(503, "disk", Duration::from_secs(1)).await;
        if unready.is_ok() || begun.elapsed() > PATIENCE {
            return unready.map(|_| begun.elapsed());
        }
    }
}

/// A restart on the full disk may fail, and says why then.
async fn restart_full(report: &mut Report, host: &mut Host, filler: &Path) {
    let before = host.said().len();
    host.kill();
    fill(filler, 0);
    host.launch();
    let begun = Instant::now();
    let is_clear = |said: &str| said.contains("No space left on device") || said.contains("disk");
    while begun.elapsed() < PATIENCE && !is_clear(&host.said()[before..]) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // And what it does then.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let said = host.said().split_off(before);
    let is_running = host.exited().is_none();
    report.line("restarted while full", if is_running { "runs" } else { "ended" });
    if !is_clear(&said) {
        report.fault(format!("it does not say that the disk is full:\n{said}"));
    }
    let last: Vec<_> = said.lines().rev().take(3).collect();
    report.line("its last words", format!("{last:?}"));
}

fn refused(ledger: &Ledger) -> u64 {
    ledger.book().answers.get(&503).copied().unwrap_or_default()
}

/// Writes zeros into a file until the disk is full or only `leave` bytes are free; returns whether it was full.
fn fill(file: &Path, leave: u64) -> bool {
    let mut file = File::options().create(true).append(true).open(file).unwrap();
    let chunk = vec![0_u8; 64 << 10];
    loop {
        let disk = rustix::fs::fstatvfs(&file).unwrap();
        if disk.f_bavail * disk.f_frsize <= leave {
            return false;
        }
        let size = chunk.len().min(4096 * (disk.f_bavail as usize).max(1));
        if file.write_all(&chunk[..size]).is_err() {
            return true;
        }
    }
}
