#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::models::{Day, HORIZON_DAYS, Measure, Window};

/// Of the published sample.
const CDNOW: [f64; 4] = [0.243, 4.414, 0.793, 2.426];

fn history(repeats: u32, recency: u32, age: u32) -> History {
    History {
        repeats,
        recency,
        age,
    }
}

/// ₂F₁ by its defining series.
fn hyp2f1(a: f64, b: f64, c: f64, z: f64) -> f64 {
    let (mut term, mut sum, mut n) = (1.0, 1.0, 0.0);
    while f64::abs(term) > 1e-17 * f64::abs(sum) || n < 10.0 {
        term *= (a + n) * (b + n) / ((c + n) * (n + 1.0)) * z;
        sum += term;
        n += 1.0;
    }
    sum
}

/// Equation 10 of the paper.
fn printed_expectation(params: &Params, history: History, days: u32) -> f64 {
    let Params { r, alpha, a, b } = *params;
    let (x, t_x, age, t) = (
        f64::from(history.repeats),
        weeks(history.recency),
        weeks(history.age),
        weeks(days),
    );
    let odds = if x > 0.0 {
        a / (b + x - 1.0) * ((alpha + age) / (alpha + t_x)).powf(r + x)
    } else {
        0.0
    };
    let series = hyp2f1(r + x, b + x, a + b + x - 1.0, t / (alpha + age + t));
    let bracket = 1.0 - ((alpha + age) / (alpha + age + t)).powf(r + x) * series;
    (a + b + x - 1.0) / (a - 1.0) * bracket / (1.0 + odds)
}

#[test]
fn the_series_of_the_tests_has_the_known_values() {
    let close = |one: f64, other: f64| assert!((one - other).abs() < 1e-12 * other.abs(), "{one} {other}");
    close(hyp2f1(1.0, 1.0, 2.0, 0.5), 2.0 * std::f64::consts::LN_2);
    close(hyp2f1(0.7, 3.0, 3.0, 0.9), 0.1_f64.powf(-0.7));
    close(hyp2f1(0.5, 1.0, 1.5, 0.25), 0.5 / 0.5 * (1.5_f64 / 0.5).ln());
}

#[test]
fn expected_returns_are_those_of_the_publication() {
    // Customer 1 of the sample, whose expectation for 39 weeks the authors print.
    let expected = Params::new(CDNOW).expected_returns(history(2, 213, 272), 273);
    assert!((expected - 1.226).abs() < 5e-4, "{expected}");
}

#[test]
fn expected_returns_are_those_of_the_printed_formula() {
    for params in [
        CDNOW,
        [2.0, 3.0, 0.3, 0.5],
        [0.5, 10.0, 1.7, 3.0],
        [5.0, 1.0, 6.0, 0.9],
    ] {
        let params = Params::new(params);
        for history in [
            history(0, 0, 100),
            history(1, 5, 100),
            history(9, 99, 100),
            history(30, 200, 400),
        ] {
            for days in [1, 28, 273] {
                let printed = printed_expectation(&params, history, days);
                let expected = params.expected_returns(history, days);
                assert!(
                    (expected - printed).abs() < 1e-8 * printed,
                    "{params:?} {history:?} {days}: {expected} {printed}"
                );
            }
        }
    }
}

#[test]
fn expected_returns_have_no_pole_where_the_printed_formula_has_one() {
    for (history, [a, b]) in [(history(3, 50, 90), [1.0, 2.0]), (history(0, 0, 90), [0.4, 0.6])] {
        let at = |a: f64| {
            Params {
                r: 0.8,
                alpha: 5.0,
                a,
                b,
            }
            .expected_returns(history, 200)
        };
        let (below, here, above) = (at(a - 1e-6), at(a), at(a + 1e-6));
        assert!(here > 0.0 && below > here && here > above);
        assert!((below + above - 2.0 * here).abs() < 1e-9);
    }
}

#[test]
fn small_first_terms_of_the_series_are_no_loss() {
    // (1 + 6)^-2000 is no float any more; nobody goes, so that the mean of the gamma distribution is what is expected.
    let params = Params {
        r: 2_000.0,
        alpha: 1.0,
        a: 1e-12,
        b: 1e6,
    };
    let expected = params.expected_returns(history(0, 0, 0), 42);
    assert!((expected / 12_000.0 - 1.0).abs() < 1e-6, "{expected}");
}

/// Means over the people that have a history, by drawing rates and dropouts and weighing them by the likelihood.
fn by_drawing(params: [u32; 2], ab: [u32; 2], history: History, days: u32) -> (f64, f64, f64) {
    let mut random = StdRng::seed_from_u64(11);
    let (x, t_x, age, t) = (
        history.repeats as i32,
        weeks(history.recency),
        weeks(history.age),
        weeks(days),
    );
    let (mut all, mut alive, mut returns, mut visits) = (0.0, 0.0, 0.0, 0.0);
    for _ in 0..400_000 {
        let rate = erlang(&mut random, params[0]) / f64::from(params[1]);
        let gone = beta(&mut random, ab);
        let stayed = (1.0 - gone).powi(x) * rate.powi(x) * (-rate * age).exp();
        let went = gone * (1.0 - gone).powi(x - 1) * rate.powi(x) * (-rate * t_x).exp();
        all += stayed + if x > 0 { went } else { 0.0 };
        alive += stayed;
        returns += stayed * (1.0 - (-rate * t).exp());
        visits += stayed * (1.0 - (-rate * gone * t).exp()) / gone;
    }
    (alive / all, returns / all, visits / all)
}

fn erlang(random: &mut StdRng, shape: u32) -> f64 {
    (0..shape).map(|_| -(1.0 - random.random::<f64>()).ln()).sum()
}

fn beta(random: &mut StdRng, [a, b]: [u32; 2]) -> f64 {
    let (one, other) = (erlang(random, a), erlang(random, b));
    one / (one + other)
}

#[test]
fn probabilities_are_means_over_all_people_with_the_history() {
    let (shapes, ab) = ([2, 3], [1, 3]);
    let params = Params::new([2.0, 3.0, 1.0, 3.0]);
    for history in [
        history(0, 0, 35),
        history(1, 14, 42),
        history(4, 60, 70),
        history(4, 20, 70),
    ] {
        let (alive, returns, visits) = by_drawing(shapes, ab, history, 28);
        for (formula, drawn) in [
            (params.alive_probability(history), alive),
            (params.return_probability(history, 28), returns),
            (params.expected_returns(history, 28), visits),
        ] {
            assert!(
                (formula / drawn - 1.0).abs() < 0.02,
                "{history:?}: {formula} {drawn}"
            );
        }
    }
}

/// The days of a person whose first is `first`, as the model has it.
fn life(random: &mut StdRng, first: Day, last: Day) -> Vec<Day> {
    let rate = erlang(random, 1) / 12.0;
    let gone = beta(random, [1, 4]);
    let (mut at, mut days) = (f64::from(first), vec![first]);
    loop {
        at += 7.0 * erlang(random, 1) / rate;
        if at >= f64::from(last) + 1.0 {
            return days;
        }
        let day = at.floor() as Day;
        if *days.last().unwrap() != day {
            days.push(day);
        }
        if random.random::<f64>() < gone {
            return days;
        }
    }
}

#[test]
fn a_fit_finds_the_parameters_of_simulated_people_and_their_returns() {
    let mut random = StdRng::seed_from_u64(3);
    let window = Window {
        first: 0,
        last: 7 * 60 - 1,
    };
    let mut trainer = Trainer::new(window, 1);
    for person in 0..20_000 {
        let first = random.random_range(0..7 * 20);
        trainer.add(&person.to_string(), &life(&mut random, first, window.last));
    }
    let fitted = trainer.finish();
    let Params { r, alpha, a, b } = fitted.model.unwrap_or_else(|| panic!("{}", fitted.report.reason));
    for (found, planted) in [(r, 1.0), (alpha, 12.0), (a / (a + b), 0.2)] {
        assert!((found / planted - 1.0).abs() < 0.1, "{found} for {planted}");
    }
    let score = fitted.report.score.unwrap();
    assert_eq!(score.measure, Measure::LogLoss);
    assert_eq!(score.people, 20_000);
    let ratio = score.further["predicted"] / score.further["observed"];
    assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
    for bin in fitted.report.reliability.iter().filter(|bin| bin.people > 500) {
        assert!((bin.predicted - bin.observed).abs() < 0.05, "{bin:?}");
    }
}

#[test]
fn a_fit_does_not_depend_on_the_order_of_the_people() {
    let mut random = StdRng::seed_from_u64(5);
    let window = Window { first: 0, last: 200 };
    let people: Vec<_> = (0..600).map(|_| life(&mut random, 0, window.last)).collect();
    let fitted = |order: &mut dyn Iterator<Item = usize>| {
        let mut trainer = Trainer::new(window, 0);
        order.for_each(|person| trainer.add(&person.to_string(), &people[person]));
        trainer.finish()
    };
    let one = fitted(&mut (0..600));
    assert!(!one.report.parameters.is_empty(), "{}", one.report.reason);
    assert_eq!(one, fitted(&mut (0..600).rev()));
    let text = serde_json::to_string(&one.report).unwrap();
    assert_eq!(
        serde_json::from_str::<crate::models::Report>(&text).unwrap(),
        one.report
    );
}

#[test]
fn what_cannot_be_fitted_is_said() {
    let finish = |last, people: u32, days: &[Day]| {
        let mut trainer = Trainer::new(Window { first: 0, last }, 0);
        (0..people).for_each(|person| trainer.add(&person.to_string(), days));
        trainer.finish()
    };
    assert_eq!(finish(8, 500, &[1, 3]).report.reason, "waiting: 9 of 56 days");
    assert_eq!(finish(99, 20, &[1, 3]).report.reason, "waiting: 20 of 200 people");
    assert_eq!(finish(99, 500, &[90]).report.reason, "waiting: 0 of 200 people");
    let fitted = finish(99, 500, &[1]);
    assert_eq!(fitted.report.reason, "not fitted: nobody came back yet");
    assert_eq!((fitted.model, fitted.report.published), (None, false));
}

prop_compose! {
    fn any_params()(logs in prop::array::uniform4(-9.2..9.2_f64)) -> Params {
        Params::new(logs.map(f64::exp))
    }
}

proptest! {
    #[test]
    fn probabilities_stay_in_bounds_at_all_extremes(
        params in any_params(), repeats in any::<u32>(), recency in any::<u32>(), age in any::<u32>(), days in any::<u32>(),
    ) {
        for history in [history(repeats, recency, age), history(repeats % 400, recency % 400, 400)] {
            for days in [0, 1, HORIZON_DAYS, days] {
                let probability = params.return_probability(history, days);
                prop_assert!((0.0..=1.0).contains(&probability), "{}", probability);
            }
            prop_assert!((0.0..=1.0).contains(&params.alive_probability(history)));
            let expected = params.expected_returns(history, HORIZON_DAYS.min(days));
            prop_assert!(expected >= 0.0 && expected.is_finite(), "{}", expected);
        }
    }

    #[test]
    fn a_longer_silence_never_makes_a_return_likelier(
        params in any_params(), repeats in 0..400_u32, recency in 0..1_000_u32, silence in 0..1_000_u32, more in 1..500_u32,
    ) {
        let recency = if repeats == 0 { 0 } else { recency };
        let now = params.return_probability(history(repeats, recency, recency + silence), HORIZON_DAYS);
        let later = params.return_probability(history(repeats, recency, recency + silence + more), HORIZON_DAYS);
        prop_assert!(later <= now, "{} {}", now, later);
        // The same age, and the last visit longer ago.
        if repeats > 0 {
            let age = recency + silence + more;
            let longer = params.return_probability(history(repeats, recency, age), HORIZON_DAYS);
            let shorter = params.return_probability(history(repeats, recency + more, age), HORIZON_DAYS);
            prop_assert!(longer <= shorter, "{} {}", longer, shorter);
        }
    }

    #[test]
    fn more_days_never_make_a_return_less_likely(
        params in any_params(), repeats in 0..400_u32, recency in 0..400_u32, days in 0..400_u32,
    ) {
        let history = history(repeats, recency, 400);
        let (some, more) = (params.return_probability(history, days), params.return_probability(history, days + 1));
        prop_assert!(some <= more);
        prop_assert!(params.expected_returns(history, days) >= some * (1.0 - 1e-9));
    }

    #[test]
    fn params_survive_json_to_the_last_bit(params in any_params()) {
        let text = serde_json::to_string(&params).unwrap();
        prop_assert_eq!(serde_json::from_str::<Params>(&text).unwrap(), params);
    }
}
