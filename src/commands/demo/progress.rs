use std::cell::RefCell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two lines of progress, and two that name the same reason, where there is no terminal.
const EVERY: Duration = Duration::from_secs(3);
const SAME: Duration = Duration::from_secs(30);

/// Tells people how far it is and what it waits for: by a bar on a terminal, elsewhere by a line now and then.
pub(super) struct Progress {
    bar: ProgressBar,
    began: Instant,
    said: RefCell<Said>,
}

struct Said {
    at: Instant,
    reason: String,
    reason_at: Instant,
}

impl Progress {
    /// `length` is in milliseconds of the world's time; `None` for a run without an end.
    pub(super) fn new(length: Option<u64>) -> Self {
        let (bar, style) = match length {
            Some(length) => (ProgressBar::new(length), "{bar:30} {percent}% {msg} eta {eta}"),
            None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self {
            bar,
            began: now,
            said: RefCell::new(Said {
                at: now,
                reason: String::new(),
                reason_at: now,
            }),
        }
    }

    /// Shows how far it is.
    pub(super) fn reach(&self, place: u64, events: u64) {
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        let message = format!("{events} events, {:.0} a second", events as f64 / seconds);
        self.bar.set_position(place);
        if !self.bar.is_hidden() {
            self.bar.set_message(message);
            return;
        }
        let mut said = self.said.borrow_mut();
        if said.at.elapsed() >= EVERY {
            said.at = Instant::now();
            match self.bar.length() {
                Some(length) => eprintln!("{}%: {message}", place * 100 / length.max(1)),
                None => eprintln!("{message}"),
            }
        }
    }

    /// Says why it does not go on.
    pub(super) fn wait(&self, reason: &str) {
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("waits: {reason}"));
            return;
        }
        let mut said = self.said.borrow_mut();
        if said.reason != reason || said.reason_at.elapsed() >= SAME {
            reason.clone_into(&mut said.reason);
            said.reason_at = Instant::now();
            eprintln!("waiting: {reason}");
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
