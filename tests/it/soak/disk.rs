//! The disk full, by load and by others, up to the last byte.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::audit::{audit, drain};
use super::host::{Host, Settings, fill, tail};
use super::ledger::Ledger;
use super::load::{Load, Manner};
use super::report::Report;
use super::{DRAIN_PATIENCE, TURN, seed};

const SIZE: &str = "size=420m,mode=755";
const MIN_FREE: u64 = 48 << 20;

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
    });
    host.start().await;
    let ledger = Arc::new(Ledger::default());
    let manner = Manner {
        clients: 4,
        max_batch: 60,
        pause: Duration::from_millis(80),
    };
    let load = Load::start(host.addr, Host::keys(), manner, seed, &ledger);
    load.set_duplicates(100);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let filler = disk.0.path().join("filler");

    step(
        &mut report,
        &mut host,
        &filler,
        &ledger,
        "at the least that stays free",
        MIN_FREE / 2,
        false,
    )
    .await;
    step(
        &mut report,
        &mut host,
        &filler,
        &ledger,
        "to the last byte",
        0,
        false,
    )
    .await;
    step(
        &mut report,
        &mut host,
        &filler,
        &ledger,
        "to the last byte, restarted",
        0,
        true,
    )
    .await;

    load.finish().await;
    report.load(&ledger);
    match drain(&host, DRAIN_PATIENCE).await {
        Ok(waited) => report.line("drained after", format!("{waited:.1?}")),
        Err(reason) => report.fault(reason),
    }
    report.findings(&audit(&host, &ledger, began).await);
    if !ledger.book().answers.contains_key(&503) {
        report.fault("nothing was refused");
    }
    report.conclude(host);
}

/// Fills the disk, waits until it is refused, stays there, makes room, and waits until all is well again.
async fn step(
    report: &mut Report,
    host: &mut Host,
    filler: &Path,
    ledger: &Ledger,
    name: &str,
    leave: u64,
    restart: bool,
) {
    fill(filler, leave);
    let refused = refused(ledger);
    match host.await_ready(503, "disk", Duration::from_secs(20)).await {
        Ok(waited) => report.line(&format!("{name}: /ready says so after"), format!("{waited:.1?}")),
        Err(reason) => report.fault(format!("{name}: {reason}")),
    }
    for _ in 0..6 {
        // What PostgreSQL or the log give back is taken again.
        fill(filler, leave);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if restart {
        restart_full(report, host, filler).await;
    }
    if let Some(status) = host.exited() {
        report.fault(format!(
            "{name}: momsflow ended with {status}:\n{}",
            tail(&host.log(), 10)
        ));
    }
    report.line(&format!("{name}: refusals"), self::refused(ledger) - refused);
    std::fs::remove_file(filler).unwrap();
    if host.pid().is_none() {
        host.start().await;
    }
    match host.await_ready(200, "ready", Duration::from_secs(45)).await {
        Ok(waited) => report.line(&format!("{name}: ready again after"), format!("{waited:.1?}")),
        Err(reason) => report.fault(format!("{name}: {reason}\n{}", tail(&host.log(), 12))),
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
}

/// A restart on the full disk may fail, and says why then.
async fn restart_full(report: &mut Report, host: &mut Host, filler: &Path) {
    let before = host.said().len();
    host.kill();
    fill(filler, 0);
    host.launch();
    tokio::time::sleep(Duration::from_secs(12)).await;
    let said = host.said().split_off(before);
    let is_running = host.exited().is_none();
    report.line("restarted while full", if is_running { "runs" } else { "ended" });
    let is_clear = said.contains("No space left on device") || said.contains("disk");
    if !is_clear {
        report.fault(format!("it does not say that the disk is full:\n{said}"));
    }
    let last: Vec<_> = said.lines().rev().take(3).collect();
    report.line("its last words", format!("{last:?}"));
}

fn refused(ledger: &Ledger) -> u64 {
    ledger.book().answers.get(&503).copied().unwrap_or_default()
}
