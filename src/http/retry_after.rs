//! When a client that was refused for now shall come again: the one place that computes a Retry-After.

use std::time::Duration;

/// Bounds of the wait for room, in seconds before the jitter.
const ROOM: (f64, f64) = (1.0, 30.0);
/// Bounds of the wait for a log that takes nothing. Nobody frees a disk or mends a network in a second.
const OUTAGE: (f64, f64) = (5.0, 60.0);

/// Seconds until so many bytes are worked off at a rate of bytes a second.
pub(super) fn for_room(bytes: usize, rate: f64) -> u64 {
    jittered(bytes as f64 / rate, ROOM)
}

/// Seconds to wait in an outage that has lasted so long: as long again, since how long it has lasted is all that is
/// known of how long it will.
pub fn for_outage(lasted: Duration) -> u64 {
    jittered(lasted.as_secs_f64(), OUTAGE)
}

/// Up to as long again at random, so that clients do not come back together.
fn jittered(wait: f64, (shortest, longest): (f64, f64)) -> u64 {
    let wait = wait.clamp(shortest, longest);
    rand::random_range(wait..=wait * 2.0).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_follows_load_and_outage_within_bounds() {
        let within = |wait: u64, from: u64, to: u64| assert!((from..=to).contains(&wait), "{wait}");
        for _ in 0..100 {
            within(for_room(0, 1e6), 1, 2);
            within(for_room(10_000_000, 1e6), 10, 20);
            within(for_room(usize::MAX, 1.0), 30, 60);
            within(for_outage(Duration::ZERO), 5, 10);
            within(for_outage(Duration::from_secs(20)), 20, 40);
            within(for_outage(Duration::from_secs(86_400)), 60, 120);
        }
    }

    #[test]
    fn clients_do_not_come_back_together() {
        let waits: std::collections::HashSet<u64> =
            (0..100).map(|_| for_outage(Duration::from_secs(30))).collect();
        assert!(waits.len() > 5, "{waits:?}");
    }
}
