//! PostgreSQL away for a while: ingest goes on, `/ready` says so, and all of it is stored afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use momsflow::embedded::{EmbeddedPostgres, Options};
use rustix::process::Signal;

use super::audit::{audit_store, drain_store};
use super::host::{Host, Settings, signal};
use super::ledger::Ledger;
use super::load::{Load, Manner};
use super::report::Report;
use super::{DRAIN_PATIENCE, TURN, seconds, seed};
use crate::support::{DataDir, connect};

const SHORT: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);

/// How PostgreSQL is away.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Stopped,
    /// It takes connections and answers nothing.
    Frozen,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingest_goes_on_while_postgresql_is_away() {
    let _turn = TURN.lock().await;
    let seed = seed();
    println!("SOAK_SEED={seed}");
    let time = if seconds(SHORT) > SHORT { LONG } else { SHORT };
    // A server of its own, as the embedded one would be restarted at once.
    let server = DataDir::new();
    let mut postgres = server.start().await;
    let url = |database: &str| {
        let (port, password) = (
            postgres.connections().port(),
            postgres.connections().owner_password().reveal(),
        );
        format!("postgres://momsflow:{password}@127.0.0.1:{port}/{database}")
    };
    let config = format!(
        "[postgres]\nevents_url = \"{}\"\nviews_url = \"{}\"",
        url("momsflow_events"),
        url("momsflow_views")
    );
    let began = Timestamp::now();
    let mut host = Host::new(&Settings {
        config,
        ..Settings::default()
    });
    let mut report = Report::new("PostgreSQL away", seed);
    host.start().await;
    let ledger = Arc::new(Ledger::default());
    let manner = Manner {
        clients: 4,
        max_batch: 100,
        pause: Duration::from_millis(60),
    };
    let load = Load::start(host.addr, Host::keys(), manner, seed, &ledger);
    load.set_duplicates(10);
    note(
        &mut report,
        host.await_ready(200, "ready", Duration::from_secs(20)).await,
        "ready at first",
    );
    for outage in [Outage::Stopped, Outage::Frozen] {
        tokio::time::sleep(Duration::from_secs(2)).await;
        match outage {
            Outage::Stopped => postgres.stop().await.unwrap(),
            Outage::Frozen => server
                .processes()
                .into_iter()
                .for_each(|pid| signal(pid, Signal::STOP)),
        }
        let begun = Instant::now();
        let before = acknowledged(&ledger);
        let unready = host.await_ready(503, "capture", time).await;
        note(&mut report, unready, &format!("{outage:?}: /ready says so after"));
        tokio::time::sleep(time.saturating_sub(begun.elapsed())).await;
        let rate = (acknowledged(&ledger) - before) as f64 / begun.elapsed().as_secs_f64();
        report.line(
            &format!("{outage:?}: acknowledged meanwhile"),
            format!("{rate:.0}/s"),
        );
        if rate < 50.0 {
            report.fault(format!(
                "{outage:?}: only {rate:.0} events/s were acknowledged meanwhile"
            ));
        }
        match outage {
            Outage::Stopped => postgres = EmbeddedPostgres::start(again(&server, &postgres)).await.unwrap(),
            Outage::Frozen => server
                .processes()
                .into_iter()
                .for_each(|pid| signal(pid, Signal::CONT)),
        }
        let back = host.await_ready(200, "ready", Duration::from_secs(30)).await;
        note(&mut report, back, &format!("{outage:?}: ready again after"));
    }
    load.finish().await;
    report.load(&ledger);
    let store = connect(&postgres.events_config()).await.unwrap();
    match drain_store(&host, &store, DRAIN_PATIENCE).await {
        Ok(waited) => report.line("drained after", format!("{waited:.1?}")),
        Err(reason) => report.fault(reason),
    }
    if ledger.book().answers.keys().any(|status| *status >= 500) {
        report.fault("requests were refused although the log could take them");
    }
    report.findings(&audit_store(&store, &ledger, began).await);
    if !host
        .terminate(Duration::from_secs(40))
        .await
        .is_some_and(|status| status.success())
    {
        report.fault("it did not stop cleanly");
    }
    postgres.stop().await.unwrap();
    report.conclude(host);
}

fn again(server: &DataDir, postgres: &EmbeddedPostgres) -> Options {
    Options {
        port: postgres.connections().port(),
        ..server.options()
    }
}

fn acknowledged(ledger: &Ledger) -> usize {
    ledger
        .book()
        .events
        .values()
        .filter(|entry| entry.is_acknowledged)
        .count()
}

fn note(report: &mut Report, outcome: Result<Duration, String>, what: &str) {
    match outcome {
        Ok(waited) => report.line(what, format!("{waited:.1?}")),
        Err(reason) => report.fault(format!("{what}: {reason}")),
    }
}
