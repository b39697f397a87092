//! Counts of equal things over any number of people.

use std::collections::BTreeMap;

use crate::models::Rank;

/// How many people have which key.
///
/// The memory is that of `capacity` keys, however many people there are. Where there would be more, half of the people
/// are left out, by their rank, and so on. What remains does not depend on the order in which they came.
#[derive(Clone, Debug)]
pub struct Histogram<K> {
    capacity: usize,
    /// By the level of the people, so that the lowest can be left out.
    levels: BTreeMap<u8, BTreeMap<K, u64>>,
    keys: usize,
    lowest: u8,
}

impl<K: Ord> Histogram<K> {
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            levels: BTreeMap::new(),
            keys: 0,
            lowest: 0,
        }
    }

    /// Each person is to come once.
    pub fn add(&mut self, rank: Rank, key: K) {
        if rank.level() < self.lowest {
            return;
        }
        let level = self.levels.entry(rank.level()).or_default();
        let before = level.len();
        *level.entry(key).or_default() += 1;
        self.keys += level.len() - before;
        while self.keys > self.capacity {
            let Some((level, left_out)) = self.levels.pop_first() else {
                break;
            };
            self.keys -= left_out.len();
            self.lowest = level + 1;
        }
    }

    /// One of how many people is in the counts.
    pub fn one_of(&self) -> u64 {
        1_u64.checked_shl(self.lowest.into()).unwrap_or(u64::MAX)
    }

    /// In the order of the keys.
    pub fn into_counts(self) -> BTreeMap<K, u64> {
        let mut counts = BTreeMap::new();
        for (key, people) in self.levels.into_values().flatten() {
            *counts.entry(key).or_default() += people;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(people: impl Iterator<Item = u32>, capacity: usize, keys: u32) -> Histogram<u32> {
        let mut histogram = Histogram::new(capacity);
        people.for_each(|person| histogram.add(Rank::of(0, &person.to_string()), person % keys));
        histogram
    }

    #[test]
    fn few_keys_take_any_number_of_people() {
        let histogram = filled(0..20_000, 100, 5);
        assert_eq!(histogram.one_of(), 1);
        let counts = histogram.into_counts();
        assert_eq!(counts, (0..5).map(|key| (key, 4_000)).collect());
    }

    #[test]
    fn beyond_its_capacity_people_are_left_out_evenly_and_in_any_order() {
        let histogram = filled(0..20_000, 1_000, 10_000);
        let one_of = histogram.one_of();
        assert!(one_of > 1 && histogram.keys <= 1_000);
        let counts = histogram.into_counts();
        let people: u64 = counts.values().sum();
        let expected = 20_000 / one_of;
        assert!(people.abs_diff(expected) < expected / 5, "{people} of {expected}");
        assert_eq!(counts, filled((0..20_000).rev(), 1_000, 10_000).into_counts());
    }
}
