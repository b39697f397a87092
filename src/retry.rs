//! Jittered exponential backoff, without a limit of its own: the caller decides when to give up.

use std::time::Duration;

/// Yields growing, jittered waits between attempts.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// Starts at `first` and doubles up to `cap`.
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self {
            first,
            cap,
            attempt: 0,
        }
    }

    /// The next wait: between half and the whole of the exponential step, so that many waiters spread out.
    pub fn next_wait(&mut self) -> Duration {
        let step = self
            .first
            .saturating_mul(2u32.saturating_pow(self.attempt.min(20)))
            .min(self.cap);
        self.attempt = self.attempt.saturating_add(1);
        step.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// How many waits were handed out since the last reset.
    pub fn attempts(&self) -> u32 {
        self.attempt
    }

    /// Begins anew after a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_start_anew_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(80));
        let waits: Vec<_> = (0..6).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] <= Duration::from_millis(10));
        assert!(waits[5] >= Duration::from_millis(40) && waits[5] <= Duration::from_millis(80));
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(10));
    }
}
