//! From days with a visit to a model that is published, or not.

use std::collections::BTreeMap;

use super::{Histogram, History, Likelihood, Params, fit};
use crate::models::scoring::{Scored, reliability, score};
use crate::models::{Day, Fitted, Fold, HORIZON_DAYS, Rank, Report, Table, Window};

/// Distinct histories to hold at the most; some 50 bytes each, twice.
const CAPACITY: usize = 1_000_000;
const REQUIRED_PEOPLE: u64 = 200;

/// A history up to the cut, whose part the person is in, and whether they came in the days that are held out.
type Outcome = (History, Fold, bool);

/// Takes people's days and fits the model to them.
#[derive(Clone, Debug)]
pub struct Trainer {
    window: Window,
    seed: u64,
    people: u64,
    whole: Histogram<History>,
    held_out: Histogram<Outcome>,
}

impl Trainer {
    pub fn new(window: Window, seed: u64) -> Self {
        Self {
            window,
            seed,
            people: 0,
            whole: Histogram::new(CAPACITY),
            held_out: Histogram::new(CAPACITY),
        }
    }

    /// Adds a person by the ascending days on which they were seen. Each person is to come once, in any order.
    pub fn add(&mut self, person: &str, days: &[Day]) {
        let Some(history) = History::of(days, self.window.last) else {
            return;
        };
        let rank = Rank::of(self.seed, person);
        self.people += 1;
        self.whole.add(rank, history);
        if let Some(before) = History::of(days, self.window.cut()) {
            let returned = history.repeats > before.repeats;
            self.held_out.add(rank, (before, rank.fold(), returned));
        }
    }

    pub fn finish(self) -> Fitted<Params> {
        let report = Report::new("bg_nbd", self.window, self.seed, self.people);
        let outcomes = self.held_out.into_counts();
        if let Some(lack) = Report::lack(self.window, outcomes.values().sum(), REQUIRED_PEOPLE) {
            return report.unpublished(lack);
        }
        fitted(report, &Likelihood::of(&self.whole.into_counts()), &outcomes)
    }
}

/// Scores a fit of the days before the cut on those behind it; the parameters come from all days.
fn fitted(mut report: Report, whole: &Likelihood, outcomes: &BTreeMap<Outcome, u64>) -> Fitted<Params> {
    let mut before = BTreeMap::new();
    for ((history, ..), people) in outcomes {
        *before.entry(*history).or_default() += people;
    }
    let (params, params_before) = match (fit(whole), fit(&Likelihood::of(&before))) {
        (Ok(params), Ok(before)) => (params, before),
        (Err(error), _) | (_, Err(error)) => return report.unpublished(format!("not fitted: {error}")),
    };
    let Params { r, alpha, a, b } = params;
    report.parameters = [("r", r), ("alpha", alpha), ("a", a), ("b", b)]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    report.people_fitted = whole.people();
    let by_model = scored(outcomes, |history, _| {
        params_before.return_probability(history, HORIZON_DAYS)
    });
    report.reliability = reliability(&by_model);
    let baselines = baselines(outcomes);
    let by_baseline = scored(outcomes, |history, fold| {
        baselines[fold.index()].rate(history.silence(), history.active_days())
    });
    report.judged(params, score(&by_model), score(&by_baseline))
}

/// For each part of the people, a table of all the others.
fn baselines(outcomes: &BTreeMap<Outcome, u64>) -> [Table; Fold::COUNT] {
    let mut tables: [Table; Fold::COUNT] = Default::default();
    for ((history, fold, returned), people) in outcomes {
        for (part, table) in tables.iter_mut().enumerate() {
            if part != fold.index() {
                table.add(history.silence(), history.active_days(), *returned, *people);
            }
        }
    }
    tables
}

fn scored(outcomes: &BTreeMap<Outcome, u64>, probability: impl Fn(History, Fold) -> f64) -> Vec<Scored> {
    let scored = outcomes.iter().map(|((history, fold, returned), people)| Scored {
        probability: probability(*history, *fold),
        happened: *returned,
        people: *people,
    });
    scored.collect()
}
