use std::ops::Range;

use rand::Rng as _;
use serde::Serialize;

use super::articles::Article;
use super::calendar::{Calendar, HOUR, MINUTE};
use super::random::{Purpose, stream};
use super::visit::{Errand, Visit};

/// Something unusual that a dashboard or an alert should show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Anomaly {
    /// Nothing comes for a while.
    Outage,
    /// One article is shared and many strangers come for it.
    Spike,
    /// Robots fetch pages by the thousand.
    BotWave,
}

/// Events of a spike and of a wave, as multiples of what usually comes in that time.
const SPIKE: f64 = 8.0;
const WAVE: f64 = 10.0;
/// Events of a visitor who only passes by.
const EVENTS_OF_A_PASSER_BY: f64 = 4.0;
/// How long a live run goes on as usual before an anomaly, and between two.
const BEFORE: i64 = MINUTE;
const APART: i64 = 10 * MINUTE;

/// When an anomaly is, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) anomaly: Anomaly,
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Anomaly {
    /// History: which share of the days is over by then, the hour, and for how many hours.
    fn planned(self) -> (f64, usize, usize) {
        match self {
            Self::Outage => (0.4, 9, 6),
            Self::Spike => (0.6, 18, 3),
            Self::BotWave => (0.8, 2, 2),
        }
    }

    /// Live: for how many minutes.
    fn minutes(self) -> i64 {
        match self {
            Self::Outage | Self::BotWave => 3,
            Self::Spike => 5,
        }
    }

    /// How many strangers or robots it takes, where so many events come a day as a rule.
    pub(super) fn crowd(self, window: Window, events_a_day: f64) -> u32 {
        let usual = events_a_day * (window.to - window.from) as f64 / (24 * HOUR) as f64;
        let each = f64::from(super::bots::WAVE_PAGES * super::bots::EVENTS_A_PAGE);
        match self {
            Self::Outage => 0,
            Self::Spike => (usual * SPIKE / EVENTS_OF_A_PASSER_BY).max(20.0) as u32,
            Self::BotWave => (usual * WAVE / each).max(3.0) as u32,
        }
    }
}

/// Where the anomalies of a history are: on days of their own in a long one.
pub(super) fn in_history(anomalies: &[Anomaly], calendar: &Calendar, days: i32) -> Vec<Window> {
    let window = |anomaly: &Anomaly| {
        let (share, hour, hours) = anomaly.planned();
        let day = calendar.day((share * f64::from(days)) as i32);
        Window {
            anomaly: *anomaly,
            from: day.at(hour, 0.0),
            to: day.at(hour + hours, 0.0),
        }
    };
    anomalies.iter().map(window).collect()
}

/// One after the other, soon after the start.
pub(super) fn live(anomalies: &[Anomaly], start: i64) -> Vec<Window> {
    let begins = (0..).map(|nth| start + BEFORE + nth * APART);
    let window = |(anomaly, from): (&Anomaly, i64)| Window {
        anomaly: *anomaly,
        from,
        to: from + anomaly.minutes() * MINUTE,
    };
    anomalies.iter().zip(begins).map(window).collect()
}

/// The strangers of a spike: most of them in its first half.
pub(super) fn passers_by<'a>(
    seed: u64,
    strangers: Range<u32>,
    window: Window,
    articles: &'a [Article],
) -> impl Iterator<Item = Visit> + use<'a> {
    let article = shared(articles, window.from);
    strangers.filter_map(move |person| {
        let mut random = stream(seed, Purpose::Anomaly, person.into(), 0);
        let share: f64 = random.random::<f64>() * random.random::<f64>();
        Some(Visit {
            at: window.from + ((window.to - window.from) as f64 * share * 0.9) as i64,
            person,
            purpose: Errand::Pass { article: article? },
            seed: random.random(),
        })
    })
}

/// The newest article that stays.
fn shared(articles: &[Article], at: i64) -> Option<u32> {
    let is_offered = |article: &Article| article.published_at < at && article.withdrawn_at == i64::MAX;
    let newest = articles
        .iter()
        .rposition(|article| is_offered(article) && !article.is_video)?;
    u32::try_from(newest).ok()
}
