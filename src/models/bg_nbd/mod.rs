//! Who comes back: the BG/NBD model of Fader, Hardie and Lee (2005), per person.
//!
//! While alive, a person comes back at a rate of their own (gamma distributed over people: `r`, `alpha`), and after each
//! return is gone for good with a probability of their own (beta distributed: `a`, `b`). Rates are per week, and what is
//! counted is days: several visits on a day are one. docs/models.md derives what is computed here.

mod fit;
mod histogram;
mod history;
mod likelihood;
mod trainer;

use serde::{Deserialize, Serialize};

use super::frozen::frozen;
pub use fit::{FitError, fit};
pub use histogram::Histogram;
pub use history::History;
pub use likelihood::Likelihood;
pub use trainer::Trainer;

const DAYS_A_WEEK: f64 = 7.0;
/// Where the series of expected returns ends at the latest. Only a fit at its bounds needs so many terms.
const MAX_TERMS: u32 = 1_000_000;
/// What the rest of the series may add, as a part of its sum.
const TOLERANCE: f64 = 1e-12;

/// The model's parameters, frozen; all above 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Shape of the rates' distribution.
    pub r: f64,
    /// Its rate, in weeks: the mean person comes back `r / alpha` times a week.
    pub alpha: f64,
    /// The mean person is gone after a return with a probability of `a / (a + b)`.
    pub a: f64,
    pub b: f64,
}

impl Params {
    pub fn new([r, alpha, a, b]: [f64; 4]) -> Self {
        Self {
            r: frozen(r),
            alpha: frozen(alpha),
            a: frozen(a),
            b: frozen(b),
        }
    }

    /// The probability that the person has not gone for good. 1 before the first return, since people go after returns.
    pub fn alive_probability(&self, history: History) -> f64 {
        if history.repeats == 0 {
            return 1.0;
        }
        let repeats = f64::from(history.repeats);
        let silence = libm::log(self.at(history.age)) - libm::log(self.at(history.recency));
        let odds = libm::log(self.a) - libm::log(self.b + repeats - 1.0) + (self.r + repeats) * silence;
        1.0 / (1.0 + libm::exp(odds))
    }

    /// The probability of at least one visit in the `days` after the history's end.
    pub fn return_probability(&self, history: History, days: u32) -> f64 {
        let ahead = libm::log1p(weeks(days) / self.at(history.age));
        let returns_if_alive = -libm::expm1(-(self.r + f64::from(history.repeats)) * ahead);
        self.alive_probability(history) * returns_if_alive
    }

    /// How many days with a visit are expected in the `days` after the history's end.
    pub fn expected_returns(&self, history: History, days: u32) -> f64 {
        let shape = self.r + f64::from(history.repeats);
        let ahead = weeks(days) / self.at(history.age);
        self.alive_probability(history) * self.expected_if_alive(history.repeats, shape, ahead)
    }

    /// Σ over n of P(n returns, if nobody ever went) · (how many of n are made, if people go).
    ///
    /// All terms are positive, and the sum has none of the poles that the textbook's ₂F₁ has at a = 1 and a + b + x = 1.
    fn expected_if_alive(&self, repeats: u32, shape: f64, ahead: f64) -> f64 {
        if ahead <= 0.0 {
            return 0.0;
        }
        let stays = self.b + f64::from(repeats);
        let ratio = ahead / (1.0 + ahead);
        // P(n) without its first factor, which may be too small for a float; and the log of what was taken out.
        let (mut weight, mut taken) = (1.0, -shape * libm::log1p(ahead));
        let (mut still_alive, mut made, mut sum) = (1.0, 0.0, 0.0);
        for n in (1..=MAX_TERMS).map(f64::from) {
            weight *= (shape + n - 1.0) / n * ratio;
            made += still_alive;
            still_alive *= (stays + n - 1.0) / (self.a + stays + n - 1.0);
            sum += weight * made;
            let next = ratio.max((shape + n) / (n + 1.0) * ratio);
            if next < 1.0 && weight * next * (made + 1.0 / (1.0 - next)) < TOLERANCE * sum * (1.0 - next) {
                break;
            }
            if sum > 1e200 {
                weight *= 1e-200;
                sum *= 1e-200;
                taken += 200.0 * std::f64::consts::LN_10;
            }
        }
        if sum > 0.0 {
            libm::exp(taken + libm::log(sum))
        } else {
            0.0
        }
    }

    /// α + t, where t is so many days.
    fn at(&self, days: u32) -> f64 {
        self.alpha + weeks(days)
    }
}

fn weeks(days: u32) -> f64 {
    f64::from(days) / DAYS_A_WEEK
}

#[cfg(test)]
mod tests;
