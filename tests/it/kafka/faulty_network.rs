//! A network between momsflow and Kafka that hangs, cuts and delays in the middle of requests.

use std::time::{Duration, Instant};

use momsflow::broker::EventLog;

use super::load::{Load, acknowledged_again};
use super::serving::toml;
use super::tcp_proxy::{Direction, Fault, proxied};
use super::{open, record, until_appended};
use crate::log_contract::fetch_all;
use crate::serve::{PATIENCE, Serve, until};

const FAULTS: [Fault; 3] = [
    Fault::Hang(Direction::Answers),
    Fault::Hang(Direction::Requests),
    Fault::Cut,
];

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_get_no_answer_are_given_up_and_made_again_in_time() {
    let Some((_broker, proxy, config)) = proxied().await else {
        return;
    };
    let log = open(&config).await;
    log.append(0, vec![record("k", "before")]).await.unwrap();
    fetch_all(&*log, 0, 0).await;
    let mut in_time = 0;
    for (number, fault) in FAULTS.into_iter().enumerate() {
        proxy.strike(fault);
        let began = Instant::now();
        let append = async {
            let appended = log
                .append(0, vec![record("k", &format!("struck {number}"))])
                .await;
            let took = began.elapsed();
            if let Err(refused) = &appended {
                // The machine is busy, and patience ended: the caller comes again.
                println!("{refused}");
                until_appended(&log, &format!("struck {number}")).await;
            }
            (appended.is_ok(), took)
        };
        let fetch = async {
            // Capture tries again after a failure, as here.
            while log.fetch(0, 0, 1 << 20, Duration::ZERO).await.is_err() {}
            began.elapsed()
        };
        let ((appended, after_append), after_fetch) = tokio::join!(append, fetch);
        println!(
            "{fault:?}: appended after {after_append:.1?} ({appended}), fetched after {after_fetch:.1?}"
        );
        assert!(after_append < PATIENCE && after_fetch < PATIENCE, "{fault:?}");
        in_time += usize::from(appended);
        if fault != Fault::Cut {
            // Else nothing hung, and this has shown nothing.
            let hung = Duration::from_secs(5);
            assert!(after_append > hung && after_fetch > hung, "{fault:?}");
        }
    }
    assert!(in_time > 0, "no call was made again in time");
    let read = fetch_all(&*log, 0, 0).await;
    for number in 0..FAULTS.len() {
        // Twice where only the answer was lost, and the second try wrote again.
        let is_there = read
            .iter()
            .any(|record| record.value == format!("struck {number}"));
        assert!(is_there, "struck {number}");
    }
    until("the log is healthy", async || log.health().is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_network_under_load_loses_nothing_and_doubles_nothing() {
    let Some((_broker, proxy, config)) = proxied().await else {
        return;
    };
    let mut serve = Serve::start(&toml(&config)).await;
    let load = Load::start(&serve, 4);
    for fault in FAULTS.into_iter().chain([Fault::Cut]) {
        tokio::time::sleep(Duration::from_secs(2)).await;
        proxy.strike(fault);
        let began = Instant::now();
        acknowledged_again(&serve).await;
        println!("{fault:?}: acknowledged again after {:.1?}", began.elapsed());
        proxy.delay(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Some are struck while others are on their slow way.
        proxy.strike(Fault::Cut);
        proxy.delay(Duration::ZERO);
        acknowledged_again(&serve).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    load.end_and_compare(&mut serve).await;
    serve.stop().await;
}
