//! The return model against the published results on the CDNOW purchases.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use momsflow::models::bg_nbd::{History, Likelihood, Params, Trainer, fit};
use momsflow::models::{Day, Window};

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
    let mut counts = BTreeMap::new();
    for history in customers.iter().filter_map(|days| History::of(days, 0)) {
        *counts.entry(history).or_default() += 1;
    }
    fit(&Likelihood::of(&counts)).unwrap()
}

fn assert_rounded(params: Params, digits: usize, expected: [f64; 4]) {
    let Params { r, alpha, a, b } = params;
    for (found, expected) in [r, alpha, a, b].into_iter().zip(expected) {
        assert_eq!(format!("{found:.digits$}"), format!("{expected:.digits$}"), "{params:?}");
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

#[test]
fn returns_in_the_held_out_weeks_are_as_many_as_predicted() {
    assert_eq!(day(END), HELD_OUT_DAYS);
    let customers = sample();
    let params = calibrated(&customers);
    let (mut predicted_all, mut returned_all) = (0.0, 0);
    for cut in (0..=HELD_OUT_DAYS - 28).step_by(28) {
        let (mut predicted, mut returned) = (0.0, 0);
        for days in &customers {
            predicted += params.return_probability(History::of(days, cut).unwrap(), 28);
            returned += usize::from(bought(days, cut, cut + 28) > 0);
        }
        println!("28 days from day {cut:3}: {predicted:6.1} predicted, {returned:3} returned");
        predicted_all += predicted;
        returned_all += returned;
    }
    let ratio = predicted_all / returned_all as f64;
    println!("all windows: {predicted_all:.1} predicted, {returned_all} returned, ratio {ratio:.3}");
    assert!((ratio - 1.0).abs() < 0.05, "{predicted_all} of {returned_all}");
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

#[test]
fn the_model_beats_its_baseline_on_the_whole_file() {
    let customers = master();
    let first = day(date(1997, 1, 1));
    let mut trainer = Trainer::new(Window { first, last: day(END) }, 0);
    for (customer, days) in customers.iter().enumerate() {
        trainer.add(&customer.to_string(), days);
    }
    let fitted = trainer.finish();
    println!("{:#?}", fitted.report);
    assert!(fitted.report.published, "{}", fitted.report.reason);
    assert_eq!(fitted.report.people, 23_570);
}
