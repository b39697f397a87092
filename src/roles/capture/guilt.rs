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

    /// How many of a batch of `all` events may be guilty.
    pub(super) fn left(&self, all: usize) -> usize {
        self.0.max(all as f64 * PER_GOOD_EVENT) as usize
    }

    /// Takes the cost of guilty events.
    pub(super) fn spend(&mut self, guilty: usize) {
        self.0 = (self.0 - guilty as f64).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_pass_and_a_flood_does_not() {
        let mut allowance = Allowance::new();
        assert_eq!(allowance.left(1), 10);
        allowance.spend(10);
        assert_eq!(allowance.left(1), 0);
        allowance.earn(100);
        assert_eq!(allowance.left(1), 1);
        assert_eq!(allowance.left(5_000), 50);
        allowance.earn(1_000_000);
        assert_eq!(allowance.left(1), 100);
    }
}
