//! Ingest against itself without the append, and against bare actix-web.

use momsflow::telemetry::metric;

use crate::Sizes;
use crate::load::{Load, Outcome, Posts};
use crate::peer;
use crate::process::{Folder, KEY, Process, own_cpu};
use crate::report::{Goal, Report, Series};

const BATCHES: Posts = Posts::Batch(100);
/// Enough that the server has work while a commit is under way; with 16 it waits for the disk.
const BATCH_CONNECTIONS: usize = 64;

/// What a server did in each round.
#[derive(Default)]
struct Measured {
    events: Series,
    megabytes: Series,
    p50: Series,
    p99: Series,
    server_cpu: Series,
    client_cpu: Series,
}

pub async fn measure(sizes: &Sizes, report: &mut Report) {
    eprintln!("ingest");
    let folder = Folder::new();
    let ours = Process::serve_ingest(&folder.path().join("ours"));
    let forgetful = Process::peer(peer::FORGETFUL, &folder.path().join("forgetful"));
    let bare = Process::peer(peer::BARE, &folder.path().join("bare"));

    let [with, without] = compare(sizes, [&ours, &forgetful], BATCHES, BATCH_CONNECTIONS).await;
    with.report(report, "ingest, batches of 100");
    without.report(report, "the same without the append");
    report.add(
        "ingest ÷ without the append",
        with.events.ratios(&without.events),
        "×",
        Goal::AtLeast(0.7),
    );

    let before = Appends::read(&ours).await;
    let [with, without] = compare(sizes, [&ours, &bare], Posts::Single, sizes.connections).await;
    let commit = Appends::read(&ours).await.mean_since(before);
    with.report(
        report,
        &format!("single posts, {} connections", sizes.connections),
    );
    without.report(report, "the same, bare actix-web");
    report.add(
        "single posts ÷ bare",
        with.events.ratios(&without.events),
        "×",
        Goal::AtLeast(0.5),
    );
    report.add("wait for the log, mean", commit * 1e3, "ms", Goal::None);
    report.add(
        "connections ÷ that wait",
        sizes.connections as f64 / commit,
        "events/s",
        Goal::None,
    );
}

/// Loads two servers in turn.
async fn compare(sizes: &Sizes, servers: [&Process; 2], posts: Posts, connections: usize) -> [Measured; 2] {
    let mut measured = [Measured::default(), Measured::default()];
    for _ in 0..sizes.rounds {
        for (server, measured) in servers.into_iter().zip(&mut measured) {
            let load = Load {
                address: server.address,
                key: KEY.to_owned(),
                posts,
                connections,
                pace: None,
                window: sizes.window,
                may_refuse: false,
            };
            let (server_before, client_before) = (server.cpu(), own_cpu());
            let outcome = load.run().await;
            let cpu = (server.cpu() - server_before, own_cpu() - client_before);
            measured.push(outcome, posts, cpu);
        }
    }
    measured
}

impl Measured {
    fn push(&mut self, mut outcome: Outcome, posts: Posts, (server, client): (f64, f64)) {
        self.events.push(outcome.events_per_second(posts));
        self.megabytes.push(outcome.megabytes_per_second());
        self.p50.push(outcome.percentile(50));
        self.p99.push(outcome.percentile(99));
        let seconds = outcome.took.as_secs_f64();
        self.server_cpu.push(server / seconds);
        self.client_cpu.push(client / seconds);
    }

    fn report(&self, report: &mut Report, name: &str) {
        let mut add = |what: &str, series: &Series, unit| {
            report.add(&format!("{name}{what}"), series.clone(), unit, Goal::None);
        };
        add("", &self.events, "events/s");
        add("", &self.megabytes, "MB/s");
        add(", p50", &self.p50, "ms");
        add(", p99", &self.p99, "ms");
        add(", server", &self.server_cpu, "cores");
        add(", load generator", &self.client_cpu, "cores");
    }
}

/// The log's appends as momsflow counts them.
#[derive(Clone, Copy, Debug, Default)]
struct Appends {
    seconds: f64,
    count: f64,
}

impl Appends {
    async fn read(server: &Process) -> Self {
        let text = server.metrics().await;
        let value = |suffix: &str| {
            let name = format!("{}_{suffix} ", metric::LOG_APPEND_SECONDS);
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
        };
        Self {
            seconds: value("sum"),
            count: value("count"),
        }
    }

    fn mean_since(self, before: Self) -> f64 {
        (self.seconds - before.seconds) / (self.count - before.count)
    }
}
