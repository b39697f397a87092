//! The days on which somebody was active, all of them, at one bit a day.

use serde::{Deserialize, Serialize};

use super::Day;

/// A set of days. Ten years take some 450 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaySet {
    /// The day of the first word's lowest bit; a multiple of 64, so that equal sets are equal values.
    first: i32,
    words: Vec<u64>,
}

impl DaySet {
    /// Adds a day.
    pub fn insert(&mut self, day: Day) {
        let word_day = day.0.div_euclid(64) * 64;
        if self.words.is_empty() {
            self.first = word_day;
        }
        if word_day < self.first {
            let missing = (self.first - word_day) / 64;
            self.words.splice(0..0, std::iter::repeat_n(0, missing as usize));
            self.first = word_day;
        }
        let index = ((word_day - self.first) / 64) as usize;
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        self.words[index] |= 1 << (day.0 - word_day);
    }

    /// The days, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Day> + '_ {
        self.words.iter().enumerate().flat_map(move |(index, word)| {
            let start = self.first + index as i32 * 64;
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| Day(start + bit))
        })
    }

    /// The days that are not after `until`, from the last to the first.
    pub fn iter_back(&self, until: Day) -> impl Iterator<Item = Day> + '_ {
        let words = (until.0 - self.first).div_euclid(64).saturating_add(1).max(0) as usize;
        let words = self.words.iter().enumerate().take(words).rev();
        words
            .flat_map(move |(index, word)| {
                let start = self.first + index as i32 * 64;
                let mut left = *word;
                std::iter::from_fn(move || {
                    let bit = 63_i32 - left.leading_zeros() as i32;
                    (bit >= 0).then(|| {
                        left &= !(1 << bit);
                        Day(start + bit)
                    })
                })
            })
            .skip_while(move |day| *day > until)
    }

    /// The first day.
    pub fn first(&self) -> Option<Day> {
        self.iter().next()
    }

    /// The last day.
    pub fn last(&self) -> Option<Day> {
        let (index, word) = self.words.iter().enumerate().rfind(|(_, word)| **word != 0)?;
        Some(Day(
            self.first + index as i32 * 64 + 63 - word.leading_zeros() as i32
        ))
    }

    /// How many days.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// How many of the days are after `after` and not after `until`.
    pub fn count_in(&self, after: Day, until: Day) -> usize {
        let place = |day: Day| usize::try_from((day.0 - self.first).div_euclid(64)).unwrap_or(0);
        let mut count = 0;
        for index in place(after.plus(1))..=place(until) {
            let start = self.first + index as i32 * 64;
            let word = self.words.get(index).copied().unwrap_or(0);
            if word != 0 {
                let is_within =
                    |bit: i32| word >> bit & 1 == 1 && (after.0 + 1..=until.0).contains(&(start + bit));
                count += (0..64).filter(|bit| is_within(*bit)).count();
            }
        }
        count
    }
}

impl FromIterator<Day> for DaySet {
    fn from_iter<I: IntoIterator<Item = Day>>(days: I) -> Self {
        let mut set = Self::default();
        for day in days {
            set.insert(day);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(days in prop::collection::vec(-1000..40_000, 0..40), after in -1000..40_000, width in 0..400) {
            let set: DaySet = days.iter().copied().map(Day).collect();
            let plain: BTreeSet<_> = days.iter().copied().map(Day).collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), plain.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!((set.first(), set.last()), (plain.first().copied(), plain.last().copied()));
            prop_assert_eq!(set.len(), plain.len());
            let back: Vec<_> = set.iter_back(Day(after)).collect();
            prop_assert_eq!(back, plain.range(..=Day(after)).rev().copied().collect::<Vec<_>>());
            let (after, until) = (Day(after), Day(after + width));
            let counted = plain.iter().filter(|day| **day > after && **day <= until).count();
            prop_assert_eq!(set.count_in(after, until), counted);
            let reversed: DaySet = days.iter().rev().copied().map(Day).collect();
            prop_assert_eq!(set, reversed);
        }
    }
}
