//! The return model against the published results on the CDNOW purchases.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use momsflow::models::bg_nbd::{History, Likelihood, Params, Trainer, fit};
use momsflow::models::{Day, Table, Window};

use super::cdnow::provided;

/// The first 39 weeks are what the published parameters come from.
const CALIBRATION_END: Date = date(1997, 9, 30);
const END: Date = date(1998, 6, 30);
/// From the end of the calibration to the end: 39 weeks.
const HELD_OUT_DAYS: Day = 273;

fn day(date: Date) -> Day {
    (date - CALIBRATION_END).get_days()
}

/// Ascending days with an order, by customer. The date stands in column `date`.
fn purchases(file: &str, date: usize) -> Vec<Vec<Day>> {
    let text = std::fs::read_to_string(provided(format!("tests/.cache/{file}"))).unwrap();
    let mut customers: BTreeMap<&str, Vec<Day>> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        if let Ok(date) = Date::strptime("%Y%m%d", fields[date]) {
            customers.entry(fields[0]).or_default().push(day(date));
        }
    }
    for days in customers.values_mut() {
        days.sort_unstable();
        days.dedup();
    }
    customers.into_values().collect()
}

fn sample() -> Vec<Vec<Day>> {
    let sample = purchases("CDNOW_sample.txt", 2);
    assert_eq!(sample.len(), 2_357);
    sample
}

fn master() -> Vec<Vec<Day>> {
    let master = purchases("CDNOW_master.txt", 1);
    assert_eq!(master.len(), 23_570);
    master
}

fn calibrated(customers: &[Vec<Day>]) -> Params {
    fitted_at(customers, 0)
}

/// Fitted to what was known at the end of a day.
fn fitted_at(customers: &[Vec<Day>], as_of: Day) -> Params {
    let mut counts = BTreeMap::new();
    for history in customers.iter().filter_map(|days| History::of(days, as_of)) {
        *counts.entry(history).or_default() += 1;
    }
    fit(&Likelihood::of(&counts)).unwrap()
}

fn assert_rounded(params: Params, digits: usize, expected: [f64; 4]) {
    let Params { r, alpha, a, b } = params;
    for (found, expected) in [r, alpha, a, b].into_iter().zip(expected) {
        assert_eq!(
            format!("{found:.digits$}"),
            format!("{expected:.digits$}"),
            "{params:?}"
        );
    }
}

/// Days with an order behind `from`, up to and with `to`.
fn bought(days: &[Day], from: Day, to: Day) -> usize {
    days.iter().filter(|day| (from + 1..=to).contains(*day)).count()
}

#[test]
fn the_published_parameters_of_the_sample_are_found() {
    assert_rounded(calibrated(&sample()), 3, [0.243, 4.414, 0.793, 2.426]);
}

#[test]
fn the_published_parameters_of_the_whole_file_are_found() {
    assert_rounded(calibrated(&master()), 2, [0.252, 4.789, 0.723, 2.161]);
}

/// People predicted to return in 28 days and people who did, for each window of 28 days of the held-out weeks.
fn windows(customers: &[Vec<Day>], params: impl Fn(Day) -> Params) -> Vec<(f64, usize)> {
    let cuts = (0..=HELD_OUT_DAYS - 28).step_by(28);
    let window = |cut: Day| {
        let params = params(cut);
        let predicted = customers
            .iter()
            .map(|days| params.return_probability(History::of(days, cut).unwrap(), 28));
        let returned = customers.iter().filter(|days| bought(days, cut, cut + 28) > 0);
        (predicted.sum(), returned.count())
    };
    cuts.map(window).collect()
}

fn ratio(windows: &[(f64, usize)]) -> f64 {
    let predicted: f64 = windows.iter().map(|(predicted, _)| predicted).sum();
    let returned: usize = windows.iter().map(|(_, returned)| returned).sum();
    println!(
        "{predicted:.1} predicted, {returned} returned in {} windows",
        windows.len()
    );
    predicted / returned as f64
}

#[test]
fn returns_in_the_held_out_weeks_are_as_many_as_predicted() {
    assert_eq!(day(END), HELD_OUT_DAYS);
    let customers = sample();
    // Fitted anew before each window, as in use.
    let refitted = windows(&customers, |cut| fitted_at(&customers, cut));
    assert!((ratio(&refitted) - 1.0).abs() < 0.05);
    assert!((ratio(&refitted[..1]) - 1.0).abs() < 0.05);
    // Parameters that grow up to 32 weeks old see some 5 % too few.
    let old = calibrated(&customers);
    assert!((0.94..0.96).contains(&ratio(&windows(&customers, |_| old))));
}

#[test]
fn the_model_knows_more_than_a_table_of_the_past() {
    let customers = sample();
    let (mut by_model, mut by_table, mut ahead) = (0.0, 0.0, 0);
    for cut in (0..=HELD_OUT_DAYS - 28).step_by(28) {
        let params = fitted_at(&customers, cut);
        let mut table = Table::default();
        for days in &customers {
            if let Some(history) = History::of(days, cut - 28) {
                let returned = bought(days, cut - 28, cut) > 0;
                table.add(history.silence(), history.active_days(), returned, 1);
            }
        }
        let loss = |probability: &dyn Fn(History) -> f64| {
            let losses = customers.iter().map(|days| {
                let probability = probability(History::of(days, cut).unwrap());
                let returned = bought(days, cut, cut + 28) > 0;
                -(if returned { probability } else { 1.0 - probability }).ln()
            });
            losses.sum::<f64>() / customers.len() as f64
        };
        let model = loss(&|history| params.return_probability(history, 28));
        let past = loss(&|history| table.rate(history.silence(), history.active_days()));
        println!("28 days from day {cut:3}: log loss {model:.4}, of a table of the past {past:.4}");
        ahead += u32::from(model < past);
        (by_model, by_table) = (by_model + model, by_table + past);
    }
    assert!(by_model < by_table && ahead >= 7, "{by_model} {by_table} {ahead}");
}

#[test]
fn purchases_over_39_weeks_are_the_part_that_the_model_is_known_to_see() {
    let customers = sample();
    let params = calibrated(&customers);
    let (mut expected, mut real) = (0.0, 0);
    for days in &customers {
        expected += params.expected_returns(History::of(days, 0).unwrap(), HELD_OUT_DAYS as u32);
        real += bought(days, 0, HELD_OUT_DAYS);
    }
    let ratio = expected / real as f64;
    println!("39 weeks: {expected:.1} expected, {real} real, ratio {ratio:.3}");
    assert!((0.87..0.91).contains(&ratio), "{expected} of {real}");
}

/// The baseline has seen the held-out weeks, of other people. With so many of them it is ahead by a hair here.
#[test]
fn a_model_that_is_behind_its_baseline_by_a_hair_is_not_published() {
    let customers = master();
    let first = day(date(1997, 1, 1));
    let mut trainer = Trainer::new(
        Window {
            first,
            last: day(END),
        },
        0,
    );
    for (customer, days) in customers.iter().enumerate() {
        trainer.add(&customer.to_string(), days);
    }
    let fitted = trainer.finish();
    let (score, baseline) = (fitted.report.score.unwrap(), fitted.report.baseline.unwrap());
    println!("{score:?}\n{baseline:?}");
    assert_eq!((score.people, baseline.people), (23_570, 23_570));
    assert!(score.value > baseline.value && score.value < baseline.value + 0.001);
    assert!(score.further["brier"] < baseline.further["brier"]);
    assert!(score.further["auc"] > baseline.further["auc"]);
    assert_eq!((fitted.report.published, fitted.model), (false, None));
}
