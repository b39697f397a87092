//! The server's settings, for the memory and the disk of the machine.

use std::fmt::Write;
use std::path::Path;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Where the memory cannot be read.
const ASSUMED_MEMORY: u64 = 2 * GIB;

/// What the settings depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Bytes of memory that this process may use.
    pub memory: u64,
    /// Bytes free on the disk of the data dir.
    pub free_disk: u64,
}

impl Machine {
    /// Measures this machine, or the container that the process is in.
    pub fn measure(data_dir: &Path) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let disk = rustix::fs::statvfs(data_dir);
        Self {
            memory: memory(&read("/proc/meminfo"), &read("/sys/fs/cgroup/memory.max")),
            free_disk: disk.map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        }
    }
}

/// How the server may compress; depends on its version and on how it was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// LZ4 for the write-ahead log and for large values.
    Lz4,
    /// LZ4 for large values; a version whose write-ahead log only knows on and off.
    Lz4Values,
    /// What every build has.
    Pglz,
}

impl Compression {
    /// The best that a major version can have been built with.
    pub fn best_of(major: u32) -> Self {
        if major >= 15 { Self::Lz4 } else { Self::Lz4Values }
    }

    /// The settings, as name and value.
    pub fn settings(self) -> [(&'static str, &'static str); 2] {
        let (log, values) = match self {
            Self::Lz4 => ("lz4", "lz4"),
            Self::Lz4Values => ("on", "lz4"),
            Self::Pglz => ("on", "pglz"),
        };
        [("wal_compression", log), ("default_toast_compression", values)]
    }
}

fn memory(meminfo: &str, cgroup_limit: &str) -> u64 {
    let installed = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(ASSUMED_MEMORY, |kib| kib * 1024);
    match cgroup_limit.trim().parse::<u64>() {
        Ok(limit) => installed.min(limit),
        Err(_) => installed,
    }
}

/// Writes postgresql.conf.
pub fn render(machine: &Machine, compression: Compression) -> String {
    let mut text = String::from(
        "# Written by momsflow at each start; what ALTER SYSTEM sets stays and wins.\n\
         # fsync, full_page_writes, port and addresses are given on the command line.\n",
    );
    let sized = sizes(machine);
    let compressed = compression
        .settings()
        .map(|(name, value)| (name, value.to_owned()));
    let fixed = FIXED.map(|(name, value)| (name, value.to_owned()));
    for (name, value) in sized.into_iter().chain(compressed).chain(fixed) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} = '{value}'");
    }
    text
}

fn sizes(machine: &Machine) -> [(&'static str, String); 6] {
    let mib = |bytes: u64| format!("{}MB", bytes / MIB);
    let max_wal = (machine.free_disk / 16).clamp(128 * MIB, 4 * GIB);
    [
        (
            "shared_buffers",
            mib((machine.memory / 8).clamp(64 * MIB, 2 * GIB)),
        ),
        ("effective_cache_size", mib((machine.memory / 2).max(128 * MIB))),
        (
            "maintenance_work_mem",
            mib((machine.memory / 32).clamp(32 * MIB, 512 * MIB)),
        ),
        ("work_mem", mib((machine.memory / 512).clamp(4 * MIB, 32 * MIB))),
        ("max_wal_size", mib(max_wal)),
        ("min_wal_size", mib((max_wal / 4).min(GIB))),
    ]
}

const FIXED: [(&str, &str); 27] = [
    ("max_connections", "100"),
    ("superuser_reserved_connections", "5"),
    ("password_encryption", "scram-sha-256"),
    ("checkpoint_timeout", "15min"),
    ("checkpoint_completion_target", "0.9"),
    ("wal_buffers", "16MB"),
    // Compiling a query takes longer than the queries of dashboards themselves.
    ("jit", "off"),
    ("random_page_cost", "1.1"),
    // Months are large and only grow: vacuum them for index-only scans before a fifth of them is new.
    ("autovacuum_vacuum_insert_scale_factor", "0.05"),
    ("autovacuum_vacuum_insert_threshold", "100000"),
    ("autovacuum_vacuum_scale_factor", "0.05"),
    ("autovacuum_analyze_scale_factor", "0.05"),
    ("autovacuum_vacuum_cost_limit", "2000"),
    // positions and leases are a few rows that change with every batch.
    ("autovacuum_naptime", "20s"),
    // A capture that died mid-query must not hold its locks.
    ("client_connection_check_interval", "5s"),
    ("tcp_keepalives_idle", "60"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("datestyle", "iso, ymd"),
    ("lc_messages", "C"),
    ("log_line_prefix", "%m [%p] %q%u@%d "),
    ("log_lock_waits", "on"),
    ("log_checkpoints", "on"),
    ("log_autovacuum_min_duration", "1min"),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    // Event properties are people's data and have no place in a log.
    ("log_parameter_max_length_on_error", "0"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, name: &str) -> String {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name} = ")))
            .unwrap_or_default();
        line.split('\'').nth(1).unwrap_or_default().to_owned()
    }

    #[test]
    fn sizes_follow_the_machine_within_bounds() {
        let at = |memory, free_disk| render(&Machine { memory, free_disk }, Compression::Lz4);
        let small = at(512 * MIB, GIB);
        assert_eq!(value(&small, "shared_buffers"), "64MB");
        assert_eq!(value(&small, "max_wal_size"), "128MB");
        assert_eq!(value(&small, "min_wal_size"), "32MB");
        let medium = at(8 * GIB, 32 * GIB);
        assert_eq!(value(&medium, "shared_buffers"), "1024MB");
        assert_eq!(value(&medium, "max_wal_size"), "2048MB");
        let large = at(256 * GIB, 4096 * GIB);
        assert_eq!(value(&large, "shared_buffers"), "2048MB");
        assert_eq!(value(&large, "max_wal_size"), "4096MB");
    }

    #[test]
    fn memory_is_the_smaller_of_machine_and_container() {
        let meminfo = "MemTotal:       24683344 kB\nMemFree: 1 kB\n";
        assert_eq!(memory(meminfo, "max\n"), 24_683_344 * 1024);
        assert_eq!(memory(meminfo, "536870912\n"), 512 * MIB);
        assert_eq!(memory("", ""), ASSUMED_MEMORY);
    }

    #[test]
    fn version_14_has_no_lz4_for_its_log() {
        let machine = Machine {
            memory: GIB,
            free_disk: GIB,
        };
        let text = render(&machine, Compression::best_of(14));
        assert_eq!(value(&text, "wal_compression"), "on");
        assert_eq!(value(&text, "default_toast_compression"), "lz4");
    }
}
