//! Robots: crawlers that come every day, and the wave that is an anomaly.

use std::ops::Range;

use rand::Rng as _;

use super::calendar::Day;
use super::random::{Purpose, stream};
use super::visit::{Errand, Visit};

/// Pages that a crawler fetches a day, and a robot of a wave in all.
const CRAWLED: u16 = 15;
pub(super) const WAVE_PAGES: u16 = 40;
/// Events a page that a robot fetches.
pub(super) const EVENTS_A_PAGE: u16 = 2;

/// What crawlers do on a day.
pub(super) fn crawls(seed: u64, crawlers: Range<u32>, day: &Day) -> impl Iterator<Item = Visit> {
    crawlers.map(move |person| {
        let mut random = stream(seed, Purpose::Bots, person.into(), day.index as u64);
        Visit {
            at: day.at(random.random_range(0..24), random.random_range(0.0..59.0)),
            person,
            purpose: Errand::Crawl { pages: CRAWLED },
            seed: random.random(),
        }
    })
}

/// The robots of a wave, all of them within its time.
pub(super) fn wave(seed: u64, robots: Range<u32>, (from, to): (i64, i64)) -> impl Iterator<Item = Visit> {
    robots.map(move |person| {
        let mut random = stream(seed, Purpose::Anomaly, person.into(), 1);
        Visit {
            at: random.random_range(from..from + (to - from) / 2),
            person,
            purpose: Errand::Crawl { pages: WAVE_PAGES },
            seed: random.random(),
        }
    })
}
