//! The row that people look at, as it is on one day.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::lifecycle::{changed_on, stage_on, usual_gap};
use super::state::PersonState;
use super::{Day, Decayed, PersonKey, Stage, rfv};

/// Weight of the site's average in what somebody is said to like: as much as ten views of one article.
const PRIOR: f64 = 10.0;
/// The most topics, and the most authors, of a person that are shown.
pub const MOST_LIKED: usize = 20;
/// Days within which the next change by time alone is looked for; later ones are found on the way.
const AHEAD: i32 = 120;

/// What the site's readers like on the average; frozen, and an input to every view.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shares {
    pub topics: BTreeMap<String, f64>,
    pub authors: BTreeMap<String, f64>,
}

/// How much somebody likes a topic or an author.
#[derive(Clone, Debug, PartialEq)]
pub struct Affinity {
    pub name: String,
    /// The weight as of the person's last active day.
    pub score: f64,
    /// Of all that the person reads, 0 to 1.
    pub share: f64,
    /// The share over that of the site's readers, both smoothed; above 1: more than they.
    pub lift: f64,
}

/// Everything of a row that changes by time alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timed {
    stage: Option<Stage>,
    active_days_28d: usize,
    rfv_score: i64,
    rfv_tier: &'static str,
}

/// A person's row of `user_views`. Times are in microseconds of UTC since 1970.
#[derive(Clone, Debug, PartialEq)]
pub struct UserView {
    pub person_id: Uuid,
    pub user_id: Option<String>,
    pub anonymous_ids_count: i64,
    pub state: PersonState,
    pub stage: Stage,
    pub stage_since: Day,
    pub usual_gap: i32,
    pub active_days_28d: i64,
    pub completion_rate: f64,
    pub preferred_hour: Option<i16>,
    pub preferred_weekday: Option<i16>,
    pub rfv_score: i64,
    pub rfv_tier: &'static str,
    pub topics: Vec<Affinity>,
    pub authors: Vec<Affinity>,
    /// Names of the topics that the person likes more than others do, best first; at most three.
    pub favourite_topics: Vec<String>,
    pub favourite_author: Option<String>,
    pub affinity_confidence: f64,
    /// The first later day on which the row is another one although nothing happens.
    pub next_change: Option<Day>,
}

impl UserView {
    /// The row of a person who was active at least once until `today`. `None` for one whose first day is still to come.
    pub fn new(
        person: &PersonKey,
        anonymous_ids: usize,
        state: &PersonState,
        shares: &Shares,
        today: Day,
    ) -> Option<Self> {
        let timed = Timed::on(state, today);
        let last = state.days.last()?;
        let topics = affinities(&state.topics, &shares.topics, last);
        let authors = affinities(&state.authors, &shares.authors, last);
        let total = state.topics.values().fold(0.0, |total, sum| total + sum.on(last));
        Some(Self {
            person_id: person.person_id(),
            user_id: person.user_id().map(str::to_owned),
            anonymous_ids_count: anonymous_ids as i64,
            stage: timed.stage?,
            stage_since: changed_on(&state.days, today)?,
            usual_gap: usual_gap(&state.days, today.min(last)),
            active_days_28d: timed.active_days_28d as i64,
            completion_rate: (state.completed_reads as f64 + 1.0) / (state.reads as f64 + 2.0),
            preferred_hour: most(state.hours.iter().map(|days| u64::from(*days))),
            preferred_weekday: preferred_weekday(state),
            rfv_score: timed.rfv_score,
            rfv_tier: timed.rfv_tier,
            favourite_topics: favourites(&topics, 3),
            favourite_author: favourites(&authors, 1).pop(),
            topics,
            authors,
            affinity_confidence: total / (total + PRIOR),
            next_change: next_change(state, today, timed),
            state: state.clone(),
        })
    }

    /// The name that most visits had.
    pub fn primary(counts: &BTreeMap<String, u32>) -> Option<&str> {
        // Of equals the first in the alphabet.
        let best = counts.iter().rev().max_by_key(|(_, count)| **count)?;
        Some(best.0)
    }

    /// Newsletter: the latest word, if there was one.
    pub fn is_subscriber(&self) -> bool {
        self.state.subscribed.is_some_and(|(_, subscribed)| subscribed)
    }

    /// Who writes: an article, or a comment.
    pub fn is_contributor(&self) -> bool {
        self.state.counts.published + self.state.counts.comments > 0
    }
}

impl Timed {
    fn on(state: &PersonState, day: Day) -> Self {
        Self {
            stage: stage_on(&state.days, day),
            active_days_28d: state.days.count_in(day.plus(-28), day),
            rfv_score: rfv::score(state, day),
            rfv_tier: rfv::tier(state, day),
        }
    }
}

fn next_change(state: &PersonState, today: Day, now: Timed) -> Option<Day> {
    let later = (1..=AHEAD).map(|days| today.plus(days));
    let change = later.clone().find(|day| Timed::on(state, *day) != now);
    // With nothing ahead for so long there is nothing at all, but for days that are still to come.
    let is_settled = state.days.last().is_none_or(|last| last <= today);
    change.or((!is_settled).then(|| today.plus(AHEAD)))
}

fn affinities(liked: &BTreeMap<String, Decayed>, shares: &BTreeMap<String, f64>, last: Day) -> Vec<Affinity> {
    let scores: Vec<_> = liked.iter().map(|(name, sum)| (name, sum.on(last))).collect();
    let total: f64 = scores.iter().map(|(_, score)| score).sum();
    let mut affinities: Vec<_> = scores
        .into_iter()
        .filter(|(_, score)| *score >= 0.01)
        .map(|(name, score)| {
            // What nobody else was seen to like yet counts as rare.
            let usual = shares.get(name).copied().unwrap_or(0.0).max(0.001);
            Affinity {
                name: name.clone(),
                score,
                share: score / total,
                lift: (score + PRIOR * usual) / (total + PRIOR) / usual,
            }
        })
        .collect();
    affinities.sort_by(|one, other| {
        other
            .score
            .total_cmp(&one.score)
            .then_with(|| one.name.cmp(&other.name))
    });
    affinities.truncate(MOST_LIKED);
    affinities
}

/// By how much more of the person's reading they are than of the others'.
fn favourites(affinities: &[Affinity], most: usize) -> Vec<String> {
    let excess = |affinity: &Affinity| affinity.share - affinity.share / affinity.lift;
    let mut liked: Vec<_> = affinities.iter().filter(|affinity| affinity.lift > 1.0).collect();
    liked.sort_by(|one, other| {
        excess(other)
            .total_cmp(&excess(one))
            .then_with(|| one.name.cmp(&other.name))
    });
    liked.truncate(most);
    liked.into_iter().map(|affinity| affinity.name.clone()).collect()
}

fn preferred_weekday(state: &PersonState) -> Option<i16> {
    let mut counts = [0_u64; 7];
    for day in state.days.iter() {
        counts[day.weekday()] += 1;
    }
    // ISO: 1 for Monday.
    most(counts).map(|weekday| weekday + 1)
}

/// The place of the greatest number, the first of equals; none where all are zero.
fn most(counts: impl IntoIterator<Item = u64>) -> Option<i16> {
    let best = counts
        .into_iter()
        .enumerate()
        .reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    (best.1 > 0).then_some(best.0 as i16)
}
