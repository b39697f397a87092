//! Names of segments, from what sets their people apart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::space::AMOUNTS;
use super::{Behaviour, PartOfDay};

/// Deviations from everybody's mean at which an amount is worth a word.
const TELLING_DEVIATIONS: f64 = 0.5;
/// How many times everybody's part of reads is worth a word: by time, by topic.
const TELLING_TIME: f64 = 1.3;
const TELLING_TOPIC: f64 = 1.5;
/// A topic is not named that has less than this part of the segment's reads.
const LEAST_TOPIC: f64 = 0.1;
/// A segment's part is drawn to everybody's, as if by so many reads.
const PRIOR_READS: f64 = 50.0;
/// A trait comes into a name at 1, and stays in it down to this, so that names do not flicker.
const KEPT_STRENGTH: f64 = 0.5;
const MOST_TRAITS: usize = 3;

/// Something that sets a segment apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trait {
    /// They come on many days, or on few.
    Frequent,
    Occasional,
    /// They read at that time more than others.
    At(PartOfDay),
    OnWeekends,
    /// They read that topic more than others.
    Of(String),
    /// They share, comment and like.
    Reacting,
}

/// Reads of some people, summed.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    all: u64,
    by_part: [u64; 4],
    weekend: u64,
    topics: BTreeMap<String, u64>,
}

impl Reads {
    pub fn of<'a>(people: impl Iterator<Item = &'a Behaviour>) -> Self {
        let mut reads = Self::default();
        for one in people {
            reads.all += u64::from(one.reads);
            reads.weekend += u64::from(one.weekend_reads);
            for (sum, part) in reads.by_part.iter_mut().zip(one.reads_by_part) {
                *sum += u64::from(part);
            }
            for (topic, read) in &one.topics {
                match reads.topics.get_mut(topic) {
                    Some(sum) => *sum += u64::from(*read),
                    None => drop(reads.topics.insert(topic.clone(), (*read).into())),
                }
            }
        }
        reads
    }
}

/// A segment beside everybody.
pub(super) struct Profile<'a> {
    pub centroid: &'a [f64],
    pub reads: &'a Reads,
    pub everybodys: &'a Reads,
}

impl Profile<'_> {
    /// What sets the segment apart most, the strongest first.
    pub fn traits(&self) -> Vec<Trait> {
        let amounts = [Trait::Frequent, Trait::Occasional, Trait::Reacting];
        let times = PartOfDay::ALL
            .map(Trait::At)
            .into_iter()
            .chain([Trait::OnWeekends]);
        let topics = self.reads.topics.keys().cloned().map(Trait::Of);
        let strongest = |traits: &mut dyn Iterator<Item = Trait>| {
            let mut best: Option<(f64, Trait)> = None;
            for (strength, one) in traits.map(|one| (self.strength(&one), one)) {
                if best.as_ref().is_none_or(|(most, _)| strength > *most) {
                    best = Some((strength, one));
                }
            }
            best
        };
        let mut traits: Vec<_> = amounts
            .into_iter()
            .map(|one| (self.strength(&one), one))
            .collect();
        traits.extend(strongest(&mut { times }));
        traits.extend(strongest(&mut { topics }));
        traits.retain(|(strength, _)| *strength >= 1.0);
        traits.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        traits.truncate(MOST_TRAITS);
        traits.into_iter().map(|(_, one)| one).collect()
    }

    /// Whether a name that says this is still true.
    pub fn still_has(&self, traits: &[Trait]) -> bool {
        match traits {
            [] => self.traits().is_empty(),
            traits => traits.iter().all(|one| self.strength(one) >= KEPT_STRENGTH),
        }
    }

    /// From 1 on it is worth a word.
    fn strength(&self, one: &Trait) -> f64 {
        let amount =
            |dimension: usize| self.centroid[dimension] * (AMOUNTS as f64).sqrt() / TELLING_DEVIATIONS;
        let lift =
            |part: &dyn Fn(&Reads) -> u64, telling: f64| libm::log(self.lift(part)) / libm::log(telling);
        match one {
            Trait::Frequent => amount(0),
            Trait::Occasional => -amount(0),
            Trait::Reacting => amount(4),
            Trait::At(part) => lift(&|reads| reads.by_part[*part as usize], TELLING_TIME),
            Trait::OnWeekends => lift(&|reads| reads.weekend, TELLING_TIME),
            Trait::Of(topic) => {
                let read = |reads: &Reads| reads.topics.get(topic).copied().unwrap_or(0);
                let part = read(self.reads) as f64 / self.reads.all.max(1) as f64;
                if part < LEAST_TOPIC {
                    0.0
                } else {
                    lift(&read, TELLING_TOPIC)
                }
            }
        }
    }

    /// How many times everybody's part the segment's is.
    fn lift(&self, read: &dyn Fn(&Reads) -> u64) -> f64 {
        let everybodys = read(self.everybodys) as f64 / self.everybodys.all.max(1) as f64;
        if everybodys <= 0.0 {
            return 1.0;
        }
        let own = read(self.reads) as f64 + PRIOR_READS * everybodys;
        own / (self.reads.all as f64 + PRIOR_READS) / everybodys
    }
}

/// `frequent evening readers of recipes who react`.
pub(super) fn name(traits: &[Trait]) -> String {
    let word = |word: fn(&Trait) -> Option<&str>| traits.iter().find_map(word);
    let amount = word(|one| match one {
        Trait::Frequent => Some("frequent"),
        Trait::Occasional => Some("occasional"),
        _ => None,
    });
    let time = word(|one| match one {
        Trait::At(PartOfDay::Night) => Some("night"),
        Trait::At(PartOfDay::Morning) => Some("morning"),
        Trait::At(PartOfDay::Afternoon) => Some("afternoon"),
        Trait::At(PartOfDay::Evening) => Some("evening"),
        Trait::OnWeekends => Some("weekend"),
        _ => None,
    });
    let topic = word(|one| {
        if let Trait::Of(topic) = one {
            Some(topic)
        } else {
            None
        }
    });
    let of = topic.map(|topic| format!("of {topic}"));
    let reacting = word(|one| matches!(one, Trait::Reacting).then_some("who react"));
    let plain = traits.is_empty().then_some("average");
    let words = [plain, amount, time, Some("readers"), of.as_deref(), reacting];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(all: u64, by_part: [u64; 4], topics: &[(&str, u64)]) -> Reads {
        let topics = topics
            .iter()
            .map(|(topic, read)| ((*topic).to_owned(), *read))
            .collect();
        Reads {
            all,
            by_part,
            weekend: all / 4,
            topics,
        }
    }

    fn profile<'a>(centroid: &'a [f64], reads: &'a Reads, everybodys: &'a Reads) -> Profile<'a> {
        Profile {
            centroid,
            reads,
            everybodys,
        }
    }

    #[test]
    fn names_say_what_sets_a_segment_apart() {
        let everybodys = reads(
            100_000,
            [10_000, 30_000, 30_000, 30_000],
            &[("news", 60_000), ("recipes", 20_000)],
        );
        let evening = reads(
            10_000,
            [500, 1_500, 1_000, 7_000],
            &[("news", 5_000), ("recipes", 5_000)],
        );
        let named = |centroid: [f64; 5], reads| name(&profile(&centroid, reads, &everybodys).traits());
        assert_eq!(named([0.0; 5], &evening), "evening readers of recipes");
        assert_eq!(
            named([0.4, 0.0, 0.0, 0.0, 0.0], &evening),
            "frequent evening readers of recipes"
        );
        assert_eq!(
            named([-0.4, 0.0, 0.0, 0.0, 0.5], &everybodys),
            "occasional readers who react"
        );
        assert_eq!(named([0.0; 5], &everybodys), "average readers");
        assert_eq!(named([0.0; 5], &Reads::default()), "average readers");
    }

    #[test]
    fn rare_topics_and_few_reads_make_no_name() {
        let everybodys = reads(100_000, [25_000; 4], &[("rare", 100), ("news", 60_000)]);
        let few_of_it = reads(10_000, [2_500; 4], &[("rare", 90), ("news", 6_000)]);
        let few_reads = reads(4, [0, 0, 0, 4], &[("news", 4)]);
        for own in [few_of_it, few_reads] {
            assert_eq!(profile(&[0.0; 5], &own, &everybodys).traits(), []);
        }
    }

    #[test]
    fn a_name_is_kept_while_it_is_half_true() {
        let everybodys = reads(100_000, [25_000; 4], &[]);
        let still = |evening: u64| {
            let own = reads(10_000, [10_000 - evening, 0, 0, evening], &[]);
            profile(&[0.0; 5], &own, &everybodys).still_has(&[Trait::At(PartOfDay::Evening)])
        };
        assert!(still(3_500) && still(3_000) && !still(2_700));
        let own = reads(10_000, [0, 0, 0, 10_000], &[]);
        assert!(
            !profile(&[0.0; 5], &own, &everybodys).still_has(&[]),
            "they are average no more"
        );
    }
}
