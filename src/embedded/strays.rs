//! Processes of an earlier run that still live on a data folder.
//!
//! momsflow holds the lock of the data dir when it comes here, so that every PostgreSQL on it is one that an
//! earlier momsflow left behind: killed with SIGKILL, it could not stop its server; and a server killed so leaves
//! backends that hold the shared memory, beside which no new one starts.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::time::Instant;
use tracing::warn;

use super::error::{During, EmbeddedError};
use super::pid_file::PidFile;

const PROGRAMS: [&str; 3] = ["postgres", "postmaster", "initdb"];
const POLL: Duration = Duration::from_millis(20);

/// How long each way to end a server may take before the next, harsher one.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a fast shutdown, which writes a checkpoint.
    pub fast: Duration,
    /// For an immediate one, after which the next start recovers from the write-ahead log.
    pub immediate: Duration,
}

/// Ends every PostgreSQL process on a data folder, gently where its postmaster still lives, and removes a pid file
/// that would keep a new server from starting. Returns whether there were any.
pub async fn end(cluster: &Path, patience: Patience) -> Result<bool, EmbeddedError> {
    let strays = find(cluster)?;
    let found = !strays.is_empty();
    if found {
        let postmaster = PidFile::read(cluster)
            .map(|file| file.pid)
            .filter(|pid| strays.contains(pid));
        warn!(
            processes = strays.len(),
            has_postmaster = postmaster.is_some(),
            "stopping a PostgreSQL that an earlier run left behind"
        );
        end_all(cluster, postmaster, patience).await?;
    }
    remove_misleading_pid_file(cluster)?;
    Ok(found)
}

async fn end_all(cluster: &Path, postmaster: Option<i32>, patience: Patience) -> Result<(), EmbeddedError> {
    if let Some(pid) = postmaster {
        for (signal, wait) in [(Signal::INT, patience.fast), (Signal::QUIT, patience.immediate)] {
            send(pid, signal);
            if all_gone(cluster, wait).await? {
                return Ok(());
            }
        }
    }
    // Without a postmaster a backend takes SIGINT for a cancelled query and lives on.
    for (signal, wait) in [
        (Signal::QUIT, Duration::from_secs(1)),
        (Signal::KILL, patience.immediate),
    ] {
        for pid in find(cluster)? {
            send(pid, signal);
        }
        if all_gone(cluster, wait).await? {
            return Ok(());
        }
    }
    let left: Vec<_> = find(cluster)?.iter().map(ToString::to_string).collect();
    Err(EmbeddedError::StraysRemain(left.join(", ")))
}

async fn all_gone(cluster: &Path, wait: Duration) -> Result<bool, EmbeddedError> {
    let deadline = Instant::now() + wait;
    loop {
        if find(cluster)?.is_empty() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// PostgreSQL removes a stale pid file by itself, unless its number now belongs to another process that it may
/// signal; then it takes that one for its server and refuses. In a container, where numbers are small and come
/// again, that is the rule. Called when nothing lives on the folder any more.
fn remove_misleading_pid_file(cluster: &Path) -> Result<(), EmbeddedError> {
    let Some(file) = PidFile::read(cluster) else {
        return Ok(());
    };
    let is_taken = Pid::from_raw(file.pid).is_some_and(|pid| test_kill_process(pid).is_ok());
    if !is_taken {
        return Ok(());
    }
    warn!(
        pid = file.pid,
        "removing a stale postmaster.pid whose number belongs to another process now"
    );
    let mut stale = vec![cluster.join("postmaster.pid")];
    if let Some(folder) = file.socket_folder {
        stale.push(folder.join(format!(".s.PGSQL.{}.lock", file.port)));
    }
    for path in stale {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).during(|| format!("removing {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes lock files with nothing in them: of a server that was killed between making and filling one. PostgreSQL
/// takes such a file for that of a server which is just starting, and refuses. Called when nothing lives on the
/// folder any more.
pub fn remove_empty_lock_files(cluster: &Path, socket_folder: Option<&Path>) -> Result<(), EmbeddedError> {
    let mut locks = vec![cluster.join("postmaster.pid")];
    if let Some(folder) = socket_folder {
        let entries = fs::read_dir(folder).during(|| format!("reading {}", folder.display()))?;
        let is_lock = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "lock");
        locks.extend(entries.flatten().map(|entry| entry.path()).filter(is_lock));
    }
    for path in locks {
        if fs::metadata(&path).is_ok_and(|file| file.len() == 0) {
            warn!(path = %path.display(), "removing a lock file that a killed PostgreSQL left empty");
            fs::remove_file(&path).during(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // An error means that it ended in the meantime.
        let _ = kill_process(pid, signal);
    }
}

/// The PostgreSQL processes whose data folder this is.
pub fn find(cluster: &Path) -> Result<Vec<i32>, EmbeddedError> {
    if !cluster.exists() {
        return Ok(Vec::new());
    }
    if Path::new("/proc/self/cwd").exists() {
        from_proc(cluster).during(|| "looking for PostgreSQL processes in /proc".to_owned())
    } else {
        from_ps(cluster).during(|| "looking for PostgreSQL processes with ps".to_owned())
    }
}

/// A server and its backends all work in the data folder; its inode survives a rename.
fn from_proc(cluster: &Path) -> io::Result<Vec<i32>> {
    let folder = fs::metadata(cluster)?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        // Processes may end while they are looked at.
        let Ok(program) = fs::read_to_string(entry.path().join("comm")) else {
            continue;
        };
        if !PROGRAMS.contains(&program.trim()) {
            continue;
        }
        let Ok(working_folder) = fs::metadata(entry.path().join("cwd")) else {
            continue;
        };
        if working_folder.dev() == folder.dev() && working_folder.ino() == folder.ino() {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Without /proc only the postmaster shows its data folder; on those systems its backends end with it.
fn from_ps(cluster: &Path) -> io::Result<Vec<i32>> {
    let output = Command::new("ps").args(["-axo", "pid=,args="]).output()?;
    Ok(parse_ps(&String::from_utf8_lossy(&output.stdout), cluster))
}

fn parse_ps(listing: &str, cluster: &Path) -> Vec<i32> {
    let mark = format!(" -D {} ", cluster.display());
    listing
        .lines()
        .filter_map(|line| line.trim_start().split_once(' '))
        .filter(|(_, command)| {
            let program = command.split(' ').next().unwrap_or_default();
            let name = program.rsplit('/').next().unwrap_or_default();
            PROGRAMS.contains(&name) && format!("{command} ").contains(&mark)
        })
        .filter_map(|(pid, _)| pid.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ps_shows_the_postmaster_of_exactly_this_folder() {
        let listing = "    1 /sbin/launchd\n  \
                       812 /opt/homebrew/opt/postgresql@16/bin/postgres -D /d/cluster -p 20001\n  \
                       813 /opt/homebrew/opt/postgresql@16/bin/postgres -D /d/cluster2 -p 20002\n  \
                       814 vi -D /d/cluster notes\n 815 postgres -D /d/cluster\n";
        assert_eq!(parse_ps(listing, Path::new("/d/cluster")), [812, 815]);
    }

    #[test]
    fn a_shell_in_the_folder_is_no_stray() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut sleeper = Command::new("sleep")
            .arg("60")
            .current_dir(folder.path())
            .spawn()
            .expect("sleep runs");
        let found = find(folder.path());
        sleeper.kill().and_then(|()| sleeper.wait()).expect("it ends");
        assert_eq!(found.expect("a list"), Vec::<i32>::new());
    }
}
