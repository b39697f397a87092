//! Finds the keys that make a large part of a partition: all of a person's events go to one, so that a busy one
//! (a bot, a placeholder for everybody) cannot be spread by more partitions.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// Records are counted over so long.
const WINDOW: Duration = Duration::from_secs(60);
/// What a key needs to be hot.
const LEAST_SHARE: f64 = 0.1;
/// Below so many counted records a window says nothing.
const LEAST_COUNTED: u64 = 100;
/// One record of so many is counted, which is enough for shares.
const STRIDE: u64 = 13;
/// Keys that are remembered; a share may come out too small by the reciprocal of it.
const REMEMBERED: usize = 64;

/// A key that made much of a partition's records in the last window, and how much at least.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hot {
    pub(super) key: Bytes,
    pub(super) share: f64,
}

/// Counts the keys of one partition, in bounded memory ("space-saving": a key that is new takes the place and the count
/// of the rarest one).
#[derive(Debug)]
pub(super) struct HotKeys {
    counts: HashMap<Bytes, Count>,
    counted: u64,
    seen: u64,
    ends: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    count: u64,
    /// What of it may belong to keys that had the place before.
    inherited: u64,
}

impl HotKeys {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            counts: HashMap::new(),
            counted: 0,
            seen: 0,
            ends: now + WINDOW,
        }
    }

    /// Counts a record. Those without a key belong to nobody and are spread anyhow.
    pub(super) fn see(&mut self, key: &Bytes) {
        self.seen += 1;
        if !self.seen.is_multiple_of(STRIDE) {
            return;
        }
        self.counted += 1;
        if key.is_empty() {
            return;
        }
        if let Some(known) = self.counts.get_mut(key) {
            known.count += 1;
            return;
        }
        let inherited = match self.counts.len() < REMEMBERED {
            true => 0,
            false => self.take_rarest(),
        };
        let count = Count {
            count: inherited + 1,
            inherited,
        };
        // A copy, which does not hold the request's body.
        self.counts.insert(Bytes::copy_from_slice(key), count);
    }

    fn take_rarest(&mut self) -> u64 {
        let rarest = self.counts.iter().min_by_key(|(_, count)| count.count);
        let Some((key, count)) = rarest.map(|(key, count)| (key.clone(), count.count)) else {
            return 0;
        };
        self.counts.remove(&key);
        count
    }

    /// The hot keys of the window, hottest first, when it has ended; then the next begins.
    pub(super) fn close(&mut self, now: Instant) -> Option<Vec<Hot>> {
        if now < self.ends {
            return None;
        }
        let (counts, counted) = (std::mem::take(&mut self.counts), self.counted);
        *self = Self::new(now);
        if counted < LEAST_COUNTED {
            return Some(Vec::new());
        }
        let hot = counts.into_iter().filter_map(|(key, count)| {
            let share = (count.count - count.inherited) as f64 / counted as f64;
            (share >= LEAST_SHARE).then_some(Hot { key, share })
        });
        let mut hot: Vec<_> = hot.collect();
        hot.sort_by(|one, other| other.share.total_cmp(&one.share));
        Some(hot)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn closed(keys: impl Iterator<Item = String>) -> Vec<Hot> {
        let began = Instant::now();
        let mut found = HotKeys::new(began);
        for key in keys {
            found.see(&key.into());
            assert!(found.counts.len() <= REMEMBERED);
        }
        assert_eq!(found.close(began), None);
        let hot = found.close(began + WINDOW).unwrap();
        assert_eq!(
            found.close(began + WINDOW),
            None,
            "the next window has just begun"
        );
        hot
    }

    #[test]
    fn a_busy_key_among_many_is_found_with_its_share() {
        let hot = closed((0..100_000).map(|number| match number % 10 {
            0..3 => "busy".to_owned(),
            _ => format!("u-{number}"),
        }));
        assert_eq!(hot.len(), 1, "{hot:?}");
        assert_eq!(hot[0].key, "busy");
        assert!((0.27..0.31).contains(&hot[0].share), "{hot:?}");
    }

    #[test]
    fn nobody_is_hot_where_all_are_alike_or_few_events_came() {
        assert_eq!(
            closed((0..100_000).map(|number| format!("u-{}", number % 500))),
            []
        );
        assert_eq!(closed((0..100_000).map(|number| format!("u-{number}"))), []);
        assert_eq!(closed((0..1000).map(|_| "alone".to_owned())), []);
        assert_eq!(closed((0..100_000).map(|_| String::new())), []);
    }
}
