//! Showing how far a partition is and how it goes: in status, metrics and health.

use std::time::Duration;

use metrics::gauge;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::super::PartitionState;
use super::super::trouble::Trouble;
use super::Worker;
use crate::telemetry::metric;

/// How often the log is asked for its end: that may take requests to another host.
const END_EVERY: Duration = Duration::from_millis(500);

impl Worker {
    pub(super) async fn show_place(&mut self, next_offset: i64) {
        self.capture.status.update(self.partition, |status| {
            status.advance(next_offset);
            self.gauge_lag(status.lag);
        });
        if self
            .end_asked_at
            .is_none_or(|asked_at| asked_at.elapsed() >= END_EVERY)
        {
            self.end_asked_at = Some(Instant::now());
            self.show_lag().await;
        }
    }

    /// Also while PostgreSQL is away, when it matters.
    pub(super) async fn show_lag(&self) {
        let Ok(range) = self.capture.log.offsets(self.partition).await else {
            return;
        };
        self.capture.status.update(self.partition, |status| {
            status.lag = (range.end - status.next_offset.max(range.earliest)).max(0);
            self.gauge_lag(status.lag);
        });
    }

    fn gauge_lag(&self, lag: i64) {
        let gauge = match self.is_draining {
            true => metric::FORMER_LOG_RECORDS,
            false => metric::CAPTURE_LAG_RECORDS,
        };
        gauge!(gauge, "partition" => self.partition.to_string()).set(lag as f64);
    }

    pub(super) fn report(&self, trouble: &Trouble) {
        let partition = self.partition;
        match trouble {
            Trouble::Fenced => {
                info!(partition, "lost the partition to another owner");
                self.set_state(PartitionState::Standby, None);
            }
            Trouble::Transient(reason) | Trouble::LogAway(reason) => {
                warn!(partition, reason, "capture waits and tries again");
                self.set_state(PartitionState::Retrying, Some(reason));
            }
            Trouble::Paused(reason) => {
                error!(partition, reason, "capture is paused, nothing is lost");
                self.set_state(PartitionState::Paused, Some(reason));
            }
        }
    }

    /// Its name in the health of the process.
    pub(super) fn part(&self) -> String {
        let of = if self.is_draining {
            " of the former log"
        } else {
            ""
        };
        format!("capture of partition {}{of}", self.partition)
    }

    pub(super) fn set_state(&self, state: PartitionState, reason: Option<&String>) {
        let part = self.part();
        match reason {
            Some(reason) if state == PartitionState::Paused => {
                self.capture.health.fail(&part, format!("paused: {reason}"));
            }
            Some(reason) => self.capture.health.fail(&part, reason.as_str()),
            None => self.capture.health.recover(&part),
        }
        self.capture.status.update(self.partition, |status| {
            status.state = state;
            if let Some(reason) = reason {
                status.last_error = Some(reason.clone());
                status.last_error_at = Some(self.capture.clock.now());
            }
        });
    }
}
