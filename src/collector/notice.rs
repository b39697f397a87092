use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use metrics::counter;
use tracing::warn;

use crate::broker::LogError;
use crate::event::Warning;
use crate::telemetry::metric;

/// The most placeholder values that are remembered; beyond it nothing new is logged.
const MAX_REMEMBERED: usize = 1000;

/// Logs each placeholder id of a source once, and counts unusable timestamps.
#[derive(Default)]
pub(super) struct Notices(Mutex<HashSet<(String, String)>>);

impl Notices {
    pub(super) fn take(&self, source: &str, warnings: Vec<Warning>) {
        for warning in warnings {
            match warning {
                Warning::PlaceholderId { pointer, id } => {
                    if self.is_new(source, &id) {
                        warn!(source, id, pointer, "placeholder id; it never makes an identity");
                    }
                }
                Warning::PlaceholderMessageId { id } => {
                    if self.is_new(source, &format!("messageId {id}")) {
                        warn!(
                            source,
                            id,
                            "placeholder messageId; such events get ids of their own, so that retries are stored again"
                        );
                    }
                }
                Warning::UnusableTimestamp => {
                    counter!(metric::INGEST_TIMESTAMP_UNUSABLE_TOTAL, "source" => source.to_owned())
                        .increment(1);
                }
            }
        }
    }

    /// Says once that a source sends to `/v1/import` without the right to send history.
    pub(super) fn import_without_right(&self, source: &str) {
        if self.is_new(source, "/v1/import") {
            warn!(
                source,
                "/v1/import from a source without may_backdate: its events are received now, at today's date"
            );
        }
    }

    fn is_new(&self, source: &str, id: &str) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.len() < MAX_REMEMBERED && known.insert((source.to_owned(), id.trim().to_ascii_lowercase()))
    }
}

/// Logs that the log refuses appends, once a second: a full disk refuses each request of a busy server.
#[derive(Default)]
pub(super) struct Refusals {
    silence: Mutex<Silence>,
    /// When the first of the present row of refusals was, in milliseconds; 0 while the log takes appends.
    since: AtomicI64,
}

#[derive(Default)]
struct Silence {
    said_at: Option<Timestamp>,
    /// Refusals since then.
    refused: u64,
}

impl Refusals {
    pub(super) fn take(&self, error: &LogError, now: Timestamp) {
        let _ = self
            .since
            .compare_exchange(0, now.as_millisecond(), Ordering::Relaxed, Ordering::Relaxed);
        if let Some(refused) = self.due(now) {
            warn!(%error, refused, "append refused");
        }
    }

    /// Hears that an append was taken.
    pub(super) fn end(&self) {
        // Every append comes here: a line that all workers only read costs them nothing.
        if self.since.load(Ordering::Relaxed) != 0 {
            self.since.store(0, Ordering::Relaxed);
        }
    }

    /// How long the log has refused every append.
    pub(super) fn lasted(&self, now: Timestamp) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis(now.as_millisecond().saturating_sub(since).max(0).unsigned_abs()),
        }
    }

    /// How many refusals there were since the last time that it was said, if it is time to say it again.
    fn due(&self, now: Timestamp) -> Option<u64> {
        let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        silence.refused += 1;
        let is_fresh = |at: Timestamp| now.duration_since(at).as_secs() == 0;
        if silence.said_at.is_some_and(is_fresh) {
            return None;
        }
        silence.said_at = Some(now);
        Some(std::mem::take(&mut silence.refused))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn refusals_are_said_once_a_second_with_their_number() {
        let refusals = Refusals::default();
        let at = |millis: i64| Timestamp::from_millisecond(1_764_000_000_000 + millis).unwrap();
        assert_eq!(refusals.due(at(0)), Some(1));
        assert_eq!([1, 500, 999].map(|millis| refusals.due(at(millis))), [None; 3]);
        assert_eq!(refusals.due(at(1000)), Some(4));
        assert_eq!(refusals.due(at(5000)), Some(1));
    }

    #[test]
    fn an_outage_lasts_from_its_first_refusal_to_the_next_append() {
        let refusals = Refusals::default();
        let at = |seconds: i64| Timestamp::from_second(1_764_000_000 + seconds).unwrap();
        let error = LogError::Unavailable("full".to_owned());
        assert_eq!(refusals.lasted(at(0)), Duration::ZERO);
        refusals.take(&error, at(0));
        refusals.take(&error, at(7));
        assert_eq!(refusals.lasted(at(20)), Duration::from_secs(20));
        refusals.end();
        assert_eq!(refusals.lasted(at(21)), Duration::ZERO);
    }

    #[test]
    fn a_value_is_new_once_a_source() {
        let notices = Notices::default();
        assert!(notices.is_new("web", "null"));
        assert!(!notices.is_new("web", "NULL"));
        assert!(notices.is_new("app", "null"));
        assert!(
            (0..2000)
                .filter(|n| notices.is_new("web", &n.to_string()))
                .count()
                < MAX_REMEMBERED
        );
    }
}
