//! Who is about to leave: logistic regression on recency, frequency, depth, breadth and trend, calibrated.
//!
//! A person is at risk of churn who was here in the last [`SPAN_DAYS`]; churn is no visit in the [`HORIZON_DAYS`] after.
//!
//! [`HORIZON_DAYS`]: super::HORIZON_DAYS

mod features;
mod trainer;

use serde::{Deserialize, Serialize};

use super::logistic::{Coefficients, sigmoid};
pub use features::{DayActivity, Features, SPAN_DAYS};
pub use trainer::Trainer;

/// A feature's name, as in the parameters of a report, in the order of the model's numbers.
pub const NAMES: [&str; 12] = [
    "active_days_7d",
    "active_days_28d",
    "active_days_84d",
    "days_since_last",
    "usual_gap",
    "overdue",
    "is_single_visit",
    "reads_per_session",
    "engaged_per_active_day",
    "topics_28d",
    "trend",
    "age",
];
const COUNT: usize = NAMES.len();

/// A fitted model, frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    means: [f64; COUNT],
    deviations: [f64; COUNT],
    intercept: f64,
    /// Of a feature's distance from its mean, in deviations.
    slopes: [f64; COUNT],
    /// What calibration makes of the log odds: times `scale`, plus `shift`.
    scale: f64,
    shift: f64,
}

impl Model {
    /// The probability that the person does not come in the next 28 days.
    pub fn risk(&self, features: &Features) -> f64 {
        sigmoid(self.scale * self.log_odds(features) + self.shift)
    }

    /// Before calibration.
    fn log_odds(&self, features: &Features) -> f64 {
        let coefficients = Coefficients {
            intercept: self.intercept,
            slopes: self.slopes,
        };
        coefficients.log_odds(&self.scaled(features))
    }

    fn scaled(&self, features: &Features) -> [f64; COUNT] {
        let mut values = features.values();
        for (index, value) in values.iter_mut().enumerate() {
            *value = (*value - self.means[index]) / self.deviations[index];
        }
        values
    }
}

#[cfg(test)]
mod tests;
