//! Pairs of which a worker has written lately all that there is to know, so that busy people cost no writes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use crate::identity::Sighting;

/// The most pairs that are remembered, some 2 MB; each partition has a worker.
const MOST: usize = 16_000;

/// A pair of ids, and of a claim its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pair<'a> {
    pub(super) anonymous_id: &'a str,
    pub(super) user_id: &'a str,
    /// Empty for an edge, which is the same whoever said so.
    pub(super) claimed_by: &'a str,
}

/// At least so much of a pair is in the event store.
#[derive(Clone, Copy, Debug)]
struct Known {
    first: (Timestamp, Uuid),
    last: Date,
}

/// Remembers pairs by two keyed hashes: 128 bits that no client can aim at.
#[derive(Debug, Default)]
pub struct KnownPairs {
    hashers: (RandomState, RandomState),
    known: HashMap<(u64, u64), Known>,
}

impl KnownPairs {
    /// Whether a sighting says more than what is written.
    pub(super) fn is_news(&self, pair: Pair<'_>, sighting: &Sighting<'_>) -> bool {
        self.known.get(&self.key(pair)).is_none_or(|known| {
            (sighting.first_seen_at, sighting.event_id) < known.first || sighting.last_seen_on > known.last
        })
    }

    /// Takes note of what was committed.
    pub(super) fn learn<'a>(&mut self, written: impl IntoIterator<Item = (Pair<'a>, Sighting<'a>)>) {
        for (pair, sighting) in written {
            let key = self.key(pair);
            let first = (sighting.first_seen_at, sighting.event_id);
            let last = sighting.last_seen_on;
            let known = self.known.entry(key).or_insert(Known { first, last });
            known.first = known.first.min(first);
            known.last = known.last.max(last);
        }
        if self.known.len() > MOST {
            self.prune();
        }
    }

    /// Keeps the pairs of the newest day, if they are not too many themselves.
    fn prune(&mut self) {
        let newest = self.known.values().map(|known| known.last).max();
        self.known.retain(|_, known| Some(known.last) == newest);
        if self.known.len() > MOST / 2 {
            self.known.clear();
        }
    }

    fn key(&self, pair: Pair<'_>) -> (u64, u64) {
        (self.hashers.0.hash_one(pair), self.hashers.1.hash_one(pair))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::identity::Evidence;

    fn pair(user_id: &str) -> Pair<'_> {
        Pair {
            anonymous_id: "a",
            user_id,
            claimed_by: "",
        }
    }

    fn sighting(at: &str, id: u128) -> Sighting<'static> {
        Sighting::new(
            at.parse().unwrap(),
            Uuid::from_u128(id),
            "server",
            Evidence::Event,
        )
    }

    #[test]
    fn only_what_changes_an_edge_is_news() {
        let mut known = KnownPairs::default();
        let first = sighting("2026-11-24T10:30:00Z", 2);
        assert!(known.is_news(pair("u"), &first));
        known.learn([(pair("u"), first)]);
        for (at, id, is_news) in [
            ("2026-11-24T10:30:00Z", 2, false),
            ("2026-11-24T23:59:59.999999Z", 1, false),
            ("2026-11-25T00:00:00Z", 3, true),
            ("2026-11-24T10:30:00Z", 1, true),
            ("2026-11-24T10:29:59Z", 3, true),
        ] {
            assert_eq!(known.is_news(pair("u"), &sighting(at, id)), is_news, "{at} {id}");
        }
        assert!(known.is_news(pair("other"), &first));
        let claim = Pair {
            claimed_by: "web",
            ..pair("u")
        };
        assert!(known.is_news(claim, &first));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_present_day_stays() {
        let mut known = KnownPairs::default();
        let users: Vec<_> = (0..=MOST).map(|number| number.to_string()).collect();
        let (old, new) = (
            sighting("2026-11-23T09:00:00Z", 1),
            sighting("2026-11-24T10:00:00Z", 2),
        );
        known.learn([(pair("now"), new)]);
        known.learn(users.iter().map(|user| (pair(user), old)));
        assert_eq!(known.known.len(), 1);
        assert!(!known.is_news(pair("now"), &new));
        known.learn(users.iter().map(|user| (pair(user), new)));
        assert!(known.known.len() <= MOST);
    }
}
