use std::time::{Duration, Instant};

use indicatif::ProgressBar;

/// Between two lines that say the same.
const INTERVAL: Duration = Duration::from_secs(30);

/// Tells people what an import waits for: on a terminal always, elsewhere by a line now and then.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    told: Option<(String, Instant)>,
}

impl Waiting {
    pub(super) fn tell(&mut self, bar: &ProgressBar, reason: &str) {
        if bar.is_hidden() || bar.is_finished() {
            if self.is_due(reason, Instant::now()) {
                eprintln!("waiting: {reason}");
            }
        } else {
            bar.set_message(format!("waits: {reason}"));
        }
    }

    fn is_due(&mut self, reason: &str, now: Instant) -> bool {
        let is_due = self
            .told
            .as_ref()
            .is_none_or(|(last, at)| last != reason || now.duration_since(*at) >= INTERVAL);
        if is_due {
            self.told = Some((reason.to_owned(), now));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_now_and_then_and_another_reason_at_once() {
        let mut waiting = Waiting::default();
        let start = Instant::now();
        assert!(waiting.is_due("disk full", start));
        assert!(!waiting.is_due("disk full", start + INTERVAL / 2));
        assert!(waiting.is_due("too slow", start + INTERVAL / 2));
        assert!(waiting.is_due("too slow", start + INTERVAL * 2));
    }
}
