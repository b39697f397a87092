//! Sums in which old things count less, exact whatever the order.

use serde::{Deserialize, Serialize};

use super::Day;

/// Days in which a weight halves.
pub const HALF_LIFE: i32 = 30;
/// Half-lives of a block.
const BLOCK: i32 = 16;
const DAYS: i32 = HALF_LIFE * BLOCK;
/// Of the fixed point: the weight 1 on a block's first day.
const ONE: f64 = 65_536.0;

/// The sum of weights, each halved every 30 days.
///
/// Time is cut into blocks of 16 half-lives. A weight is kept as it looks from the first day of its block, as an integer, so
/// that sums do not depend on the order. Of the blocks, the newest in which there is anything counts and the one before
/// it; what is older would count less than 2⁻¹⁶ of what is new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decayed {
    block: i32,
    newest: i64,
    before: i64,
}

impl Decayed {
    /// A weight on a day.
    pub fn new(weight: i64, day: Day) -> Self {
        let block = day.0.div_euclid(DAYS);
        let age = day.0.rem_euclid(DAYS);
        let growth = f64::exp2(f64::from(age) / f64::from(HALF_LIFE));
        Self {
            block,
            // Rounded once for each day and not for each weight, so that weights of a day may come apart.
            newest: weight * (growth * ONE).round() as i64,
            before: 0,
        }
    }

    /// Adds another sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        if self.is_zero() {
            return other;
        }
        if other.is_zero() {
            return self;
        }
        let (new, old) = if self.block >= other.block {
            (self, other)
        } else {
            (other, self)
        };
        match new.block - old.block {
            0 => Self {
                block: new.block,
                newest: new.newest + old.newest,
                before: new.before + old.before,
            },
            1 => Self {
                before: new.before + old.newest,
                ..new
            },
            _ => new,
        }
    }

    /// Whether nothing was added.
    pub fn is_zero(&self) -> bool {
        self.newest == 0 && self.before == 0
    }

    /// The sum as it looks from a day.
    pub fn on(&self, day: Day) -> f64 {
        let since = f64::from(self.block * DAYS - day.0) / f64::from(HALF_LIFE);
        let sum = self.newest as f64 + self.before as f64 * f64::exp2(-f64::from(BLOCK));
        sum / ONE * f64::exp2(since)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_weight_halves_in_a_half_life() {
        let sum = Decayed::new(8, Day(1000));
        assert!((sum.on(Day(1000)) - 8.0).abs() < 1e-3);
        assert!((sum.on(Day(1000 + HALF_LIFE)) - 4.0).abs() < 1e-3);
        let with_old = sum.plus(Decayed::new(8, Day(1000 - HALF_LIFE)));
        assert!((with_old.on(Day(1000)) - 12.0).abs() < 1e-3);
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter(weights in prop::collection::vec((1..50_i64, -2000..4000), 1..20), seed in any::<prop::sample::Index>()) {
            let sum = |weights: &[(i64, i32)]| weights.iter().fold(Decayed::default(), |sum, (weight, day)| sum.plus(Decayed::new(*weight, Day(*day))));
            let mut turned = weights.clone();
            turned.rotate_left(seed.index(weights.len()));
            let (left, right) = weights.split_at(seed.index(weights.len()));
            prop_assert_eq!(sum(&weights), sum(&turned));
            prop_assert_eq!(sum(&weights), sum(left).plus(sum(right)));
        }

        #[test]
        fn it_is_the_sum_of_what_has_decayed(weights in prop::collection::vec((1..50_i64, 0..DAYS), 1..20)) {
            let sum = weights.iter().fold(Decayed::default(), |sum, (weight, day)| sum.plus(Decayed::new(*weight, Day(*day))));
            let plain: f64 = weights.iter().map(|(weight, day)| *weight as f64 * f64::exp2(-f64::from(DAYS - day) / f64::from(HALF_LIFE))).sum();
            prop_assert!((sum.on(Day(DAYS)) - plain).abs() <= plain * 1e-3);
        }
    }
}
