use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two lines that say the same.
const SAME: Duration = Duration::from_secs(30);
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(3);

/// Tells people how far an import is and what it waits for: by a bar on a terminal, elsewhere by a line now and then.
pub(in crate::commands) struct Meter {
    bar: ProgressBar,
    unit: &'static str,
    said: Said,
    began: Instant,
    /// Where this run of the import began.
    from: Option<Place>,
}

/// How far the file was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) byte: u64,
}

impl Meter {
    pub(in crate::commands) fn new(bytes: u64, unit: &'static str) -> Self {
        let bar = ProgressBar::new(bytes);
        let style = ProgressStyle::with_template("{bar:30} {percent}% {bytes_per_sec} {msg} eta {eta}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self {
            bar,
            unit,
            said: Said::default(),
            began: Instant::now(),
            from: None,
        }
    }

    /// Shows how far it is.
    pub(super) fn reach(&mut self, place: Place, done: &str) {
        let from = *self.from.get_or_insert(place);
        self.bar.set_position(place.byte);
        self.bar.set_message(done.to_owned());
        if self.is_on_terminal() || !self.said.progress_is_due(self.began, Instant::now()) {
            return;
        }
        let seconds = self.began.elapsed().as_secs_f64();
        let total = self.bar.length().unwrap_or_default();
        let percent = place.byte * 100 / total.max(1);
        let lines = (place.line - from.line) as f64 / seconds;
        let bytes = (place.byte - from.byte) as f64 / seconds;
        let left = match total.saturating_sub(place.byte) as f64 / bytes {
            left if left.is_finite() => format!(", {left:.0} s left"),
            _ => String::new(),
        };
        eprintln!(
            "{percent}%: {} {}, {done}, {lines:.0} {}s/s{left}",
            self.unit, place.line, self.unit
        );
    }

    /// Says why it does not go on.
    pub(in crate::commands) fn wait(&mut self, reason: &str) {
        if self.is_on_terminal() {
            self.bar.set_message(format!("waits: {reason}"));
        } else if self.said.is_news(reason, Instant::now()) {
            eprintln!("waiting: {reason}");
        }
    }

    /// Says how many events of the log are not stored yet.
    pub(super) fn settle(&mut self, pending: i64) {
        if self.said.progress_is_due(self.began, Instant::now()) {
            eprintln!("all is sent, {pending} records of the log wait to be stored");
        }
    }

    /// Prints a line beside the bar.
    pub(super) fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Takes the bar away.
    pub(in crate::commands) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn is_on_terminal(&self) -> bool {
        !self.bar.is_hidden() && !self.bar.is_finished()
    }
}

/// What was said last, and when.
#[derive(Debug, Default)]
struct Said {
    reason: Option<(String, Instant)>,
    progress: Option<Instant>,
}

impl Said {
    fn is_news(&mut self, reason: &str, now: Instant) -> bool {
        let is_news = self
            .reason
            .as_ref()
            .is_none_or(|(last, at)| last != reason || now.duration_since(*at) >= SAME);
        if is_news {
            self.reason = Some((reason.to_owned(), now));
        }
        is_news
    }

    /// A short import says nothing.
    fn progress_is_due(&mut self, began: Instant, now: Instant) -> bool {
        let is_due = now.duration_since(self.progress.unwrap_or(began)) >= PROGRESS;
        if is_due {
            self.progress = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_now_and_then_and_another_reason_at_once() {
        let mut said = Said::default();
        let start = Instant::now();
        assert!(said.is_news("disk full", start));
        assert!(!said.is_news("disk full", start + SAME / 2));
        assert!(said.is_news("too slow", start + SAME / 2));
        assert!(said.is_news("too slow", start + SAME * 2));
    }

    #[test]
    fn progress_is_said_every_few_seconds() {
        let mut said = Said::default();
        let start = Instant::now();
        let due: Vec<_> = (0..=80u32)
            .filter(|tenth| said.progress_is_due(start, start + Duration::from_millis(100) * *tenth))
            .collect();
        assert_eq!(due, [30, 60]);
    }
}
