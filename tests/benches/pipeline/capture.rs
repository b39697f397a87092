//! Capture against `psql \copy` of the same rows into the same table.

use crate::Sizes;
use crate::drain::drain;
use crate::event_store::Cluster;
use crate::filled_log::{FilledLog, Filling};
use crate::process::Folder;
use crate::psql_copy::PsqlCopy;
use crate::report::{Goal, Report, Series};

/// Rows a second, one value a round.
#[derive(Default)]
struct Rates {
    four: Series,
    one: Series,
    all_copies: Series,
    few_copies: Series,
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
    let mut copy = PsqlCopy::new(&folder);
    for _ in 0..sizes.rounds {
        round(&mut cluster, &logs, &mut copy, &mut rates).await;
    }
    cluster.stop().await;
    rates.report(&copy, report);
}

impl Logs {
    async fn make(folder: &Folder, events: usize) -> Self {
        let make = async |name: &str, partitions, duplicates| {
            let filling = Filling {
                events,
                partitions,
                duplicates,
                at_once: 1,
            };
            FilledLog::embedded(&folder.path().join(name), filling).await
        };
        Self {
            four: make("four", 4, 0).await,
            four_again: make("four-again", 4, 0).await,
            one: make("one", 1, 0).await,
            few_copies: make("few-copies", 4, 1).await,
        }
    }
}

async fn round(cluster: &mut Cluster, logs: &Logs, copy: &mut PsqlCopy, rates: &mut Rates) {
    let store = cluster.event_store().await;
    rates.four.push(drain(&logs.four, &store).await);
    let rows = store.rows().await;
    assert_eq!(rows, logs.four.records().await);
    copy.take(cluster, &store).await;
    cluster.settle().await;
    rates.all_copies.push(drain(&logs.four_again, &store).await);
    assert_eq!(store.rows().await, rows);
    cluster.drop(store).await;
    copy.round(cluster).await;

    for (log, series) in [
        (&logs.one, &mut rates.one),
        (&logs.few_copies, &mut rates.few_copies),
    ] {
        let store = cluster.event_store().await;
        series.push(drain(log, &store).await);
        cluster.drop(store).await;
    }
}

impl Rates {
    fn report(self, copy: &PsqlCopy, report: &mut Report) {
        let (peer, name) = copy.faster();
        copy.report(report);
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
