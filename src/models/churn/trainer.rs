//! From people's days to a model that is published, or not.

use std::collections::BTreeMap;

use super::{COUNT, DayActivity, Features, Model, NAMES};
use crate::models::frozen::frozen;
use crate::models::logistic::{self, Unfit};
use crate::models::scoring::{Scored, reliability, score};
use crate::models::{Fitted, HORIZON_DAYS, Rank, Report, Sample, Table, Window};

/// People to fit to at the most; some 60 bytes each, and 110 more while the fit runs.
const CAPACITY: usize = 200_000;
const REQUIRED_PEOPLE: u64 = 500;
/// How many of those must have left, and how many stayed.
const REQUIRED_OF_EACH: u64 = 50;
/// Draws the slopes to 0, as if by this much.
const RIDGE: f64 = 1.0;
/// Of two numbers from many people; only there so that separated people have an end.
const CALIBRATION_RIDGE: f64 = 1e-3;
/// The part of the people that the model is scored on, the part that it is calibrated on, and the rest to fit.
const SCORED_FOLD: usize = 0;
const CALIBRATED_FOLD: usize = 1;

/// Someone at the cut, and whether they stayed away in the days that are held out.
type Example = (Features, bool);

/// Takes people's days and fits the model to them.
#[derive(Clone, Debug)]
pub struct Trainer {
    window: Window,
    seed: u64,
    sample: Sample<Example>,
}

impl Trainer {
    pub fn new(window: Window, seed: u64) -> Self {
        Self {
            window,
            seed,
            sample: Sample::new(CAPACITY),
        }
    }

    /// Adds a person by ascending days, one entry a day. Each person is to come once, in any order.
    pub fn add(&mut self, person: &str, days: &[DayActivity]) {
        let cut = self.window.cut();
        let Some(features) = Features::of(days, cut) else {
            return;
        };
        let held_out = cut + 1..=self.window.last;
        let left = !days.iter().any(|activity| held_out.contains(&activity.day));
        self.sample.add(Rank::of(self.seed, person), || (features, left));
    }

    pub fn finish(self) -> Fitted<Model> {
        let report = Report::new("churn", self.window, self.seed, self.sample.offered());
        if let Some(lack) = Report::lack(self.window, self.sample.offered(), REQUIRED_PEOPLE) {
            return report.unpublished(lack);
        }
        let left = self.sample.iter().filter(|(_, (_, left))| *left).count() as u64;
        let stayed = self.sample.len() as u64 - left;
        for (people, did) in [(left, "left"), (stayed, "stayed")] {
            if people < REQUIRED_OF_EACH {
                return report.unpublished(format!(
                    "waiting: {people} of {REQUIRED_OF_EACH} people who {did}"
                ));
            }
        }
        fitted(report, &Parts::of(&self.sample))
    }
}

/// The people by what they are for.
struct Parts {
    fitted: Vec<Example>,
    calibrated: Vec<Example>,
    scored: Vec<Example>,
}

impl Parts {
    fn of(sample: &Sample<Example>) -> Self {
        let part = |is_in: fn(usize) -> bool| {
            let people = sample.iter().filter(|(rank, _)| is_in(rank.fold().index()));
            people.map(|(_, example)| *example).collect()
        };
        Self {
            fitted: part(|fold| !matches!(fold, SCORED_FOLD | CALIBRATED_FOLD)),
            calibrated: part(|fold| fold == CALIBRATED_FOLD),
            scored: part(|fold| fold == SCORED_FOLD),
        }
    }
}

fn fitted(mut report: Report, parts: &Parts) -> Fitted<Model> {
    let model = match fit(parts) {
        Ok(model) => model,
        Err(error) => return report.unpublished(format!("not fitted: {error}")),
    };
    report.people_fitted = (parts.fitted.len() + parts.calibrated.len()) as u64;
    report.parameters = parameters(&model);
    let by_model = scored(&parts.scored, |features| model.risk(features));
    report.reliability = reliability(&by_model);
    if model.scale <= 0.0 {
        return report.unpublished("not fitted: calibration turns the order round");
    }
    let baseline = baseline(parts);
    let by_baseline = scored(&parts.scored, |features| {
        baseline.rate(features.days_since_last, features.active_days_84d)
    });
    report.judged(model, score(&by_model), score(&by_baseline))
}

fn fit(parts: &Parts) -> Result<Model, Unfit> {
    let (means, deviations) = spread(&parts.fitted);
    let mut model = Model {
        means,
        deviations,
        intercept: 0.0,
        slopes: [0.0; COUNT],
        scale: 1.0,
        shift: 0.0,
    };
    let rows: Vec<_> = parts
        .fitted
        .iter()
        .map(|(features, left)| (model.scaled(features), *left))
        .collect();
    let coefficients = logistic::fit(&rows, RIDGE)?;
    model.intercept = frozen(coefficients.intercept);
    model.slopes = coefficients.slopes.map(frozen);
    let rows: Vec<_> = parts
        .calibrated
        .iter()
        .map(|(features, left)| ([model.log_odds(features)], *left))
        .collect();
    let calibration = logistic::fit(&rows, CALIBRATION_RIDGE)?;
    model.scale = frozen(calibration.slopes[0]);
    model.shift = frozen(calibration.intercept);
    Ok(model)
}

/// Means and standard deviations, frozen; 1 for a feature that does not vary.
fn spread(people: &[Example]) -> ([f64; COUNT], [f64; COUNT]) {
    let mean = |value: &dyn Fn(&[f64; COUNT], usize) -> f64| {
        let mut sums = [0.0; COUNT];
        for (features, _) in people {
            let values = features.values();
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum += value(&values, index);
            }
        }
        sums.map(|sum| sum / people.len().max(1) as f64)
    };
    let means = mean(&|values, index| values[index]).map(frozen);
    let variances = mean(&|values, index| (values[index] - means[index]) * (values[index] - means[index]));
    let deviations = variances.map(|variance| frozen(variance.sqrt()));
    (
        means,
        deviations.map(|deviation| if deviation > 1e-6 { deviation } else { 1.0 }),
    )
}

/// Of everybody that the model has learnt from.
fn baseline(parts: &Parts) -> Table {
    let mut table = Table::default();
    for (features, left) in parts.fitted.iter().chain(&parts.calibrated) {
        table.add(features.days_since_last, features.active_days_84d, *left, 1);
    }
    table
}

fn scored(people: &[Example], probability: impl Fn(&Features) -> f64) -> Vec<Scored> {
    let scored = people.iter().map(|(features, left)| Scored {
        probability: probability(features),
        happened: *left,
        people: 1,
    });
    scored.collect()
}

/// By name: what the log odds are made of, and what calibration makes of them.
fn parameters(model: &Model) -> BTreeMap<String, f64> {
    let mut parameters: BTreeMap<_, _> = [
        ("intercept", model.intercept),
        ("calibration.scale", model.scale),
        ("calibration.shift", model.shift),
        ("horizon_days", HORIZON_DAYS.into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for (index, name) in NAMES.iter().enumerate() {
        parameters.insert(format!("slope.{name}"), model.slopes[index]);
        parameters.insert(format!("mean.{name}"), model.means[index]);
        parameters.insert(format!("deviation.{name}"), model.deviations[index]);
    }
    parameters
}
