//! Events of a content platform, the same ones for the same seed.

use jiff::Timestamp;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

/// Mean length of an event's JSON, in bytes, that the figures are stated for.
pub const EVENT_BYTES: usize = 770;
const PERSONS: f64 = 50_000.0;
const ARTICLES: f64 = 4_000.0;
const ID_LENGTH: usize = 36;

/// Name and share of a hundred events.
const NAMES: [(&str, u32); 6] = [
    ("Article Viewed", 60),
    ("Article Read", 18),
    ("Video Played", 9),
    ("Topic Followed", 4),
    ("Newsletter Opened", 6),
    ("Article Shared", 3),
];
const WORDS: [&str; 24] = [
    "sleep",
    "newborn",
    "feeding",
    "toddler",
    "school",
    "pregnancy",
    "recipe",
    "doctor",
    "week",
    "birth",
    "nursery",
    "holiday",
    "budget",
    "partner",
    "vaccine",
    "language",
    "first",
    "months",
    "evening",
    "calm",
    "teeth",
    "walking",
    "simple",
    "questions",
];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:132.0) Gecko/20100101 Firefox/132.0",
];
const REFERRERS: [&str; 4] = [
    "https://www.google.com/",
    "https://www.facebook.com/",
    "https://news.example.com/today",
    "",
];

/// Makes events.
pub struct Traffic(SmallRng);

impl Traffic {
    pub fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// A random id of an event, as SDKs make them.
    pub fn id(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.0.random()).into_uuid()
    }

    /// The JSON of one event that happened at `at`.
    pub fn event(&mut self, id: Uuid, at: Timestamp) -> String {
        let person = self.few_are_frequent(PERSONS);
        let article = self.few_are_frequent(ARTICLES);
        let rng = &mut self.0;
        let user = match person % 3 {
            0 => format!(r#""userId":"u-{person}","#),
            _ => String::new(),
        };
        let name = name(rng.random_range(0..100));
        let title: Vec<_> = (0..7).filter_map(|_| WORDS.choose(rng).copied()).collect();
        let (title, topic) = (title.join(" "), WORDS[article % WORDS.len()]);
        let agent = AGENTS[person % AGENTS.len()];
        let referrer = REFERRERS[rng.random_range(0..REFERRERS.len())];
        format!(
            r#"{{"type":"track","event":"{name}","messageId":"{id}",{user}"anonymousId":"{}","timestamp":"{at:.3}","properties":{{"content_id":"a-{article}","title":"{title}","topics":["{topic}","family"],"author":"author-{}","read_ratio":0.{:03},"words":{},"position":{},"paywall":{}}},"context":{{"userAgent":"{agent}","locale":"de-DE","page":{{"url":"https://example.org/{topic}/a-{article}","path":"/{topic}/a-{article}","referrer":"{referrer}","title":"{title}"}},"library":{{"name":"analytics.js","version":"2.11.1"}}}}}}"#,
            Uuid::from_u64_pair(person as u64, 0x8000_0000_0000_0000),
            article % 200,
            rng.random_range(0..1000),
            rng.random_range(150..3000),
            rng.random_range(1..40),
            rng.random_bool(0.1),
        )
    }

    /// The JSON of a batch, and where its events' ids stand.
    pub fn batch(&mut self, events: usize, at: Timestamp) -> (Vec<u8>, Vec<usize>) {
        let events: Vec<_> = (0..events)
            .map(|_| {
                let id = self.id();
                self.event(id, at)
            })
            .collect();
        batch_of(&events, at)
    }

    /// A number below `limit`; the square makes small ones frequent.
    fn few_are_frequent(&mut self, limit: f64) -> usize {
        let drawn: f64 = self.0.random();
        (drawn * drawn * limit) as usize
    }
}

/// Puts events into a batch; returns where their ids stand in it.
pub fn batch_of(events: &[String], at: Timestamp) -> (Vec<u8>, Vec<usize>) {
    let body = format!(r#"{{"batch":[{}],"sentAt":"{at:.3}"}}"#, events.join(","));
    let ids = id_places(&body);
    (body.into_bytes(), ids)
}

/// Where the values of `messageId` stand.
pub fn id_places(body: &str) -> Vec<usize> {
    const MEMBER: &str = r#""messageId":""#;
    body.match_indices(MEMBER)
        .map(|(at, _)| at + MEMBER.len())
        .collect()
}

/// Writes new ids at the places.
pub fn renew_ids(body: &mut [u8], places: &[usize], rng: &mut SmallRng) {
    for place in places {
        let id = uuid::Builder::from_random_bytes(rng.random()).into_uuid();
        id.hyphenated().encode_lower(&mut body[*place..place + ID_LENGTH]);
    }
}

/// Fails where the events have drifted from the size that the figures are stated for.
pub fn check_size() -> usize {
    let mut traffic = Traffic::new(1);
    let total: usize = (0..2000)
        .map(|_| {
            let id = traffic.id();
            traffic.event(id, Timestamp::UNIX_EPOCH).len()
        })
        .sum();
    let mean = total / 2000;
    assert!(
        mean.abs_diff(EVENT_BYTES) <= 15,
        "events have {mean} bytes, not about {EVENT_BYTES}"
    );
    mean
}

fn name(percent: u32) -> &'static str {
    let mut below = 0;
    NAMES
        .iter()
        .find(|(_, share)| {
            below += share;
            percent < below
        })
        .map_or(NAMES[0].0, |(name, _)| name)
}
