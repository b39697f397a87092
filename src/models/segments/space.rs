//! Behaviour as a point, such that distances mean something.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Behaviour;
use crate::models::frozen::frozen;

/// The most read topics are dimensions of their own.
const TOPICS: usize = 8;
/// A part of someone's reads is drawn to everybody's, as if by so many reads.
const PRIOR_READS: f64 = 5.0;
/// What is beyond these quantiles of a dimension is taken to be at them.
const QUANTILES: (f64, f64) = (0.01, 0.99);
/// Dimensions before those of the topics: how much, and when.
pub(super) const AMOUNTS: usize = 5;
const TIMES: usize = 5;

/// Where points are, frozen: amounts by their logarithm, then parts of the reads by time and by topic, each cut at
/// quantiles, standardised, and weighted so that the three groups count the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Space {
    /// The topics that are dimensions.
    pub topics: Vec<String>,
    /// Everybody's parts: by [`super::PartOfDay`], of the weekend, by topic.
    pub parts: Vec<f64>,
    axes: Vec<Axis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Axis {
    lowest: f64,
    highest: f64,
    mean: f64,
    /// 1 in deviations, times the weight of the dimension; 0 for one that does not vary.
    scale: f64,
}

impl Space {
    /// The space in which these people differ most evenly.
    pub fn of<'a>(people: impl Iterator<Item = &'a Behaviour> + Clone) -> Self {
        let topics = most_read(people.clone());
        let parts = parts_of_all(people.clone(), &topics);
        let mut space = Self {
            topics,
            parts,
            axes: Vec::new(),
        };
        let groups = [AMOUNTS, TIMES, space.topics.len()];
        let weights = groups
            .iter()
            .flat_map(|size| vec![1.0 / (*size as f64).sqrt(); *size]);
        // One dimension at a time, so that only one column of all people is in memory.
        space.axes = weights
            .enumerate()
            .map(|(dimension, weight)| {
                axis(
                    people.clone().map(|one| space.value(one, dimension)).collect(),
                    weight,
                )
            })
            .collect();
        space
    }

    pub fn point(&self, behaviour: &Behaviour) -> Vec<f64> {
        let axes = self.axes.iter().enumerate();
        axes.map(|(dimension, axis)| axis.place(self.value(behaviour, dimension)))
            .collect()
    }

    fn value(&self, behaviour: &Behaviour, dimension: usize) -> f64 {
        let log = |value: u32| libm::log1p(value.into());
        let part = |reads: u32| {
            let everybodys = self.parts[dimension - AMOUNTS];
            (f64::from(reads) + PRIOR_READS * everybodys) / (f64::from(behaviour.reads) + PRIOR_READS)
        };
        match dimension {
            0 => log(behaviour.active_days),
            1 => log(behaviour.sessions),
            2 => log(behaviour.reads),
            3 => log(behaviour.engaged_seconds),
            4 => log(behaviour.interactions),
            5..=8 => part(behaviour.reads_by_part[dimension - AMOUNTS]),
            9 => part(behaviour.weekend_reads),
            _ => part(behaviour.reads_of(&self.topics[dimension - AMOUNTS - TIMES])),
        }
    }
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        (value.clamp(self.lowest, self.highest) - self.mean) * self.scale
    }
}

/// By reads; topics of as many reads by name.
fn most_read<'a>(people: impl Iterator<Item = &'a Behaviour>) -> Vec<String> {
    let mut reads: BTreeMap<&str, u64> = BTreeMap::new();
    for (topic, read) in people.flat_map(|one| &one.topics) {
        *reads.entry(topic).or_default() += u64::from(*read);
    }
    let mut topics: Vec<_> = reads.into_iter().collect();
    topics.sort_by_key(|(topic, reads)| (std::cmp::Reverse(*reads), *topic));
    topics.truncate(TOPICS);
    topics.into_iter().map(|(topic, _)| topic.to_owned()).collect()
}

fn parts_of_all<'a>(people: impl Iterator<Item = &'a Behaviour>, topics: &[String]) -> Vec<f64> {
    let mut reads = vec![0_u64; TIMES + topics.len()];
    let mut all = 0_u64;
    for one in people {
        all += u64::from(one.reads);
        let times = one.reads_by_part.into_iter().chain([one.weekend_reads]);
        let by_topic = topics.iter().map(|topic| one.reads_of(topic));
        for (sum, part) in reads.iter_mut().zip(times.chain(by_topic)) {
            *sum += u64::from(part);
        }
    }
    reads
        .into_iter()
        .map(|part| frozen(part as f64 / all.max(1) as f64))
        .collect()
}

fn axis(mut values: Vec<f64>, weight: f64) -> Axis {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    let at = |place: f64| values.get(place as usize).copied().map_or(0.0, frozen);
    let (lowest, highest) = (at((last * QUANTILES.0).floor()), at((last * QUANTILES.1).ceil()));
    let count = values.len().max(1) as f64;
    let cut = |value: &f64| value.clamp(lowest, highest);
    let mean = frozen(values.iter().map(cut).sum::<f64>() / count);
    let variance = values
        .iter()
        .map(|value| (cut(value) - mean) * (cut(value) - mean))
        .sum::<f64>()
        / count;
    let deviation = variance.sqrt();
    let scale = if deviation > 1e-6 {
        frozen(weight / deviation)
    } else {
        0.0
    };
    Axis {
        lowest,
        highest,
        mean,
        scale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(reads: u32, topic: &str) -> Behaviour {
        Behaviour {
            active_days: reads,
            reads,
            reads_by_part: [0, reads, 0, 0],
            topics: [(topic.to_owned(), reads)].into(),
            ..Behaviour::default()
        }
    }

    #[test]
    fn dimensions_are_centred_cut_and_of_equal_weight_by_group() {
        let mut people: Vec<_> = (0..1_000)
            .map(|id| reader(3 + id % 50, ["a", "b"][id as usize % 2]))
            .collect();
        people[0].reads = u32::MAX;
        let space = Space::of(people.iter());
        assert_eq!(space.topics, ["b", "a"]);
        let points: Vec<_> = people.iter().map(|one| space.point(one)).collect();
        let mean = |dimension: usize| points.iter().map(|point| point[dimension]).sum::<f64>() / 1_000.0;
        let square =
            |dimension: usize| points.iter().map(|point| point[dimension].powi(2)).sum::<f64>() / 1_000.0;
        for dimension in 0..points[0].len() {
            assert!(mean(dimension).abs() < 1e-9);
        }
        assert!((square(0) - 1.0 / 5.0).abs() < 1e-6 && (square(10) - 1.0 / 2.0).abs() < 1e-6);
        assert_eq!(square(1), 0.0, "nobody has a session");
        assert!(points[0][2] < 2.0, "{}", points[0][2]);
    }

    #[test]
    fn topics_are_the_most_read_ones_and_the_first_by_name_among_equals() {
        let people: Vec<_> = (0..20)
            .map(|id| reader(if id == 19 { 9 } else { 3 }, &format!("t{id:02}")))
            .collect();
        let space = Space::of(people.iter());
        assert_eq!(
            space.topics,
            ["t19", "t00", "t01", "t02", "t03", "t04", "t05", "t06"]
        );
    }

    #[test]
    fn a_space_of_nobody_or_of_nothing_is_a_space() {
        let nobody = Space::of([].iter());
        assert!(nobody.point(&reader(5, "a")).iter().all(|place| *place == 0.0));
        let nothing = [Behaviour::default()];
        assert!(
            Space::of(nothing.iter())
                .point(&nothing[0])
                .iter()
                .all(|place| place.is_finite())
        );
    }
}
