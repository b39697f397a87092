//! Retention's view of a partition: runs of frames that live and die together. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

/// A closed run of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The offset after its last record.
    pub(super) end: i64,
    /// The newest append time in it, in microseconds.
    pub(super) newest: i64,
    /// Bytes of its frames, as stored.
    pub(super) bytes: u64,
}

/// The run of frames that still grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Growing {
    end: i64,
    oldest: i64,
    newest: i64,
    bytes: u64,
}

/// The segments of one partition, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments {
    closed: VecDeque<Segment>,
    growing: Growing,
}

/// When segments are closed and when they go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// A segment of so many bytes is closed.
    pub(super) segment_bytes: u64,
    /// How long records stay.
    pub(super) retention: Duration,
    /// How many bytes stay over all partitions.
    pub(super) total_bytes: u64,
}

impl Policy {
    /// The age at which a growing segment is closed, so that slow partitions expire in steps as well.
    fn segment_age(&self) -> i64 {
        micros(self.retention) / 8
    }
}

impl Segments {
    /// The segments that a store kept; frames behind the last of them are [`add`](Self::add)ed next.
    pub(super) fn new(closed: impl IntoIterator<Item = Segment>) -> Self {
        Self {
            closed: closed.into_iter().collect(),
            growing: Growing::default(),
        }
    }

    /// Where the last closed segment ends, if there is one.
    pub(super) fn closed_end(&self) -> Option<i64> {
        self.closed.back().map(|segment| segment.end)
    }

    /// Adds a frame that ends at `end`.
    pub(super) fn add(&mut self, end: i64, appended_at: i64, bytes: u64) {
        let growing = &mut self.growing;
        if growing.bytes == 0 {
            growing.oldest = appended_at;
            growing.newest = appended_at;
        }
        growing.end = end;
        growing.oldest = growing.oldest.min(appended_at);
        growing.newest = growing.newest.max(appended_at);
        growing.bytes += bytes;
    }

    /// Closes the growing segment when it is large or old enough, and returns it.
    pub(super) fn close_if_due(&mut self, policy: &Policy, now: Timestamp) -> Option<Segment> {
        let growing = self.growing;
        let age = now.as_microsecond().saturating_sub(growing.oldest);
        if growing.bytes == 0 || (growing.bytes < policy.segment_bytes && age < policy.segment_age()) {
            return None;
        }
        let segment = Segment {
            end: growing.end,
            newest: growing.newest,
            bytes: growing.bytes,
        };
        self.closed.push_back(segment);
        self.growing = Growing::default();
        Some(segment)
    }

    /// Takes the oldest `count` closed segments out.
    pub(super) fn take(&mut self, count: usize) -> Vec<Segment> {
        self.closed.drain(..count.min(self.closed.len())).collect()
    }

    fn bytes(&self) -> u64 {
        self.growing.bytes + self.closed.iter().map(|segment| segment.bytes).sum::<u64>()
    }
}

/// Decides how many closed segments of each partition go: the expired ones, then the oldest until the rest
/// fits. `released` bounds it: no segment that ends beyond it goes, whatever its age and the size.
pub(super) fn expired(
    partitions: &[Segments],
    released: &[i64],
    policy: &Policy,
    now: Timestamp,
) -> Vec<usize> {
    let horizon = now.as_microsecond().saturating_sub(micros(policy.retention));
    let removable = |partition: usize, index: usize| {
        partitions[partition]
            .closed
            .get(index)
            .filter(|segment| segment.end <= released[partition])
    };
    let mut counts = vec![0; partitions.len()];
    let mut total: u64 = partitions.iter().map(Segments::bytes).sum();
    for (partition, count) in counts.iter_mut().enumerate() {
        while let Some(segment) = removable(partition, *count).filter(|segment| segment.newest < horizon) {
            total -= segment.bytes;
            *count += 1;
        }
    }
    while total > policy.total_bytes {
        let oldest = (0..partitions.len())
            .filter_map(|partition| Some((removable(partition, counts[partition])?, partition)))
            .min_by_key(|(segment, _)| segment.newest);
        let Some((segment, partition)) = oldest else { break };
        total -= segment.bytes;
        counts[partition] += 1;
    }
    counts
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
        let mut segments = Segments::default();
        assert_eq!(segments.close_if_due(&POLICY, at(5000)), None, "nothing is in it");
        segments.add(3, 1000, 60);
        assert_eq!(segments.close_if_due(&POLICY, at(1099)), None);
        segments.add(5, 1050, 60);
        let closed = segments.close_if_due(&POLICY, at(1050)).unwrap();
        assert_eq!((closed.end, closed.newest, closed.bytes), (5, 1050, 120));
        segments.add(6, 2000, 1);
        assert_eq!(segments.close_if_due(&POLICY, at(2100)).unwrap().end, 6);
    }

    proptest! {
        #[test]
        fn what_goes_is_released_and_what_stays_is_young_and_fits_or_is_not_released(
            sizes in vec(vec(1..400u64, 0..12), 1..4),
            released in vec(0..13i64, 4),
            now in 0..20_000i64,
        ) {
            let partitions: Vec<_> = sizes.iter().map(|sizes| {
                let closed = sizes.iter().zip(1i64..).map(|(bytes, end)| Segment {
                    end, newest: end * 1000, bytes: *bytes,
                });
                Segments::new(closed)
            }).collect();
            let counts = expired(&partitions, &released, &POLICY, at(now));
            let mut left = 0;
            let mut stuck = true;
            for (partition, count) in counts.iter().enumerate() {
                let closed = &partitions[partition].closed;
                prop_assert!(closed.iter().take(*count).all(|segment| segment.end <= released[partition]));
                if let Some(next) = closed.get(*count).filter(|next| next.end <= released[partition]) {
                    prop_assert!(next.newest >= now - 800);
                    stuck = false;
                }
                left += closed.iter().skip(*count).map(|segment| segment.bytes).sum::<u64>();
            }
            prop_assert!(left <= POLICY.total_bytes || stuck);
        }
    }
}
