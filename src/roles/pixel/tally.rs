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

/// Counts hits once their outcomes are known.
pub(super) fn count<'a>(hits: impl IntoIterator<Item = (State, &'a Outcome)>) {
    // The hits of a batch are of few kinds, and to find a counter takes longer than to count.
    let mut kinds: Vec<((State, &Outcome), u64)> = Vec::new();
    for hit in hits {
        match kinds.iter_mut().find(|(kind, _)| *kind == hit) {
            Some((_, number)) => *number += 1,
            None => kinds.push((hit, 1)),
        }
    }
    for ((state, outcome), number) in kinds {
        count_kind(state, outcome, number);
    }
}

/// Counts one hit.
pub(super) fn count_one(state: State, outcome: &Outcome) {
    count_kind(state, outcome, 1);
}

fn count_kind(state: State, outcome: &Outcome, number: u64) {
    let (word, reason) = match outcome {
        Outcome::Logged => ("logged", None),
        Outcome::Unsure => ("unsure", None),
        Outcome::Shed(reason) => ("shed", Some(*reason)),
        Outcome::Refused(reason) => ("refused", Some(*reason)),
    };
    counter!(metric::PIXEL_HITS_TOTAL, "state" => state.as_str(), "outcome" => word).increment(number);
    if let Some(reason) = reason {
        counter!(metric::PIXEL_UNLOGGED_TOTAL, "reason" => reason).increment(number);
    }
}

/// Counts the ends of hits that were unsure.
pub(super) fn count_late(outcomes: &[Outcome]) {
    for outcome in outcomes {
        let word = match outcome {
            Outcome::Logged => "logged",
            _ => "lost",
        };
        counter!(metric::PIXEL_LATE_TOTAL, "outcome" => word).increment(1);
    }
}
