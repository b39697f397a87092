//! The figures of docs/benchmarks.md, each against its peer in one run: `make bench`.
//!
//! `cargo bench --bench pipeline -- capture ingest` measures only those parts. Without cargo's `--bench`, as
//! under `cargo test`, everything runs in tiny sizes, so that the bench stays alive; its figures say nothing.

#![allow(clippy::unwrap_used)]

mod capture;
mod drain;
mod event_store;
mod filled_log;
mod hits;
mod ingest;
mod kafka;
mod load;
mod memory;
mod nginx;
mod peer;
mod pixel;
mod process;
mod psql_copy;
mod report;
mod start;
mod traffic;
mod visible;

use std::time::Duration;

use process::{Folder, Process};
use report::Report;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How much of everything.
struct Sizes {
    /// How often a figure and its peer take turns.
    rounds: usize,
    /// Events that capture stores in one go.
    capture_events: usize,
    /// How long a load lasts.
    window: Duration,
    /// Of single posts and hits.
    connections: usize,
    /// How long a server rests before it counts as idle.
    settle: Duration,
    /// By how much the overload is smaller than ten times the budget.
    overload_divisor: usize,
    /// Records that Kafka's own producer sends in one go, and the distinct ones among them.
    kafka_records: usize,
    kafka_payloads: usize,
    /// How long PostgreSQL is away.
    outage: Duration,
}

const FULL: Sizes = Sizes {
    rounds: 5,
    capture_events: 200_000,
    window: Duration::from_secs(4),
    connections: 1024,
    settle: Duration::from_secs(5),
    overload_divisor: 1,
    kafka_records: 800_000,
    kafka_payloads: 100_000,
    outage: Duration::from_secs(60),
};

const TINY: Sizes = Sizes {
    rounds: 1,
    capture_events: 2_000,
    window: Duration::from_millis(200),
    connections: 32,
    settle: Duration::from_millis(100),
    overload_divisor: 50,
    kafka_records: 20_000,
    kafka_payloads: 1_000,
    outage: Duration::from_secs(1),
};

const PARTS: [&str; 10] = [
    "capture",
    "ingest",
    "pixel",
    "visible",
    "memory",
    "start",
    "kafka-ingest",
    "kafka-capture",
    "kafka-lag",
    "kafka-debezium",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = arguments.as_slice()
        && flag == "--peer"
    {
        return peer::serve(name);
    }
    let sizes = match arguments.iter().any(|argument| argument == "--bench") {
        true => FULL,
        false => TINY,
    };
    let chosen: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|name| PARTS.contains(name))
        .collect();
    let wanted = |part: &str| chosen.is_empty() || chosen.contains(&part);
    raise_open_files();
    eprintln!("{} bytes an event", traffic::check_size());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let report = runtime.block_on(measure(&sizes, wanted));
    println!("{}", report.table());
    println!("{} goals missed", report.missed());
}

async fn measure(sizes: &Sizes, wanted: impl Fn(&str) -> bool) -> Report {
    let mut report = Report::default();
    if wanted("capture") {
        capture::measure(sizes, &mut report).await;
    }
    if wanted("ingest") {
        ingest::measure(sizes, &mut report).await;
    }
    if wanted("pixel") {
        pixel::measure(sizes, &mut report).await;
    }
    if wanted("visible") || wanted("memory") {
        whole_serve(sizes, &mut report, &wanted).await;
    }
    if wanted("start") {
        start::measure(sizes, &mut report).await;
    }
    if PARTS
        .iter()
        .any(|part| part.starts_with("kafka-") && wanted(part))
    {
        kafka::measure(sizes, &mut report, wanted).await;
    }
    report
}

/// What is measured at one serve with all roles: idle first, overloaded last.
async fn whole_serve(sizes: &Sizes, report: &mut Report, wanted: impl Fn(&str) -> bool) {
    let folder = Folder::new();
    let server = Process::serve(&folder.path().join("data"), &[]);
    visible::until_ready(&server).await;
    if wanted("memory") {
        memory::idle(sizes, &server, report).await;
    }
    if wanted("visible") {
        visible::measure(sizes, &server, report).await;
    }
    if wanted("memory") {
        memory::overloaded(sizes, &server, report).await;
    }
    server.stop();
}

/// Each connection takes a file.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
