//! What became of hits, by metrics.

use metrics::counter;

use crate::telemetry::metric;
use crate::userprint::State;

/// What became of a hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Durable, before the answer.
    Logged,
    /// The answer could not wait; see `momsflow_pixel_late_total` for the end of it.
    Unsure,
    /// Not logged because there is no room or no log now.
    Shed(&'static str),
    /// Not logged because of what it is.
    Refused(&'static str),
}

/// Counts a hit once its outcome is known.
pub(super) fn count(state: State, outcome: &Outcome) {
    let (word, reason) = match outcome {
        Outcome::Logged => ("logged", None),
        Outcome::Unsure => ("unsure", None),
        Outcome::Shed(reason) => ("shed", Some(*reason)),
        Outcome::Refused(reason) => ("refused", Some(*reason)),
    };
    counter!(metric::PIXEL_HITS_TOTAL, "state" => state.as_str(), "outcome" => word).increment(1);
    if let Some(reason) = reason {
        counter!(metric::PIXEL_UNLOGGED_TOTAL, "reason" => reason).increment(1);
    }
}

/// Counts the end of a hit that was unsure.
pub(super) fn count_late(outcome: &Outcome) {
    let word = match outcome {
        Outcome::Logged => "logged",
        _ => "lost",
    };
    counter!(metric::PIXEL_LATE_TOTAL, "outcome" => word).increment(1);
}
