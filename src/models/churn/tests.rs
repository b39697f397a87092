#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::models::{Day, Fitted, HORIZON_DAYS, Window};

fn activity(day: Day) -> DayActivity {
    DayActivity {
        day,
        sessions: 1,
        reads: 2,
        engaged_seconds: 60,
        topics: vec![1],
    }
}

#[test]
fn features_are_counts_of_the_last_days() {
    let mut days: Vec<_> = [-200, -83, -56, -55, -28, -27, -10, -7, -6].map(activity).into();
    days[6] = DayActivity {
        day: -10,
        sessions: 3,
        reads: 7,
        engaged_seconds: 100,
        topics: vec![1, 4, 4, 9],
    };
    days.push(activity(1));
    let expected = Features {
        active_days_7d: 1,
        active_days_28d: 4,
        active_days_previous_28d: 2,
        active_days_84d: 8,
        days_since_last: 6,
        usual_gap: Some(3),
        sessions_28d: 6,
        reads_28d: 13,
        engaged_seconds_28d: 280,
        topics_28d: 3,
        age: 200,
    };
    assert_eq!(Features::of(&days, 0), Some(expected));
}

#[test]
fn who_was_not_here_for_84_days_has_left_already() {
    let days = [activity(0)];
    assert_eq!(Features::of(&days, -1), None);
    assert_eq!(
        Features::of(&days, 83).map(|features| features.days_since_last),
        Some(83)
    );
    assert_eq!(Features::of(&days, 84), None);
    assert_eq!(
        Features::of(&days, 83).and_then(|features| features.usual_gap),
        None
    );
}

const WINDOW: Window = Window { first: 0, last: 139 };
const CUT: Day = WINDOW.last - HORIZON_DAYS as Day;

/// Someone with a rhythm of their own. Some lose interest before the cut: they read one topic and little, and most of
/// those stay away, while others with the same recency and number of days come back.
fn person(random: &mut StdRng) -> (Vec<DayActivity>, bool) {
    let rhythm: f64 = random.random_range(0.05..0.6);
    let loses_interest = random.random_bool(0.4);
    let leaves = random.random_bool(if loses_interest { 0.85 } else { 0.1 });
    let mut days = Vec::new();
    for day in WINDOW.first..=WINDOW.last {
        let is_shallow = loses_interest && day > CUT - 28;
        if random.random::<f64>() < rhythm && !(leaves && day > CUT) {
            let (reads, topics) = if is_shallow {
                (1, vec![0])
            } else {
                (random.random_range(3..7), vec![0, day as u32 % 5, 7])
            };
            days.push(DayActivity {
                day,
                sessions: 1,
                reads,
                engaged_seconds: reads * 50,
                topics,
            });
        }
    }
    (days, leaves)
}

fn fitted(people: u32, seed: u64) -> Fitted<Model> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut trainer = Trainer::new(WINDOW, 9);
    for id in 0..people {
        trainer.add(&id.to_string(), &person(&mut random).0);
    }
    trainer.finish()
}

#[test]
fn planted_churners_are_ranked_better_than_by_the_baseline() {
    let fitted = fitted(6_000, 1);
    let report = &fitted.report;
    assert!(report.published, "{}", report.reason);
    let (score, baseline) = (report.score.as_ref().unwrap(), report.baseline.as_ref().unwrap());
    let (auc, baseline_auc) = (score.further["auc"], baseline.further["auc"]);
    assert!(
        auc > 0.85 && auc > baseline_auc + 0.1,
        "{auc} against {baseline_auc}"
    );
    assert!(score.value < baseline.value - 0.1);
    assert!(score.further["brier"] < baseline.further["brier"]);
    assert!(
        report.parameters["slope.topics_28d"] < 0.0 || report.parameters["slope.reads_per_session"] < 0.0
    );

    // People whom the trainer never saw.
    let model = fitted.model.unwrap();
    let mut random = StdRng::seed_from_u64(2);
    let (mut predicted, mut left, mut all) = (0.0, 0, 0);
    for (days, leaves) in (0..4_000).map(|_| person(&mut random)) {
        let Some(features) = Features::of(&days, CUT) else {
            continue;
        };
        let came = days.iter().any(|activity| activity.day > CUT);
        assert!(!(leaves && came));
        predicted += model.risk(&features);
        left += u32::from(!came);
        all += 1;
    }
    let (predicted, left) = (predicted / f64::from(all), f64::from(left) / f64::from(all));
    assert!((predicted - left).abs() < 0.03, "{predicted} of {left}");
}

#[test]
fn risks_are_calibrated() {
    let report = fitted(10_000, 4).report;
    assert_eq!(report.reliability.len(), 10);
    let people: u64 = report.reliability.iter().map(|bin| bin.people).sum();
    assert_eq!(people, report.score.unwrap().people);
    for bin in report.reliability.iter().filter(|bin| bin.people >= 100) {
        let noise = 3.0 * (bin.predicted * (1.0 - bin.predicted) / bin.people as f64).sqrt();
        assert!((bin.predicted - bin.observed).abs() < noise + 0.03, "{bin:?}");
    }
}

#[test]
fn a_model_that_knows_no_more_than_its_baseline_may_not_be_published() {
    // Whether they come is drawn afresh: nothing helps, and the table is as good as anything.
    let mut random = StdRng::seed_from_u64(8);
    let mut trainer = Trainer::new(WINDOW, 0);
    for id in 0..3_000 {
        let mut days: Vec<_> = (CUT - 9..=CUT)
            .filter(|_| random.random_bool(0.5))
            .map(activity)
            .collect();
        days.extend(random.random_bool(0.5).then(|| activity(CUT + 3)));
        trainer.add(&id.to_string(), &days);
    }
    let fitted = trainer.finish();
    let (score, baseline) = (fitted.report.score.unwrap(), fitted.report.baseline.unwrap());
    assert!((score.value - baseline.value).abs() < 0.02);
    assert_eq!(fitted.report.published, score.value < baseline.value);
    assert_eq!(fitted.model.is_some(), fitted.report.published);
}

#[test]
fn what_is_lacking_is_said() {
    let finish = |last, people: u32, days: &[Day]| {
        let mut trainer = Trainer::new(Window { first: 0, last }, 0);
        let days: Vec<_> = days.iter().copied().map(activity).collect();
        (0..people).for_each(|id| trainer.add(&id.to_string(), &days));
        trainer.finish().report.reason
    };
    assert_eq!(finish(8, 900, &[1]), "waiting: 9 of 56 days");
    assert_eq!(finish(99, 400, &[70]), "waiting: 400 of 500 people");
    assert_eq!(finish(99, 900, &[70, 80]), "waiting: 0 of 50 people who left");
    assert_eq!(finish(99, 900, &[70]), "waiting: 0 of 50 people who stayed");
}

#[test]
fn a_fit_is_the_same_for_the_same_people_in_any_order() {
    let mut random = StdRng::seed_from_u64(6);
    let people: Vec<_> = (0..1_500).map(|_| person(&mut random).0).collect();
    let fitted = |order: &mut dyn Iterator<Item = usize>| {
        let mut trainer = Trainer::new(WINDOW, 0);
        order.for_each(|id| trainer.add(&id.to_string(), &people[id]));
        trainer.finish()
    };
    let one = fitted(&mut (0..1_500));
    assert_eq!(one, fitted(&mut (0..1_500).rev()));
    let model = one.model.unwrap();
    let text = serde_json::to_string(&model).unwrap();
    assert_eq!(serde_json::from_str::<Model>(&text).unwrap(), model);
}

fn any_features() -> impl Strategy<Value = Features> {
    (any::<[u32; 10]>(), any::<bool>()).prop_map(|(numbers, has_gap)| Features {
        active_days_7d: numbers[0],
        active_days_28d: numbers[1],
        active_days_previous_28d: numbers[2],
        active_days_84d: numbers[3],
        days_since_last: numbers[4],
        usual_gap: has_gap.then_some(numbers[5]),
        sessions_28d: numbers[6],
        reads_28d: numbers[7],
        engaged_seconds_28d: numbers[8],
        topics_28d: numbers[9],
        age: numbers[0],
    })
}

proptest! {
    #[test]
    fn no_features_leave_the_bounds(features in any_features(), slope in -1e6..1e6_f64, scale in 0.0..1e6_f64) {
        let mut model = Model {
            means: [0.0; COUNT],
            deviations: [1e-6; COUNT],
            intercept: slope,
            slopes: [slope; COUNT],
            scale,
            shift: -slope,
        };
        for _ in 0..2 {
            let risk = model.risk(&features);
            prop_assert!((0.0..=1.0).contains(&risk), "{}", risk);
            model.scale = 0.0;
        }
    }
}
