//! Capture against `psql \copy` of the same rows into the same table.

use std::time::{Duration, Instant};

use momsflow::broker::EventLog;
use momsflow::config;
use momsflow::lifecycle::Health;
use momsflow::roles::capture::{Capture, Status};
use momsflow::store::pool;
use tokio_util::sync::CancellationToken;

use crate::Sizes;
use crate::event_store::{Cluster, CopyFormat, EventStore};
use crate::filled_log::{FilledLog, Filling};
use crate::process::Folder;
use crate::report::{Goal, Report, Series};

/// How often the drain is looked at: far below what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Rows a second, one value a round.
#[derive(Default)]
struct Rates {
    four: Series,
    one: Series,
    all_copies: Series,
    few_copies: Series,
    text: Series,
    binary: Series,
}

/// The logs to drain.
struct Logs {
    four: FilledLog,
    /// The same events in another log.
    four_again: FilledLog,
    one: FilledLog,
    few_copies: FilledLog,
}

pub async fn measure(sizes: &Sizes, report: &mut Report) {
    eprintln!("capture");
    let folder = Folder::new();
    let logs = Logs::make(&folder, sizes.capture_events).await;
    let mut cluster = Cluster::start(&folder.path().join("data")).await;
    let mut rates = Rates::default();
    for _ in 0..sizes.rounds {
        round(&mut cluster, &logs, &folder, &mut rates).await;
    }
    cluster.stop().await;
    rates.report(report);
}

impl Logs {
    async fn make(folder: &Folder, events: usize) -> Self {
        let make = async |name: &str, partitions, duplicates| {
            let filling = Filling {
                events,
                partitions,
                duplicates,
            };
            FilledLog::make(&folder.path().join(name), filling).await
        };
        Self {
            four: make("four", 4, 0).await,
            four_again: make("four-again", 4, 0).await,
            one: make("one", 1, 0).await,
            few_copies: make("few-copies", 4, 1).await,
        }
    }
}

async fn round(cluster: &mut Cluster, logs: &Logs, folder: &Folder, rates: &mut Rates) {
    let (text, binary) = (folder.path().join("rows.text"), folder.path().join("rows.binary"));
    let store = cluster.event_store().await;
    rates.four.push(drain(&logs.four, &store).await);
    let rows = store.rows().await;
    assert_eq!(rows, logs.four.records().await);
    if !text.exists() {
        cluster.copy(&store, "to", &text, CopyFormat::Text);
        cluster.copy(&store, "to", &binary, CopyFormat::Binary);
    }
    cluster.settle().await;
    rates.all_copies.push(drain(&logs.four_again, &store).await);
    assert_eq!(store.rows().await, rows);
    cluster.drop(store).await;

    for (file, format) in [(&text, CopyFormat::Text), (&binary, CopyFormat::Binary)] {
        let store = cluster.event_store().await;
        let took = cluster.copy(&store, "from", file, format);
        assert_eq!(store.rows().await, rows);
        cluster.drop(store).await;
        let series = match format {
            CopyFormat::Text => &mut rates.text,
            CopyFormat::Binary => &mut rates.binary,
        };
        series.push(rows as f64 / took.as_secs_f64());
    }

    for (log, series) in [
        (&logs.one, &mut rates.one),
        (&logs.few_copies, &mut rates.few_copies),
    ] {
        let store = cluster.event_store().await;
        series.push(drain(log, &store).await);
        cluster.drop(store).await;
    }
}

/// Runs capture from nothing until the log is stored; returns records a second.
async fn drain(filled: &FilledLog, store: &EventStore) -> f64 {
    let status = Status::default();
    let capture = Capture {
        log: filled.log.clone(),
        pool: pool::connect(store.config.clone(), filled.log.partitions() as usize + 2),
        database: store.config.clone(),
        clock: filled.clock.clone(),
        health: Health::default(),
        config: config::Capture::default(),
        backdate_from: config::Ingest::default().backdate_from,
        owner: "bench".to_owned(),
        name: "bench".to_owned(),
        status: status.clone(),
        shutdown_deadline: Duration::from_secs(30),
    };
    let health = capture.health.clone();
    let records = filled.records().await;
    let token = CancellationToken::new();
    let began = Instant::now();
    let running = tokio::spawn(capture.run(token.clone()));
    loop {
        let stored: i64 = status
            .snapshot()
            .values()
            .map(|partition| partition.next_offset)
            .sum();
        if stored >= records {
            break;
        }
        assert!(
            !running.is_finished() && health.faults().is_empty(),
            "{:?}",
            health.faults()
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let took = began.elapsed();
    token.cancel();
    running.await.unwrap().unwrap();
    records as f64 / took.as_secs_f64()
}

impl Rates {
    fn report(self, report: &mut Report) {
        let is_text = self.text.median() > self.binary.median();
        let (peer, name) = if is_text {
            (&self.text, "text")
        } else {
            (&self.binary, "binary")
        };
        report.add(r"psql \copy, text", self.text.clone(), "rows/s", Goal::None);
        report.add(r"psql \copy, binary", self.binary.clone(), "rows/s", Goal::None);
        report.add("capture, 4 partitions", self.four.clone(), "rows/s", Goal::None);
        report.add("capture, 1 partition", self.one.clone(), "rows/s", Goal::None);
        report.add(
            "capture, 1 % duplicates",
            self.few_copies.clone(),
            "records/s",
            Goal::None,
        );
        report.add(
            "capture, 100 % duplicates",
            self.all_copies.clone(),
            "records/s",
            Goal::None,
        );
        let ratio = |series: &Series, other| series.ratios(other);
        report.add(
            &format!(r"capture, 4 partitions ÷ \copy, {name}"),
            ratio(&self.four, peer),
            "×",
            Goal::AtLeast(0.9),
        );
        report.add(
            &format!(r"capture, 1 partition ÷ \copy, {name}"),
            ratio(&self.one, peer),
            "×",
            Goal::None,
        );
        report.add(
            "1 % duplicates ÷ none",
            ratio(&self.few_copies, &self.four),
            "×",
            Goal::None,
        );
        report.add(
            "100 % duplicates ÷ none",
            ratio(&self.all_copies, &self.four),
            "×",
            Goal::None,
        );
    }
}
