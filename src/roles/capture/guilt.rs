/// The most that the allowance can grow to.
const MOST: f64 = 100.0;
/// What it starts with, so that a single bad event on an idle system passes.
const FIRST: f64 = 10.0;
/// What a good event adds: one guilty event in a hundred.
const PER_GOOD_EVENT: f64 = 0.01;

/// Limits how many events PostgreSQL may refuse before capture takes it for a fault of the system: about 1 %.
#[derive(Debug)]
pub(super) struct Allowance(f64);

impl Allowance {
    pub(super) fn new() -> Self {
        Self(FIRST)
    }

    /// Events were stored.
    pub(super) fn earn(&mut self, good: i64) {
        self.0 = (self.0 + good as f64 * PER_GOOD_EVENT).min(MOST);
    }

    /// Takes the cost of `guilty` events out of a batch of `all`, or refuses and takes nothing.
    pub(super) fn spend(&mut self, guilty: usize, all: usize) -> bool {
        let cost = guilty as f64;
        let allowed = self.0.max(all as f64 * PER_GOOD_EVENT);
        if cost > allowed {
            return false;
        }
        self.0 = (self.0 - cost).max(0.0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_pass_and_a_flood_does_not() {
        let mut allowance = Allowance::new();
        assert!((0..10).all(|_| allowance.spend(1, 1)));
        assert!(!allowance.spend(1, 1));
        allowance.earn(100);
        assert!(allowance.spend(1, 1));
        assert!(allowance.spend(50, 5_000));
        assert!(!allowance.spend(101, 5_000));
    }
}
