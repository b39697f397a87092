//! When a segment is full, and which segments go. Pure.

use std::time::Duration;

use jiff::Timestamp;

/// When segments are closed and when they go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// A segment of so many bytes is closed.
    pub(super) segment_bytes: u64,
    /// How long records stay; zero: until they are released.
    pub(super) retention: Duration,
    /// How many bytes stay.
    pub(super) total_bytes: u64,
}

/// A segment that takes no more frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// For each partition the offset behind its last record.
    pub(super) ends: Vec<i64>,
    /// The newest append time in it, in microseconds.
    pub(super) newest: i64,
    pub(super) bytes: u64,
}

impl Policy {
    /// Says whether a segment is large or old enough to be closed, so that slow logs expire in steps as well.
    /// `oldest` is the append time of its first record, in microseconds.
    pub(super) fn closes(&self, bytes: u64, oldest: i64, is_released: bool, now: Timestamp) -> bool {
        let age = now.as_microsecond().saturating_sub(oldest);
        let is_old = match self.retention.is_zero() {
            true => is_released,
            false => age >= micros(self.retention) / 8,
        };
        bytes >= self.segment_bytes || is_old
    }

    /// Decides how many of the closed segments go, oldest first: the expired ones, then more until the rest fits,
    /// `growing` bytes of the open segment included. None goes that holds a record at or beyond `released`.
    pub(super) fn expired(&self, closed: &[Closed], growing: u64, released: &[i64], now: Timestamp) -> usize {
        let horizon = now.as_microsecond().saturating_sub(micros(self.retention));
        let mut total = growing + closed.iter().map(|segment| segment.bytes).sum::<u64>();
        let mut count = 0;
        for segment in closed {
            let is_released = segment
                .ends
                .iter()
                .zip(released)
                .all(|(end, released)| end <= released);
            let is_due = segment.newest <= horizon || total > self.total_bytes;
            if !(is_released && is_due) {
                break;
            }
            total -= segment.bytes;
            count += 1;
        }
        count
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy {
        segment_bytes: 100,
        retention: Duration::from_micros(800),
        total_bytes: 1000,
    };

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_microsecond(micros).unwrap()
    }

    #[test]
    fn a_segment_closes_by_size_or_by_age() {
        assert!(!POLICY.closes(99, 1000, true, at(1099)));
        assert!(POLICY.closes(100, 1000, false, at(1000)));
        assert!(POLICY.closes(1, 1000, false, at(1100)));
        let nothing_kept = Policy {
            retention: Duration::ZERO,
            ..POLICY
        };
        assert!(!nothing_kept.closes(1, 1000, false, at(9000)));
        assert!(nothing_kept.closes(1, 1000, true, at(1000)));
    }

    proptest! {
        #[test]
        fn what_goes_is_released_and_what_stays_is_young_and_fits_or_is_not_released(
            sizes in vec((1..400u64, 0..3i64, 0..3i64), 0..12),
            released in vec(0..20i64, 2),
            growing in 0..300u64,
            now in 0..20_000i64,
        ) {
            let mut ends = vec![0, 0];
            let closed: Vec<_> = sizes.iter().zip(1..).map(|((bytes, one, other), number)| {
                ends[0] += one;
                ends[1] += other;
                Closed { ends: ends.clone(), newest: number * 1000, bytes: *bytes }
            }).collect();
            let is_released = |segment: &Closed| segment.ends[0] <= released[0] && segment.ends[1] <= released[1];
            let count = POLICY.expired(&closed, growing, &released, at(now));
            prop_assert!(closed[..count].iter().all(is_released));
            if let Some(next) = closed.get(count).filter(|next| is_released(next)) {
                let left: u64 = closed[count..].iter().map(|segment| segment.bytes).sum();
                prop_assert!(next.newest >= now - 800);
                prop_assert!(left + growing <= POLICY.total_bytes);
            }
        }
    }
}
