//! What waits, for metrics and status: events for being stored, dead letters for somebody who looks at them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use metrics::gauge;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Capture, PartitionState};
use crate::store::dead_letters::count_waiting;
use crate::telemetry::metric;

const LOOK_AT_LOG_EVERY: Duration = Duration::from_secs(5);
const COUNT_EVERY: Duration = Duration::from_secs(15);
/// Counting takes at most so large a part of the time, where there are millions.
const COUNT_SHARE: u32 = 20;

/// Shows how long the oldest event of each partition waits, until the token is cancelled.
pub(super) async fn show_ages(capture: Capture, token: CancellationToken) -> Result<(), String> {
    while !passed(LOOK_AT_LOG_EVERY, &token).await {
        join_all((0..capture.log.partitions()).map(|partition| show_age(&capture, partition))).await;
    }
    Ok(())
}

async fn show_age(capture: &Capture, partition: i32) {
    let oldest = oldest(capture, partition).await;
    let waits = oldest.map_or(0.0, |oldest| {
        capture.clock.now().duration_since(oldest).as_secs_f64()
    });
    gauge!(metric::CAPTURE_LAG_SECONDS, "partition" => partition.to_string()).set(waits.max(0.0));
    capture
        .status
        .update(partition, |status| status.oldest_waiting_at = oldest);
}

/// When the first record was appended that is not stored; `None` where all is stored, or another host has the partition.
async fn oldest(capture: &Capture, partition: i32) -> Option<Timestamp> {
    let status = capture.status.snapshot().remove(&partition)?;
    let range = capture.log.offsets(partition).await.ok()?;
    let next = status.next_offset.max(range.earliest);
    if status.state == PartitionState::Standby || next >= range.end {
        return None;
    }
    match capture.log.appended_at(partition, next).await {
        Ok(appended_at) => appended_at,
        // Its age grows on meanwhile.
        Err(_) => status.oldest_waiting_at,
    }
}

/// Counts the dead letters that wait, until the token is cancelled.
pub(super) async fn count_dead_letters(capture: Capture, token: CancellationToken) -> Result<(), String> {
    let mut shown: BTreeMap<String, i64> = BTreeMap::new();
    loop {
        let begun = Instant::now();
        match count(&capture).await {
            Ok(counts) => {
                // A reason of which none waits any more is 0 from now on.
                shown.values_mut().for_each(|waiting| *waiting = 0);
                shown.extend(counts.clone());
                for (code, waiting) in &shown {
                    gauge!(metric::DEAD_LETTERS_WAITING, "code" => code.clone()).set(*waiting as f64);
                }
                capture.status.set_dead_letters(counts);
            }
            Err(reason) => debug!(reason, "dead letters cannot be counted"),
        }
        if passed(COUNT_EVERY.max(begun.elapsed() * COUNT_SHARE), &token).await {
            return Ok(());
        }
    }
}

async fn count(capture: &Capture) -> Result<BTreeMap<String, i64>, String> {
    let client = capture.pool.get().await.map_err(|error| error.to_string())?;
    count_waiting(&client).await.map_err(|error| error.to_string())
}

/// Waits; true when it shall end.
async fn passed(wait: Duration, token: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(wait) => false,
        () = token.cancelled() => true,
    }
}
