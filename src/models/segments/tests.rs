#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::models::{Fitted, Window};

const WINDOW: Window = Window { first: 0, last: 83 };
const TOPICS: [&str; 5] = ["news", "recipes", "sport", "travel", "science"];

/// A kind of people: how often they come, when, what they read most, and how many there are.
struct Kind {
    active_days: u32,
    part: PartOfDay,
    topic: &'static str,
    interactions: u32,
    people: u32,
}

const KINDS: [Kind; 4] = [
    Kind {
        active_days: 25,
        part: PartOfDay::Evening,
        topic: "recipes",
        interactions: 0,
        people: 200,
    },
    Kind {
        active_days: 60,
        part: PartOfDay::Morning,
        topic: "news",
        interactions: 1,
        people: 160,
    },
    Kind {
        active_days: 25,
        part: PartOfDay::Afternoon,
        topic: "sport",
        interactions: 30,
        people: 120,
    },
    Kind {
        active_days: 6,
        part: PartOfDay::Night,
        topic: "travel",
        interactions: 0,
        people: 80,
    },
];

fn behaviour(random: &mut StdRng, kind: &Kind) -> Behaviour {
    let vary =
        |random: &mut StdRng, mean: u32| (f64::from(mean) * random.random_range(0.6..1.4)).round() as u32;
    let active_days = vary(random, kind.active_days).clamp(2, SPAN_DAYS);
    let reads = vary(random, active_days * 2).max(MIN_READS);
    let mut one = Behaviour {
        active_days,
        sessions: vary(random, active_days + 1),
        reads,
        engaged_seconds: vary(random, reads * 60),
        interactions: vary(random, kind.interactions),
        ..Behaviour::default()
    };
    for _ in 0..reads {
        let part = if random.random_bool(0.8) {
            kind.part
        } else {
            PartOfDay::ALL[random.random_range(0..4)]
        };
        one.reads_by_part[part as usize] += 1;
        one.weekend_reads += u32::from(random.random_bool(2.0 / 7.0));
        let topic = if random.random_bool(0.7) {
            kind.topic
        } else {
            TOPICS[random.random_range(0..5)]
        };
        *one.topics.entry(topic.to_owned()).or_default() += 1;
    }
    one
}

/// People with the number of their kind.
fn people(seed: u64) -> Vec<(String, usize, Behaviour)> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut people = Vec::new();
    for (number, kind) in KINDS.iter().enumerate() {
        for id in 0..kind.people {
            people.push((format!("{number}-{id}"), number, behaviour(&mut random, kind)));
        }
    }
    people
}

fn fitted(people: &[(String, usize, Behaviour)], seed: u64, previous: Option<Model>) -> Fitted<Model> {
    let mut trainer = Trainer::new(WINDOW, seed, previous);
    people
        .iter()
        .for_each(|(id, _, behaviour)| trainer.add(id, behaviour));
    trainer.finish()
}

fn published(fitted: Fitted<Model>) -> Model {
    fitted.model.unwrap_or_else(|| panic!("{}", fitted.report.reason))
}

/// For each kind the segment that most of its people are in, and which part of them.
fn segments_of_kinds(model: &Model, people: &[(String, usize, Behaviour)]) -> Vec<(u32, String, f64)> {
    let of_kind = |number: usize| {
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        for (_, _, behaviour) in people.iter().filter(|(_, kind, _)| *kind == number) {
            *counts.entry(model.segment(behaviour).unwrap().id).or_default() += 1;
        }
        let (id, most) = counts.iter().max_by_key(|(_, count)| **count).unwrap();
        let segment = model.segments().iter().find(|segment| segment.id == *id).unwrap();
        (
            *id,
            segment.name.clone(),
            f64::from(*most) / f64::from(KINDS[number].people),
        )
    };
    (0..KINDS.len()).map(of_kind).collect()
}

#[test]
fn planted_kinds_are_found_and_named() {
    let fitted = fitted(&people(1), 0, None);
    let report = &fitted.report;
    assert!(report.published, "{}", report.reason);
    assert_eq!(report.parameters["segments"], 4.0);
    assert!(report.score.as_ref().unwrap().value > report.baseline.as_ref().unwrap().value + 0.2);
    let model = published(fitted);
    // Others of the same kinds.
    let found = segments_of_kinds(&model, &people(2));
    for (number, (id, name, part)) in found.iter().enumerate() {
        assert!(*part > 0.95, "{number}: {part}");
        assert_eq!(*id, number as u32 + 1, "the largest come first");
        assert!(
            name.ends_with(&format!("of {}", KINDS[number].topic)) || name.contains("who react"),
            "{name}"
        );
    }
    assert_eq!(found[0].1, "evening readers of recipes");
    let shares: f64 = model.segments().iter().map(|segment| segment.share).sum();
    assert!((shares - 1.0).abs() < 1e-9);
}

#[test]
fn ids_and_names_go_on_over_refits() {
    let first = published(fitted(&people(1), 0, None));
    let before = segments_of_kinds(&first, &people(1));
    // Other people, another seed, so that k-means finds the clusters in another order.
    for seed in 2..5 {
        let next = published(fitted(&people(seed), seed, Some(first.clone())));
        let after = segments_of_kinds(&next, &people(1));
        for (before, after) in before.iter().zip(&after) {
            assert_eq!((before.0, &before.1), (after.0, &after.1));
        }
    }
}

#[test]
fn a_new_kind_gets_an_id_that_nobody_had() {
    let without = |number: usize| {
        people(1)
            .into_iter()
            .filter(|(_, kind, _)| *kind != number)
            .collect::<Vec<_>>()
    };
    let first = published(fitted(&without(2), 0, None));
    let next = published(fitted(&people(1), 0, Some(first.clone())));
    let ids: Vec<u32> = segments_of_kinds(&next, &people(1))
        .iter()
        .map(|(id, ..)| *id)
        .collect();
    assert_eq!(first.segments().len(), 3);
    assert_eq!(ids[2], 4, "{ids:?}");
    // It goes, and another comes: its id is not used again.
    let gone = published(fitted(&without(2), 0, Some(next)));
    let again = published(fitted(&people(1), 0, Some(gone)));
    let ids: Vec<u32> = segments_of_kinds(&again, &people(1))
        .iter()
        .map(|(id, ..)| *id)
        .collect();
    assert_eq!(ids[2], 5, "{ids:?}");
}

#[test]
fn people_without_structure_have_no_segments() {
    let mut random = StdRng::seed_from_u64(4);
    let mut trainer = Trainer::new(WINDOW, 0, None);
    for id in 0..400 {
        let mut one = Behaviour {
            active_days: 20,
            sessions: 20,
            reads: 40,
            engaged_seconds: 900,
            ..Behaviour::default()
        };
        one.interactions = random.random_range(0..100);
        one.weekend_reads = random.random_range(0..40);
        trainer.add(&id.to_string(), &one);
    }
    let report = trainer.finish().report;
    let (score, baseline) = (report.score.unwrap().value, report.baseline.unwrap().value);
    assert!((score - baseline).abs() < 0.05, "{score} {baseline}");
}

#[test]
fn a_fit_is_the_same_for_the_same_people_in_any_order() {
    let mut people = people(3);
    let one = fitted(&people, 7, None);
    people.reverse();
    assert_eq!(one, fitted(&people, 7, None));
    let model = published(one);
    let text = serde_json::to_string(&model).unwrap();
    assert_eq!(serde_json::from_str::<Model>(&text).unwrap(), model);
}

#[test]
fn what_is_lacking_is_said_and_who_reads_little_has_no_segment() {
    let people = people(1);
    let mut trainer = Trainer::new(Window { first: 0, last: 8 }, 0, None);
    people
        .iter()
        .for_each(|(id, _, behaviour)| trainer.add(id, behaviour));
    assert_eq!(trainer.finish().report.reason, "waiting: 9 of 56 days");
    assert_eq!(
        fitted(&people[..100], 0, None).report.reason,
        "waiting: 100 of 300 people"
    );
    let alike: Vec<_> = (0..400)
        .map(|id| (id.to_string(), 0, people[0].2.clone()))
        .collect();
    let reason = fitted(&alike, 0, None).report.reason;
    assert_eq!(
        reason,
        "not fitted: people do not part into groups of 1 % or more"
    );
    let model = published(fitted(&people, 0, None));
    let little = Behaviour {
        active_days: 2,
        sessions: 2,
        reads: MIN_READS - 1,
        ..Behaviour::default()
    };
    assert_eq!(model.segment(&little), None);
}

#[test]
fn hours_have_a_part_of_the_day() {
    let parts: Vec<_> = [0, 5, 6, 12, 17, 18, 23, 255].map(PartOfDay::of).into();
    use PartOfDay::{Afternoon, Evening, Morning, Night};
    assert_eq!(
        parts,
        [
            Night, Night, Morning, Afternoon, Afternoon, Evening, Evening, Evening
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_telling_behaviour_has_a_segment(numbers in any::<[u32; 10]>(), topic in "[a-z]{1,8}") {
        use std::sync::OnceLock;
        static MODEL: OnceLock<Model> = OnceLock::new();
        let model = MODEL.get_or_init(|| published(fitted(&people(1), 0, None)));
        let behaviour = Behaviour {
            active_days: numbers[0],
            sessions: numbers[1],
            reads: numbers[2].max(MIN_READS),
            engaged_seconds: numbers[3],
            interactions: numbers[4],
            reads_by_part: [numbers[5], numbers[6], numbers[7], numbers[8]],
            weekend_reads: numbers[9],
            topics: [(topic, numbers[5])].into(),
        };
        prop_assert!(model.segment(&behaviour).is_some());
    }
}
