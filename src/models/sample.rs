//! Samples of people that depend on who they are and on nothing else.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// A person's place in the order in which samples take people: a hash of the seed and the person's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u128);

/// One of five parts that people fall into, whatever sample they are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fold(u8);

impl Fold {
    pub const COUNT: usize = 5;

    pub fn index(self) -> usize {
        self.0.into()
    }
}

impl Rank {
    pub fn of(seed: u64, person: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(seed.to_be_bytes())
            .chain_update(person)
            .finalize();
        Self(
            digest
                .iter()
                .take(16)
                .fold(0, |rank, byte| rank << 8 | u128::from(*byte)),
        )
    }

    /// By the low bits, where samples go by the high ones.
    pub fn fold(self) -> Fold {
        Fold((self.0 % Fold::COUNT as u128) as u8)
    }

    /// Someone of a level n or above is one of 2ⁿ.
    pub(super) fn level(self) -> u8 {
        self.0.leading_zeros() as u8
    }
}

/// At most so many people: those of the lowest ranks. The order in which they come does not matter.
#[derive(Clone, Debug)]
pub struct Sample<T> {
    capacity: usize,
    offered: u64,
    kept: BTreeMap<Rank, T>,
}

impl<T> Sample<T> {
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            offered: 0,
            kept: BTreeMap::new(),
        }
    }

    /// Each person is to come once. `value` is only asked for where the person is kept.
    pub fn add(&mut self, rank: Rank, value: impl FnOnce() -> T) {
        self.offered += 1;
        let is_full = self.kept.len() >= self.capacity;
        if is_full && self.kept.last_key_value().is_none_or(|(last, _)| rank > *last) {
            return;
        }
        self.kept.insert(rank, value());
        if self.kept.len() > self.capacity {
            self.kept.pop_last();
        }
    }

    /// How many people came.
    pub fn offered(&self) -> u64 {
        self.offered
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// By rank.
    pub fn iter(&self) -> impl Iterator<Item = (Rank, &T)> {
        self.kept.iter().map(|(rank, value)| (*rank, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(people: impl Iterator<Item = u32>, capacity: usize) -> Vec<u32> {
        let mut sample = Sample::new(capacity);
        people.for_each(|person| sample.add(Rank::of(7, &person.to_string()), || person));
        sample.iter().map(|(_, person)| *person).collect()
    }

    #[test]
    fn a_sample_is_bounded_and_does_not_depend_on_the_order() {
        let all = sample(0..5_000, 300);
        assert_eq!(all.len(), 300);
        assert_eq!(all, sample((0..5_000).rev(), 300));
        assert!(all.starts_with(&sample(0..5_000, 100)));
        assert_eq!(sample(0..5_000, 0), Vec::<u32>::new());
        let mean = all.iter().sum::<u32>() / 300;
        assert!((2_200..2_800).contains(&mean), "{mean}");
    }

    #[test]
    fn ranks_are_those_of_the_published_hash() {
        // printf '\0\0\0\0\0\0\0\0ada' | sha256sum
        assert_eq!(Rank::of(0, "ada"), Rank(RANK_OF_ADA));
        assert_ne!(Rank::of(1, "ada"), Rank::of(0, "ada"));
    }

    #[test]
    fn folds_and_levels_part_people_evenly() {
        let mut folds = [0; Fold::COUNT];
        let mut upper = 0;
        for person in 0..10_000 {
            let rank = Rank::of(0, &person.to_string());
            folds[rank.fold().index()] += 1;
            upper += u32::from(rank.level() >= 2);
        }
        assert!(
            folds.iter().all(|people| (1_800..2_200).contains(people)),
            "{folds:?}"
        );
        assert!((2_300..2_700).contains(&upper), "{upper}");
    }

    const RANK_OF_ADA: u128 = 0x7d3ec2c3444dbaa3522085ea5a8188eb;
}
