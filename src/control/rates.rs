//! How fast events come and are stored, kept while it runs, so that nobody who asks has to wait.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::message::{LogStatus, Rates};
use super::server::Control;

/// Rates are over the last one to two of these: each look at Kafka's ends costs requests.
const EVERY: Duration = Duration::from_secs(5);
/// A moment after the start there is nothing to tell a rate from.
const LEAST_SECONDS: f64 = 1.0;

/// Earlier looks at what the counts of now are compared with.
#[derive(Debug, Default)]
pub struct Meter(Mutex<VecDeque<Look>>);

#[derive(Clone, Debug)]
struct Look {
    at: Instant,
    /// Of the log's partitions, where they were known.
    ends: Vec<Option<i64>>,
    /// By this process.
    stored: i64,
}

impl Look {
    fn at(log: &LogStatus) -> Self {
        let captures = log.partitions.iter().filter_map(|one| one.capture.as_ref());
        Self {
            at: Instant::now(),
            ends: log.partitions.iter().map(|one| one.end).collect(),
            stored: captures.map(|capture| capture.stored).sum(),
        }
    }

    fn rates_since(&self, before: &Self) -> Rates {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(LEAST_SECONDS);
        let ends = before.ends.iter().zip(&self.ends);
        let appended: i64 = ends.filter_map(|(before, now)| Some((*now)? - (*before)?)).sum();
        Rates {
            appended_per_second: appended as f64 / seconds,
            stored_per_second: (self.stored - before.stored) as f64 / seconds,
        }
    }
}

impl Meter {
    fn note(&self, look: Look) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.push_back(look);
        while looks.len() > 2 {
            looks.pop_front();
        }
    }

    /// `None` before the first look.
    pub(super) fn rates(&self, log: &LogStatus) -> Option<Rates> {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Look::at(log).rates_since(looks.front()?))
    }
}

impl Control {
    /// Looks at the counts now and then, until the token is cancelled.
    pub async fn keep_rates(&self, token: CancellationToken) -> Result<(), String> {
        let look = async {
            loop {
                self.meter.note(Look::at(&self.log_status().await));
                sleep(EVERY).await;
            }
        };
        token.run_until_cancelled(look).await.unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rates_count_partitions_whose_end_is_known_twice() {
        let before = Look {
            at: Instant::now(),
            ends: vec![Some(10), None, Some(5)],
            stored: 100,
        };
        // One more was added, and the last did not answer.
        let after = Look {
            at: before.at + Duration::from_secs(4),
            ends: vec![Some(50), Some(9), None, Some(3)],
            stored: 120,
        };
        let rates = after.rates_since(&before);
        assert!((rates.appended_per_second - 10.0).abs() < 1e-9, "{rates:?}");
        assert!((rates.stored_per_second - 5.0).abs() < 1e-9, "{rates:?}");
    }
}
