//! The parameters under which the histories are likeliest.

use argmin::core::{CostFunction, Error, Executor, State};
use argmin::solver::neldermead::NelderMead;
use thiserror::Error as ThisError;

use super::{Likelihood, Params};

/// Logs of the least and the greatest r, α, a, b. Where the data do not bound a parameter, it ends here.
const BOUNDS: [(f64, f64); 4] = [(-9.2, 9.2), (-9.2, 11.5), (-9.2, 9.2), (-9.2, 9.2)];
/// r, α, a, b to begin with. The better of the ends is taken.
const STARTS: [[f64; 4]; 2] = [[1.0, 1.0, 1.0, 1.0], [0.3, 8.0, 0.5, 4.0]];
/// Length of the simplex' edges at a start, in logs.
const STEP: f64 = 0.5;
/// The spread of the loss over the simplex at which a search ends.
const SPREAD: f64 = 1e-11;
const MAX_ITERATIONS: u64 = 2_000;
/// A search begins anew where it ended until that gains less than this, because a simplex may collapse too early.
const GAIN: f64 = 1e-9;
const MAX_SEARCHES: usize = 20;

#[derive(Debug, ThisError)]
pub enum FitError {
    #[error("nobody came back yet")]
    NoRepeats,
    #[error("the optimiser failed: {0}")]
    Optimiser(String),
}

/// Fits the parameters, always the same for the same histories.
pub fn fit(likelihood: &Likelihood) -> Result<Params, FitError> {
    if !likelihood.has_repeats() {
        return Err(FitError::NoRepeats);
    }
    let ends = STARTS.map(|start| minimum(likelihood, start.map(libm::log)));
    let mut best: Option<(f64, [f64; 4])> = None;
    for end in ends {
        let end = end.map_err(|error| FitError::Optimiser(error.to_string()))?;
        if best.is_none_or(|(loss, _)| end.0 < loss) {
            best = Some(end);
        }
    }
    let (_, logs) = best.ok_or_else(|| FitError::Optimiser("no end".to_owned()))?;
    Ok(params(&logs))
}

struct Problem<'a>(&'a Likelihood);

impl CostFunction for Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    /// The loss at the nearest point within the bounds, and the square of the way there.
    fn cost(&self, logs: &Vec<f64>) -> Result<f64, Error> {
        let mut within = [0.0; 4];
        let mut outside = 0.0;
        for ((log, bounds), within) in logs.iter().zip(BOUNDS).zip(&mut within) {
            *within = log.clamp(bounds.0, bounds.1);
            outside += (log - *within) * (log - *within);
        }
        Ok(self.0.mean_loss(&unrounded(&within)) + outside)
    }
}

/// Searches from a point, again and again. Returns the loss and the logs of the parameters.
fn minimum(likelihood: &Likelihood, start: [f64; 4]) -> Result<(f64, [f64; 4]), Error> {
    let mut best = (f64::INFINITY, start);
    for _ in 0..MAX_SEARCHES {
        let corners = (0..=4).map(|corner| {
            let mut point = best.1.to_vec();
            if let Some(log) = point.get_mut(corner) {
                *log += STEP;
            }
            point
        });
        let solver = NelderMead::new(corners.collect()).with_sd_tolerance(SPREAD)?;
        let search = Executor::new(Problem(likelihood), solver)
            .configure(|state| state.max_iters(MAX_ITERATIONS))
            .timer(false);
        let result = search.run()?;
        let loss = result.state().get_best_cost();
        let gain = best.0 - loss;
        if let Some(point) = result.state().get_best_param().filter(|_| gain > 0.0) {
            let mut logs = [0.0; 4];
            logs.copy_from_slice(point);
            best = (loss, logs);
        }
        if gain < GAIN {
            break;
        }
    }
    Ok(best)
}

fn unrounded(logs: &[f64; 4]) -> Params {
    let [r, alpha, a, b] = logs.map(libm::exp);
    Params { r, alpha, a, b }
}

fn params(logs: &[f64; 4]) -> Params {
    let mut within = *logs;
    for (log, (least, greatest)) in within.iter_mut().zip(BOUNDS) {
        *log = log.clamp(least, greatest);
    }
    Params::new(within.map(libm::exp))
}
