//! What a fit says of itself: one row of `model_run`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::scoring::Bin;
use super::{REQUIRED_DAYS, Window};

/// What a score is the value of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Mean −ln of the probability of what happened; lower is better.
    LogLoss,
    /// How much nearer people are to their own segment than to the next, from −1 to 1; higher is better.
    Silhouette,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LogLoss => "log loss",
            Self::Silhouette => "silhouette",
        })
    }
}

/// How well people were described that the fit did not see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub measure: Measure,
    pub value: f64,
    /// How many people it was measured on.
    pub people: u64,
    /// Further measures by name: `brier`, `auc`, `predicted` and `observed` (people).
    pub further: BTreeMap<String, f64>,
}

impl Score {
    fn beats(&self, other: &Self) -> bool {
        match self.measure {
            Measure::LogLoss => self.value < other.value,
            Measure::Silhouette => self.value > other.value,
        }
    }
}

/// A fit: what it was made of, what came out, and whether it is good enough to be shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub model: String,
    pub window: Window,
    pub seed: u64,
    /// How many people there were.
    pub people: u64,
    /// How many of them the parameters come from: fewer where a sample was taken.
    pub people_fitted: u64,
    pub parameters: BTreeMap<String, f64>,
    /// On people, or days, that were held out.
    pub score: Option<Score>,
    /// The baseline's score on the same.
    pub baseline: Option<Score>,
    /// Predicted against observed frequency of what was held out; empty for segments.
    pub reliability: Vec<Bin>,
    pub published: bool,
    /// Why it is published or not, in words.
    pub reason: String,
}

/// A report, and the model where it is published.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted<M> {
    pub report: Report,
    pub model: Option<M>,
}

impl Report {
    pub(super) fn new(model: &str, window: Window, seed: u64, people: u64) -> Self {
        Self {
            model: model.to_owned(),
            window,
            seed,
            people,
            people_fitted: 0,
            parameters: BTreeMap::new(),
            score: None,
            baseline: None,
            reliability: Vec::new(),
            published: false,
            reason: String::new(),
        }
    }

    /// What is waited for, if anything: days first, then people.
    pub(super) fn lack(window: Window, people: u64, required: u64) -> Option<String> {
        match window.days() {
            days if days < REQUIRED_DAYS => Some(format!("waiting: {days} of {REQUIRED_DAYS} days")),
            _ if people < required => Some(format!("waiting: {people} of {required} people")),
            _ => None,
        }
    }

    pub(super) fn unpublished<M>(mut self, reason: impl Into<String>) -> Fitted<M> {
        self.reason = reason.into();
        Fitted {
            report: self,
            model: None,
        }
    }

    /// Publishes the model if it beats its baseline.
    pub(super) fn judged<M>(mut self, model: M, score: Score, baseline: Score) -> Fitted<M> {
        self.published = score.beats(&baseline);
        let verdict = match self.published {
            true => "beats its baseline",
            false => "does not beat its baseline",
        };
        self.reason = format!(
            "{verdict}: {} {:.4} against {:.4} on {} people held out",
            score.measure, score.value, baseline.value, score.people
        );
        self.score = Some(score);
        self.baseline = Some(baseline);
        let model = self.published.then_some(model);
        Fitted { report: self, model }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(measure: Measure, value: f64) -> Score {
        Score {
            measure,
            value,
            people: 10,
            further: BTreeMap::new(),
        }
    }

    fn judged(measure: Measure, value: f64, baseline: f64) -> Fitted<()> {
        let report = Report::new("m", Window { first: 0, last: 99 }, 0, 10);
        report.judged((), score(measure, value), score(measure, baseline))
    }

    #[test]
    fn only_what_beats_its_baseline_is_published() {
        for (measure, better, worse) in [(Measure::LogLoss, 0.1, 0.2), (Measure::Silhouette, 0.2, 0.1)] {
            assert_eq!(judged(measure, better, worse).model, Some(()));
            for value in [worse, f64::NAN] {
                assert_eq!(judged(measure, value, better).model, None);
                assert!(!judged(measure, value, better).report.published);
            }
            assert_eq!(
                judged(measure, better, better).model,
                None,
                "as good is not better"
            );
        }
        let reason = judged(Measure::LogLoss, 0.2, 0.1).report.reason;
        assert_eq!(
            reason,
            "does not beat its baseline: log loss 0.2000 against 0.1000 on 10 people held out"
        );
    }

    #[test]
    fn what_is_lacking_is_said_in_words() {
        let window = |last| Window { first: 1, last };
        let lack = Report::lack;
        assert_eq!(
            lack(window(9), 1_000, 200).as_deref(),
            Some("waiting: 9 of 56 days")
        );
        assert_eq!(
            lack(window(56), 150, 200).as_deref(),
            Some("waiting: 150 of 200 people")
        );
        assert_eq!(lack(window(56), 200, 200), None);
    }
}
