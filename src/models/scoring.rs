//! How good probabilities were, once it is known what happened.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::frozen::frozen;
use super::report::{Measure, Score};

/// Probabilities are taken to be no nearer to 0 and 1 than this, so that one surprise does not cost infinitely much.
const MARGIN: f64 = 1e-6;
const BINS: usize = 10;

/// Some people with one probability and one outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    pub probability: f64,
    pub happened: bool,
    pub people: u64,
}

/// One line of a reliability table: the people whose probability lay within a tenth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Their mean probability, 0 where there is nobody.
    pub predicted: f64,
    /// For which part of them it happened.
    pub observed: f64,
    pub people: u64,
}

/// Log loss, with the Brier score, the AUC and the totals beside it. Of nobody it is not a number, which beats nothing.
pub(super) fn score(scored: &[Scored]) -> Score {
    let people: u64 = scored.iter().map(|some| some.people).sum();
    let mean = |value: &dyn Fn(&Scored) -> f64| {
        let sum: f64 = scored.iter().map(|some| some.people as f64 * value(some)).sum();
        sum / people as f64
    };
    let log_loss = mean(&|some| {
        let probability = some.probability.clamp(MARGIN, 1.0 - MARGIN);
        -libm::log(if some.happened {
            probability
        } else {
            1.0 - probability
        })
    });
    let outcome = |some: &Scored| f64::from(u8::from(some.happened));
    let further = [
        (
            "brier",
            mean(&|some| (some.probability - outcome(some)) * (some.probability - outcome(some))),
        ),
        ("auc", auc(scored)),
        ("predicted", mean(&|some| some.probability) * people as f64),
        ("observed", (mean(&outcome) * people as f64).round()),
    ];
    let further: BTreeMap<_, _> = further
        .into_iter()
        .filter(|(_, value)| value.is_finite())
        .map(|(name, value)| (name.to_owned(), frozen(value)))
        .collect();
    Score {
        measure: Measure::LogLoss,
        value: frozen(log_loss),
        people,
        further,
    }
}

/// How often someone for whom it happened had the higher probability than someone for whom it did not; ties are half.
/// Not a number where all outcomes are the same.
pub(super) fn auc(scored: &[Scored]) -> f64 {
    let mut by_probability: Vec<&Scored> = scored.iter().collect();
    by_probability.sort_by(|one, other| one.probability.total_cmp(&other.probability));
    let (mut below, mut pairs) = (0.0, 0.0);
    let mut all_happened = 0.0;
    for equal in by_probability.chunk_by(|one, other| one.probability == other.probability) {
        let count = |happened: bool| {
            let people = equal.iter().filter(|some| some.happened == happened);
            people.map(|some| some.people).sum::<u64>() as f64
        };
        let (happened, not) = (count(true), count(false));
        pairs += happened * (below + not / 2.0);
        below += not;
        all_happened += happened;
    }
    pairs / (all_happened * below)
}

pub(super) fn reliability(scored: &[Scored]) -> Vec<Bin> {
    let mut bins = vec![Bin::default(); BINS];
    for some in scored {
        // The last bin has 1 in it too.
        let bin = &mut bins[((some.probability * BINS as f64) as usize).min(BINS - 1)];
        bin.people += some.people;
        bin.predicted += some.probability * some.people as f64;
        bin.observed += f64::from(u8::from(some.happened)) * some.people as f64;
    }
    for bin in bins.iter_mut().filter(|bin| bin.people > 0) {
        bin.predicted = frozen(bin.predicted / bin.people as f64);
        bin.observed = frozen(bin.observed / bin.people as f64);
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(probability: f64, happened: bool, people: u64) -> Scored {
        Scored {
            probability,
            happened,
            people,
        }
    }

    #[test]
    fn scores_are_those_of_the_definitions() {
        let scored = [some(0.8, true, 3), some(0.8, false, 1), some(0.25, false, 4)];
        let score = score(&scored);
        let log_loss = -(3.0 * 0.8_f64.ln() + 0.2_f64.ln() + 4.0 * 0.75_f64.ln()) / 8.0;
        assert!((score.value - log_loss).abs() < 1e-12);
        let brier = (3.0 * 0.04 + 0.64 + 4.0 * 0.0625) / 8.0;
        assert!((score.further["brier"] - brier).abs() < 1e-12);
        // Of 15 pairs 12 are in order, and 3 are ties.
        assert!((score.further["auc"] - 13.5 / 15.0).abs() < 1e-12);
        assert!((score.further["predicted"] - 4.2).abs() < 1e-12);
        assert_eq!(score.further["observed"], 3.0);
        assert_eq!(score.people, 8);
    }

    #[test]
    fn a_sure_and_wrong_guess_is_dear_but_finite() {
        let score = score(&[some(0.0, true, 1)]);
        assert!(score.value > 10.0 && score.value < 20.0);
        assert!(!score.further.contains_key("auc"), "there are no pairs");
    }

    #[test]
    fn a_reliability_table_has_ten_lines() {
        let bins = reliability(&[
            some(0.0, false, 2),
            some(0.05, true, 2),
            some(1.0, true, 1),
            some(0.3, false, 1),
        ]);
        assert_eq!(bins.len(), 10);
        assert_eq!(
            bins[0],
            Bin {
                predicted: 0.025,
                observed: 0.5,
                people: 4
            }
        );
        assert_eq!(
            bins[9],
            Bin {
                predicted: 1.0,
                observed: 1.0,
                people: 1
            }
        );
        assert_eq!(
            bins[3],
            Bin {
                predicted: 0.3,
                observed: 0.0,
                people: 1
            }
        );
        assert_eq!(bins[5], Bin::default());
    }
}
