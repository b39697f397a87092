//! How likely histories are under given parameters.

use std::collections::{BTreeMap, BTreeSet};

use super::{History, Params, weeks};

/// People by history, prepared for being asked again and again.
///
/// Repeats and days are integers and few: gamma functions are taken once for each number of repeats, logarithms once
/// for each number of days, and a history costs little more than one exponential however many people have it.
#[derive(Clone, Debug)]
pub struct Likelihood {
    repeats: Vec<u32>,
    days: Vec<u32>,
    rows: Vec<Row>,
    people: u64,
}

/// A history, as places in `repeats` and `days`.
#[derive(Clone, Copy, Debug)]
struct Row {
    repeats: u32,
    recency: u32,
    age: u32,
    people: u64,
}

/// What depends on the number of repeats alone.
struct Term {
    shape: f64,
    /// ln of the factor that both ways of a history have.
    shared: f64,
    /// ln of the odds to go after the last return, before time counts. `None` before the first one.
    gone: Option<f64>,
}

impl Likelihood {
    pub fn of(counts: &BTreeMap<History, u64>) -> Self {
        let sorted = |values: BTreeSet<u32>| values.into_iter().collect::<Vec<u32>>();
        let repeats = sorted(counts.keys().map(|history| history.repeats).collect());
        let days = sorted(
            counts
                .keys()
                .flat_map(|history| [history.recency, history.age])
                .collect(),
        );
        let place = |values: &[u32], value: u32| values.partition_point(|other| *other < value) as u32;
        let rows = counts.iter().map(|(history, people)| Row {
            repeats: place(&repeats, history.repeats),
            recency: place(&days, history.recency),
            age: place(&days, history.age),
            people: *people,
        });
        let rows = rows.collect();
        Self {
            repeats,
            days,
            rows,
            people: counts.values().sum(),
        }
    }

    pub fn people(&self) -> u64 {
        self.people
    }

    /// Whether anybody ever came back.
    pub fn has_repeats(&self) -> bool {
        self.repeats.last().is_some_and(|most| *most > 0)
    }

    /// −ln of the likelihood, a person.
    pub fn mean_loss(&self, params: &Params) -> f64 {
        let terms: Vec<Term> = self
            .repeats
            .iter()
            .map(|repeats| term(params, *repeats))
            .collect();
        let logs: Vec<f64> = self
            .days
            .iter()
            .map(|days| libm::log(params.alpha + weeks(*days)))
            .collect();
        let loss = self.rows.iter().fold(0.0, |loss, row| {
            let term = &terms[row.repeats as usize];
            let stayed = -term.shape * logs[row.age as usize];
            let either = match term.gone {
                Some(gone) => log_of_sum(stayed, gone - term.shape * logs[row.recency as usize]),
                None => stayed,
            };
            loss - row.people as f64 * (term.shared + either)
        });
        loss / self.people as f64
    }
}

fn term(params: &Params, repeats: u32) -> Term {
    let Params { r, alpha, a, b } = *params;
    let x = f64::from(repeats);
    let rates = libm::lgamma(r + x) - libm::lgamma(r) + r * libm::log(alpha);
    let stays = (libm::lgamma(a + b) - libm::lgamma(a + b + x)) + (libm::lgamma(b + x) - libm::lgamma(b));
    Term {
        shape: r + x,
        shared: rates + stays,
        gone: (repeats > 0).then(|| libm::log(a) - libm::log(b + x - 1.0)),
    }
}

/// ln(eᵃ + eᵇ), without leaving the range of floats.
fn log_of_sum(a: f64, b: f64) -> f64 {
    a.max(b) + libm::log1p(libm::exp(-(a - b).abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The likelihood as it is printed, of one person, in plain floats.
    fn printed([r, alpha, a, b]: [f64; 4], x: f64, t_x: f64, t: f64) -> f64 {
        let gamma = libm::tgamma;
        let beta = |p: f64, q: f64| gamma(p) * gamma(q) / gamma(p + q);
        let rates = gamma(r + x) * alpha.powf(r) / gamma(r);
        let stayed = beta(a, b + x) / beta(a, b) * rates / (alpha + t).powf(r + x);
        let gone = || beta(a + 1.0, b + x - 1.0) / beta(a, b) * rates / (alpha + t_x).powf(r + x);
        stayed + if x > 0.0 { gone() } else { 0.0 }
    }

    #[test]
    fn the_loss_is_that_of_the_printed_likelihood_of_each_person() {
        let people: [(u32, u32, u32, u32); 6] = [
            (0, 0, 10, 3),
            (0, 0, 0, 1),
            (1, 7, 7, 2),
            (3, 20, 111, 4),
            (12, 90, 91, 1),
            (2, 2, 272, 5),
        ];
        for params in [
            [0.243, 4.414, 0.793, 2.426],
            [2.0, 0.3, 1.0, 0.4],
            [0.7, 11.0, 4.0, 0.01],
        ] {
            let (mut expected, mut all) = (0.0, 0.0);
            let mut counts = BTreeMap::new();
            for (repeats, recency, age, people) in people {
                let likelihood = printed(params, repeats.into(), weeks(recency), weeks(age));
                expected -= f64::from(people) * likelihood.ln();
                all += f64::from(people);
                counts.insert(
                    History {
                        repeats,
                        recency,
                        age,
                    },
                    people.into(),
                );
            }
            let loss = Likelihood::of(&counts).mean_loss(&Params::new(params));
            assert!((loss - expected / all).abs() < 1e-9, "{params:?}: {loss}");
        }
    }

    #[test]
    fn equal_histories_count_as_so_many_people() {
        let params = Params::new([0.5, 3.0, 0.8, 2.0]);
        let history = |repeats, recency| History {
            repeats,
            recency,
            age: 60,
        };
        let one_by_one = [(history(0, 0), 4.0), (history(2, 30), 6.0)].map(|(history, people)| {
            people * Likelihood::of(&BTreeMap::from([(history, 1)])).mean_loss(&params)
        });
        let together = Likelihood::of(&BTreeMap::from([(history(0, 0), 4), (history(2, 30), 6)]));
        assert!((together.mean_loss(&params) - one_by_one.iter().sum::<f64>() / 10.0).abs() < 1e-12);
    }

    #[test]
    fn no_history_leaves_the_range_of_floats() {
        let extremes = [0, 1, 365, 1_000_000, u32::MAX];
        for params in [
            [1e-4, 1e-4, 1e-4, 1e-4],
            [1e4, 1e5, 1e4, 1e4],
            [1e4, 1e-4, 1e4, 1e-4],
        ] {
            for (repeats, days) in extremes.iter().flat_map(|x| extremes.map(|days| (*x, days))) {
                let history = History {
                    repeats,
                    recency: days / 2,
                    age: days,
                };
                let loss = Likelihood::of(&BTreeMap::from([(history, 1)])).mean_loss(&Params::new(params));
                assert!(loss.is_finite(), "{params:?} {history:?}: {loss}");
            }
        }
    }
}
