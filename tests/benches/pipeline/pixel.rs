//! The pixel against what nginx has for the same: `empty_gif` with `userid` and `access_log`.

use momsflow::telemetry::metric;

use crate::Sizes;
use crate::hits::{Hits, Visitors};
use crate::load::Posts;
use crate::nginx::Nginx;
use crate::process::{Folder, Process, own_cpu};
use crate::report::{Goal, Report, Series};

/// What a server did in each round.
#[derive(Default)]
struct Measured {
    hits: Series,
    p50: Series,
    p99: Series,
    server_cpu: Series,
    /// Microseconds of the server's CPU for each hit, which hardly depends on what else runs.
    hit_cpu: Series,
    client_cpu: Series,
}

pub async fn measure(sizes: &Sizes, report: &mut Report) {
    eprintln!("pixel");
    let folder = Folder::new();
    let ours = Process::serve_ingest(&folder.path().join("ours"));
    let nginx = Nginx::start(&folder.path().join("nginx"));
    if nginx.is_none() {
        eprintln!("  nginx is not installed (Debian's nginx-light): without it");
    }
    let mut answered = 0;
    for (visitors, name) in [(Visitors::Returning, "returning"), (Visitors::New, "new")] {
        let [mut pixel, mut peer] = [Measured::default(), Measured::default()];
        for _ in 0..sizes.rounds {
            let hits = Hits {
                address: ours.address,
                visitors,
                connections: sizes.connections,
                window: sizes.window,
            };
            answered += pixel.round(hits, || ours.cpu()).await;
            if let Some(nginx) = &nginx {
                let hits = Hits {
                    address: nginx.address,
                    ..hits
                };
                let logged = nginx.logged();
                let answered = peer.round(hits, || nginx.cpu()).await;
                assert!(nginx.logged() >= logged + answered, "its log has every hit");
            }
        }
        let connections = sizes.connections;
        pixel.report(
            report,
            &format!("pixel, {name} visitors, {connections} connections"),
        );
        if nginx.is_some() {
            peer.report(report, &format!("nginx, {name} visitors"));
            let ratios = pixel.hits.ratios(&peer.hits);
            report.add(
                &format!("pixel ÷ nginx, {name} visitors"),
                ratios,
                "×",
                Goal::AtLeast(1.0),
            );
        }
    }
    let text = ours.metrics().await;
    let [logged, unsure, shed] = ["logged", "unsure", "shed"].map(|outcome| hits(&text, outcome));
    assert!(logged + unsure + shed >= answered as f64, "every hit is counted");
    report.add(
        "hits answered before they were durable",
        unsure + shed,
        "hits",
        Goal::AtMost(0.0),
    );
}

/// Hits with an outcome, as momsflow counts them.
fn hits(metrics: &str, outcome: &str) -> f64 {
    let label = format!("outcome=\"{outcome}\"");
    let lines = metrics.lines();
    let ours = lines.filter(|line| line.starts_with(metric::PIXEL_HITS_TOTAL) && line.contains(&label));
    ours.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .fold(0.0, std::ops::Add::add)
}

impl Measured {
    /// Returns how many hits were answered.
    async fn round(&mut self, hits: Hits, server_cpu: impl Fn() -> f64) -> usize {
        let (server, client) = (server_cpu(), own_cpu());
        let mut outcome = hits.run().await;
        let (server, client) = (server_cpu() - server, own_cpu() - client);
        let seconds = outcome.took.as_secs_f64();
        self.hits.push(outcome.events_per_second(Posts::Single));
        self.p50.push(outcome.percentile(50));
        self.p99.push(outcome.percentile(99));
        self.server_cpu.push(server / seconds);
        self.hit_cpu.push(server / outcome.accepted as f64 * 1e6);
        self.client_cpu.push(client / seconds);
        outcome.accepted
    }

    fn report(&self, report: &mut Report, name: &str) {
        let mut add = |what: &str, series: &Series, unit| {
            report.add(&format!("{name}{what}"), series.clone(), unit, Goal::None);
        };
        add("", &self.hits, "hits/s");
        add(", p50", &self.p50, "ms");
        add(", p99", &self.p99, "ms");
        add(", server", &self.server_cpu, "cores");
        add(", server, each hit", &self.hit_cpu, "µs");
        add(", load generator", &self.client_cpu, "cores");
    }
}
