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
use crate::serve::{PATIENCE, until};
use crate::support::{DataDir, connect};

const SHORT: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);
/// Events that show that ingest goes on.
const SOME: usize = 200;

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
    // A server of its own, as the embedded one would be restarted at once.
    let server = DataDir::new();
    let mut postgres = server.start().await;
    let began = Timestamp::now();
    let mut host = Host::new(&settings(&postgres));
    let mut report = Report::new("PostgreSQL away", seed);
    host.start().await;
    let ledger = Arc::new(Ledger::default());
    let manner = Manner {
        clients: 4,
        max_batch: 100,
        pause: Duration::from_millis(60),
    };
    let load = Load::start(&[host.addr], Host::keys(), manner, seed, &ledger);
    load.set_duplicates(10);
    report.waited("ready at first", host.await_ready(200, "ready", PATIENCE).await);
    for outage in [Outage::Stopped, Outage::Frozen] {
        tokio::time::sleep(Duration::from_secs(2)).await;
        match outage {
            Outage::Stopped => postgres.stop().await.unwrap(),
            Outage::Frozen => signal_all(&server, Signal::STOP),
        }
        endure(outage, &host, &ledger, &mut report).await;
        match outage {
            Outage::Stopped => postgres = EmbeddedPostgres::start(again(&server, &postgres)).await.unwrap(),
            Outage::Frozen => signal_all(&server, Signal::CONT),
        }
        let back = host.await_ready(200, "ready", PATIENCE).await;
        report.waited(&format!("{outage:?}: ready again after"), back);
    }
    load.finish().await;
    report.load(&ledger);
    let store = connect(&postgres.events_config()).await.unwrap();
    report.drained(drain_store(&host, &store, DRAIN_PATIENCE).await);
    if ledger.book().answers.keys().any(|status| *status >= 500) {
        report.fault("requests were refused although the log could take them");
    }
    report.findings(&audit_store(&store, &ledger.close(), began).await);
    let stop = host.terminate(Duration::from_secs(40)).await;
    if !stop.is_some_and(|status| status.success()) {
        report.fault(format!("a clean stop ended with {stop:?}"));
    }
    postgres.stop().await.unwrap();
    report.conclude([host]);
}

fn settings(postgres: &EmbeddedPostgres) -> Settings {
    let connections = postgres.connections();
    let (port, password) = (connections.port(), connections.owner_password().reveal());
    let url = |database| format!("postgres://momsflow:{password}@127.0.0.1:{port}/{database}");
    let (events, views) = (url("momsflow_events"), url("momsflow_views"));
    Settings {
        config: format!("[postgres]\nevents_url = \"{events}\"\nviews_url = \"{views}\""),
        ..Settings::default()
    }
}

/// Lets the outage last, and looks whether ingest goes on and `/ready` says what is the matter.
async fn endure(outage: Outage, host: &Host, ledger: &Ledger, report: &mut Report) {
    let time = if seconds(SHORT) > SHORT { LONG } else { SHORT };
    let (begun, before) = (Instant::now(), acknowledged(ledger));
    let unready = host.await_ready(503, "capture", PATIENCE).await;
    report.waited(&format!("{outage:?}: /ready says so after"), unready);
    let unready_at = acknowledged(ledger);
    until(&format!("{outage:?}: ingest goes on"), async || {
        acknowledged(ledger) >= unready_at + SOME
    })
    .await;
    tokio::time::sleep(time.saturating_sub(begun.elapsed())).await;
    let rate = (acknowledged(ledger) - before) as f64 / begun.elapsed().as_secs_f64();
    report.line(
        &format!("{outage:?}: acknowledged meanwhile"),
        format!("{rate:.0}/s"),
    );
}

fn again(server: &DataDir, postgres: &EmbeddedPostgres) -> Options {
    Options {
        port: postgres.connections().port(),
        ..server.options()
    }
}

fn signal_all(server: &DataDir, which: Signal) {
    for pid in server.processes() {
        signal(pid, which);
    }
}

fn acknowledged(ledger: &Ledger) -> usize {
    let book = ledger.book();
    book.events.values().filter(|entry| entry.is_acknowledged).count()
}
