//! What one stream did without a long pause, on one day.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::content::{Moment, Reading};
use super::{Act, Arrival, Verb};
use crate::identity::SESSION_GAP;

/// In microseconds.
pub(super) const GAP: i64 = SESSION_GAP.as_micros() as i64;

/// How often things were done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub events: i64,
    pub pages: i64,
    pub shares: i64,
    pub comments: i64,
    pub likes: i64,
    pub follows: i64,
    pub searches: i64,
    pub published: i64,
    pub orders: i64,
    /// In millionths.
    pub revenue: i64,
    pub newsletter_opens: i64,
    pub newsletter_clicks: i64,
    pub recommendations_shown: i64,
    pub recommendations_clicked: i64,
}

impl Counts {
    fn of(act: &Act) -> Self {
        let mut counts = Self {
            events: 1,
            ..Self::default()
        };
        let counted = match act.verb {
            Verb::Page => &mut counts.pages,
            Verb::Shared => &mut counts.shares,
            Verb::Commented => &mut counts.comments,
            Verb::Liked => &mut counts.likes,
            Verb::Followed => &mut counts.follows,
            Verb::Searched => &mut counts.searches,
            Verb::Published => &mut counts.published,
            Verb::Ordered => &mut counts.orders,
            Verb::NewsletterOpened => &mut counts.newsletter_opens,
            Verb::NewsletterClicked => &mut counts.newsletter_clicks,
            Verb::RecommendationShown => &mut counts.recommendations_shown,
            Verb::RecommendationClicked => &mut counts.recommendations_clicked,
            _ => return counts,
        };
        *counted = 1;
        if act.verb == Verb::Ordered {
            counts.revenue = act.revenue;
        }
        counts
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.combine(other, |one, another| one + another)
    }

    /// What is left without `other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.combine(other, |one, another| one - another)
    }

    fn combine(self, other: Self, join: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            events: join(self.events, other.events),
            pages: join(self.pages, other.pages),
            shares: join(self.shares, other.shares),
            comments: join(self.comments, other.comments),
            likes: join(self.likes, other.likes),
            follows: join(self.follows, other.follows),
            searches: join(self.searches, other.searches),
            published: join(self.published, other.published),
            orders: join(self.orders, other.orders),
            revenue: join(self.revenue, other.revenue),
            newsletter_opens: join(self.newsletter_opens, other.newsletter_opens),
            newsletter_clicks: join(self.newsletter_clicks, other.newsletter_clicks),
            recommendations_shown: join(self.recommendations_shown, other.recommendations_shown),
            recommendations_clicked: join(self.recommendations_clicked, other.recommendations_clicked),
        }
    }
}

/// The arrival of the earliest event, of those that name a page if any does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct First {
    has_no_page: bool,
    pub at: Moment,
    pub arrival: Arrival,
}

/// Events of one stream on one day with no pause of more than 30 minutes between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragment {
    /// In microseconds of UTC since 1970, as all times here.
    pub started: i64,
    pub ended: i64,
    pub first: First,
    pub counts: Counts,
    /// The local hours with an event, a bit each.
    pub hours: u32,
    /// By content id.
    pub readings: BTreeMap<String, Reading>,
    /// Engaged seconds with pages that are no content, by path: of each the greatest.
    pub pages: BTreeMap<String, u32>,
    /// The latest word on the newsletter.
    pub subscribed: Option<(Moment, bool)>,
    pub signed_up_at: Option<i64>,
}

impl Fragment {
    /// One event alone.
    pub fn new(act: &Act) -> Self {
        let at = act.at.as_microsecond();
        let moment = (at, act.id);
        let reads = matches!(
            act.verb,
            Verb::Viewed | Verb::Read | Verb::Completed | Verb::Engaged
        );
        let content = act.content.as_ref().filter(|_| reads);
        let readings = content.map(|content| {
            let reading = Reading::new(act.verb, act.engaged_seconds, act.about());
            (content.id.clone(), reading)
        });
        let page = match (&act.content, act.verb) {
            (None, Verb::Engaged) => act.arrival.landing_path.clone(),
            _ => None,
        };
        Self {
            started: at,
            ended: at,
            first: First {
                has_no_page: act.arrival.landing_path.is_none(),
                at: moment,
                arrival: act.arrival.clone(),
            },
            counts: Counts::of(act),
            hours: 1 << act.hour,
            readings: readings.into_iter().collect(),
            pages: page.map(|path| (path, act.engaged_seconds)).into_iter().collect(),
            subscribed: match act.verb {
                Verb::Subscribed => Some((moment, true)),
                Verb::Unsubscribed => Some((moment, false)),
                _ => None,
            },
            signed_up_at: (act.verb == Verb::SignedUp).then_some(at),
        }
    }

    /// Joins another one. Commutative and associative.
    pub fn merge(&mut self, other: &Self) {
        self.started = self.started.min(other.started);
        self.ended = self.ended.max(other.ended);
        if other.first < self.first {
            self.first.clone_from(&other.first);
        }
        self.counts = self.counts.plus(other.counts);
        self.hours |= other.hours;
        for (content, reading) in &other.readings {
            match self.readings.get_mut(content) {
                Some(known) => known.merge(reading),
                None => {
                    self.readings.insert(content.clone(), reading.clone());
                }
            }
        }
        for (path, seconds) in &other.pages {
            let known = self.pages.entry(path.clone()).or_default();
            *known = (*known).max(*seconds);
        }
        self.subscribed = self.subscribed.max(other.subscribed);
        self.signed_up_at = earlier(self.signed_up_at, other.signed_up_at);
    }

    /// Attention on content and on other pages.
    pub fn engaged_seconds(&self) -> i64 {
        let contents = self.readings.values().map(|reading| reading.engaged_seconds);
        contents.chain(self.pages.values().copied()).map(i64::from).sum()
    }

    /// Whether no more than a session's longest pause lies between them.
    pub fn is_near(&self, other: &Self) -> bool {
        self.started <= other.ended.saturating_add(GAP) && other.started <= self.ended.saturating_add(GAP)
    }
}

/// The earlier of two times that may be unknown.
pub(super) fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Adds a fragment to others that lie apart, and joins those that it brings together.
pub(super) fn insert(fragments: &mut Vec<Fragment>, mut added: Fragment) {
    let near = |fragment: &mut Fragment| fragment.is_near(&added);
    let joined: Vec<_> = fragments.extract_if(.., near).collect();
    for fragment in &joined {
        added.merge(fragment);
    }
    let at = fragments.partition_point(|fragment| fragment.started < added.started);
    fragments.insert(at, added);
}
