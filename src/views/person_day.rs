//! A day of a person.

use std::collections::BTreeMap;

use super::Piece;
use super::content::{ContentDay, Moment};
use super::fragment::{Counts, Fragment, earlier, insert};

/// Everything that a person did on a local day, but for how its sessions hang together with other days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonDay {
    /// In order of time.
    pub pieces: Vec<Piece>,
    pub counts: Counts,
    pub hours: u32,
    /// By content id.
    pub contents: BTreeMap<String, ContentDay>,
    /// Attention on content and on other pages.
    pub engaged_seconds: i64,
    pub subscribed: Option<(Moment, bool)>,
    pub signed_up_at: Option<i64>,
}

impl PersonDay {
    /// From the fragments of all streams that were the person's then, in any order. `None` where there are none.
    pub fn new<'a>(fragments: impl IntoIterator<Item = &'a Fragment>) -> Option<Self> {
        let mut visits = Vec::new();
        for fragment in fragments {
            insert(&mut visits, fragment.clone());
        }
        if visits.is_empty() {
            return None;
        }
        let mut day = Self {
            pieces: visits.iter().map(Piece::new).collect(),
            ..Self::default()
        };
        for visit in &visits {
            day.counts = day.counts.plus(visit.counts);
            day.hours |= visit.hours;
            day.engaged_seconds += visit.engaged_seconds();
            day.subscribed = day.subscribed.max(visit.subscribed);
            day.signed_up_at = earlier(day.signed_up_at, visit.signed_up_at);
            for (content, reading) in &visit.readings {
                let known = day.contents.entry(content.clone()).or_default();
                known.engaged_seconds += i64::from(reading.engaged_seconds);
                known.reading.merge(reading);
            }
        }
        Some(day)
    }

    /// Contents read.
    pub fn reads(&self) -> i64 {
        self.contents
            .values()
            .filter(|content| content.reading.read)
            .count() as i64
    }

    /// Contents read to the end.
    pub fn completed_reads(&self) -> i64 {
        self.contents
            .values()
            .filter(|content| content.reading.completed)
            .count() as i64
    }

    /// When the day's first and last event were.
    pub fn bounds(&self) -> (i64, i64) {
        let first = self.pieces.first().map_or(i64::MAX, |piece| piece.started);
        let last = self.pieces.iter().map(|piece| piece.ended).max();
        (first, last.unwrap_or(i64::MIN))
    }

    /// The weights of the day's topics, or of its authors.
    pub fn weights<'a>(&'a self, by: By) -> BTreeMap<&'a str, i64> {
        let mut weights = BTreeMap::new();
        for content in self.contents.values() {
            let Some(about) = &content.reading.about else {
                continue;
            };
            let mut add = |name: &'a str| *weights.entry(name).or_insert(0) += content.reading.weight();
            match by {
                By::Topic => about.topics.iter().for_each(|topic| add(topic)),
                By::Author => about.author.iter().for_each(|author| add(author)),
            }
        }
        weights.retain(|_, weight| *weight > 0);
        weights
    }
}

/// What somebody may like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Topic,
    Author,
}
