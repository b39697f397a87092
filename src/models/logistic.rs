//! Logistic regression by Newton's method.
//!
//! Each step needs one pass over the rows, in their order, and a matrix of the size of the features, which linfa-linalg
//! solves. linfa's own logistic regression was not taken: it copies all rows into one matrix and ends near the optimum
//! with an error of its line search on some data (rust-ml/linfa#334), and then there is no fit at all.

use linfa_linalg::cholesky::SolveC;
use ndarray::Array2;
use thiserror::Error;

const MAX_STEPS: usize = 100;
const MAX_HALVINGS: usize = 40;
/// The greatest change of a coefficient in the last step.
const TOLERANCE: f64 = 1e-9;

#[derive(Debug, Error)]
pub(super) enum Unfit {
    #[error("the features determine each other")]
    Singular,
    #[error("no end after {MAX_STEPS} steps")]
    NoEnd,
}

/// The intercept and a coefficient for each feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Coefficients<const N: usize> {
    pub intercept: f64,
    pub slopes: [f64; N],
}

impl<const N: usize> Coefficients<N> {
    /// ln of the odds.
    pub fn log_odds(&self, features: &[f64; N]) -> f64 {
        let products = self
            .slopes
            .iter()
            .zip(features)
            .map(|(slope, feature)| slope * feature);
        products.fold(self.intercept, |sum, product| sum + product)
    }

    fn moved(&self, step: &[f64], length: f64) -> Self {
        let mut moved = *self;
        moved.intercept -= length * step[0];
        for (slope, step) in moved.slopes.iter_mut().zip(&step[1..]) {
            *slope -= length * step;
        }
        moved
    }
}

pub(super) fn sigmoid(log_odds: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-log_odds))
}

/// Fits features to what happened. `ridge`, above 0, draws the slopes to 0 (not the intercept), so that there is an
/// optimum for any data.
pub(super) fn fit<const N: usize>(rows: &[([f64; N], bool)], ridge: f64) -> Result<Coefficients<N>, Unfit> {
    let mut at = Coefficients {
        intercept: 0.0,
        slopes: [0.0; N],
    };
    let mut loss = loss_of(rows, ridge, &at);
    for _ in 0..MAX_STEPS {
        let step = newton_step(rows, ridge, &at)?;
        let mut length = 1.0;
        let mut next = at.moved(&step, length);
        let mut next_loss = loss_of(rows, ridge, &next);
        for _ in 0..MAX_HALVINGS {
            if next_loss <= loss {
                break;
            }
            length /= 2.0;
            next = at.moved(&step, length);
            next_loss = loss_of(rows, ridge, &next);
        }
        // Where no part of the step gains anything, the rest is rounding.
        if next_loss > loss || step.iter().all(|change| (length * change).abs() < TOLERANCE) {
            return Ok(at);
        }
        (at, loss) = (next, next_loss);
    }
    Err(Unfit::NoEnd)
}

fn loss_of<const N: usize>(rows: &[([f64; N], bool)], ridge: f64, at: &Coefficients<N>) -> f64 {
    let penalty = at.slopes.iter().fold(0.0, |sum, slope| sum + slope * slope) * ridge / 2.0;
    rows.iter().fold(penalty, |loss, (features, happened)| {
        let log_odds = at.log_odds(features);
        let against = if *happened { -log_odds } else { log_odds };
        loss + against.max(0.0) + libm::log1p(libm::exp(-against.abs()))
    })
}

/// The inverse of the loss' second derivatives times its first ones: intercept, then slopes.
fn newton_step<const N: usize>(
    rows: &[([f64; N], bool)],
    ridge: f64,
    at: &Coefficients<N>,
) -> Result<Vec<f64>, Unfit> {
    let mut gradient = Array2::<f64>::zeros((N + 1, 1));
    let mut curvature = Array2::<f64>::zeros((N + 1, N + 1));
    for (features, happened) in rows {
        let probability = sigmoid(at.log_odds(features));
        let error = probability - f64::from(u8::from(*happened));
        // Kept above 0, so that the matrix stays definite where all probabilities are extreme.
        let weight = (probability * (1.0 - probability)).max(1e-12);
        let value = |index: usize| if index == 0 { 1.0 } else { features[index - 1] };
        for row in 0..=N {
            gradient[[row, 0]] += error * value(row);
            for column in 0..=row {
                curvature[[row, column]] += weight * value(row) * value(column);
            }
        }
    }
    for (feature, slope) in at.slopes.iter().enumerate() {
        gradient[[feature + 1, 0]] += ridge * slope;
        curvature[[feature + 1, feature + 1]] += ridge;
    }
    for row in 0..=N {
        for column in row + 1..=N {
            curvature[[row, column]] = curvature[[column, row]];
        }
    }
    let step = curvature.solvec(&gradient).map_err(|_| Unfit::Singular)?;
    match step.iter().all(|change| change.is_finite()) {
        true => Ok(step.into_raw_vec_and_offset().0),
        false => Err(Unfit::Singular),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn planted(people: usize, seed: u64) -> Vec<([f64; 2], bool)> {
        let mut random = StdRng::seed_from_u64(seed);
        let truth = Coefficients {
            intercept: -0.5,
            slopes: [1.5, -0.8],
        };
        let people = (0..people).map(|_| {
            let features = [random.random_range(-2.0..2.0), random.random_range(-2.0..2.0)];
            (
                features,
                random.random::<f64>() < sigmoid(truth.log_odds(&features)),
            )
        });
        people.collect()
    }

    #[test]
    fn planted_coefficients_are_found() {
        let found = fit(&planted(20_000, 1), 1.0).unwrap();
        for (found, planted) in [
            (found.intercept, -0.5),
            (found.slopes[0], 1.5),
            (found.slopes[1], -0.8),
        ] {
            assert!((found - planted).abs() < 0.08, "{found} for {planted}");
        }
    }

    #[test]
    fn the_fit_is_where_the_gradient_vanishes() {
        for seed in 0..20 {
            let rows = planted(200, seed);
            let at = fit(&rows, 1.0).unwrap();
            let mut gradient = [0.0, at.slopes[0], at.slopes[1]];
            for (features, happened) in &rows {
                let error = sigmoid(at.log_odds(features)) - f64::from(u8::from(*happened));
                gradient[0] += error;
                gradient[1] += error * features[0];
                gradient[2] += error * features[1];
            }
            assert!(gradient.iter().all(|slope| slope.abs() < 1e-5), "{gradient:?}");
        }
    }

    #[test]
    fn separated_constant_and_equal_features_have_a_fit_too() {
        let separated: Vec<_> = (-50..50).map(|x| ([f64::from(x) / 10.0, 1.0], x >= 0)).collect();
        let at = fit(&separated, 1.0).unwrap();
        assert!(at.slopes[0] > 1.0);
        let equal: Vec<_> = planted(500, 3).iter().map(|([x, _], y)| ([*x, *x], *y)).collect();
        let at = fit(&equal, 1.0).unwrap();
        assert!((at.slopes[0] - at.slopes[1]).abs() < 1e-6 && at.slopes[0] > 0.0);
        let one_outcome = [([0.5], true), ([-0.5], true)];
        assert!(fit(&one_outcome, 1.0).map_or(true, |at| at.log_odds(&[0.0]) > 5.0));
    }
}
