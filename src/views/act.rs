//! One event, reduced to what views need.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::arrival::{Arrival, short};
use super::content::About;
use super::{Day, Verb, Zone};
use crate::event::{Event, EventKind, is_of_a_request, is_placeholder};
use crate::identity::{believed_user, facts};

/// Longest text that is kept of a property, in bytes.
const MAX_TEXT: usize = 300;
/// The most topics of one piece of content.
const MAX_TOPICS: usize = 8;
/// The longest engaged time that a page view can have; beyond it a clock is broken.
const MAX_ENGAGED: f64 = 86_400.0;

/// What one event says about people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// When it happened: as the client says, but never after it was accepted.
    pub at: Timestamp,
    pub id: Uuid,
    pub day: Day,
    /// 0 to 23.
    pub hour: u8,
    pub anonymous_id: Option<String>,
    /// The user, where the source is to be believed.
    pub user_id: Option<String>,
    pub verb: Verb,
    pub content: Option<Content>,
    pub engaged_seconds: u32,
    /// In millionths.
    pub revenue: i64,
    pub arrival: Arrival,
    /// Pairs of an anonymous id and a user that it joins.
    pub joins: Vec<(String, String)>,
}

/// The content that an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub id: String,
    pub kind: Option<String>,
    pub title: Option<String>,
    pub author: Option<String>,
    pub topics: Vec<String>,
    pub language: Option<String>,
    pub word_count: Option<i64>,
}

/// Only the properties that the vocabulary has. A value of another type is as good as none.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Properties {
    content_id: Value,
    content_type: Value,
    title: Value,
    author: Value,
    author_id: Value,
    topics: Value,
    topic: Value,
    language: Value,
    word_count: Value,
    engaged_seconds: Value,
    revenue: Value,
    total: Value,
    url: Value,
}

impl Act {
    /// Reads a stored event. `None` for one that is nobody's, or a bot's.
    pub fn new(event: &Event<'_>, zone: &Zone) -> Option<Self> {
        let names = |id: &str| !is_placeholder(id) && !is_of_a_request(id);
        let anonymous_id = event.anonymous_id.as_deref().filter(|id| names(id));
        let user_id = believed_user(event);
        if event.is_bot || anonymous_id.is_none() && user_id.is_none() {
            return None;
        }
        let at = event.occurred_at.min(event.accepted_at);
        let (day, hour) = zone.day_and_hour(at);
        let verb = match (event.kind, event.event.as_deref()) {
            (EventKind::Track, Some(name)) => Verb::named(name),
            (EventKind::Page | EventKind::Screen, _) => Verb::Page,
            _ => Verb::Other,
        };
        let properties = event.properties.as_ref().map_or("", |raw| raw.get());
        let properties: Properties = match verb {
            Verb::Other | Verb::Page => Properties::default(),
            _ => serde_json::from_str(properties).unwrap_or_default(),
        };
        let joins = match event.trusted {
            true => facts(event)
                .into_iter()
                .map(|fact| (fact.anonymous_id.into_owned(), fact.user_id.to_owned()))
                .collect(),
            false => Vec::new(),
        };
        Some(Self {
            at,
            id: event.event_id,
            day,
            hour,
            anonymous_id: anonymous_id.map(str::to_owned),
            user_id: user_id.map(str::to_owned),
            verb,
            engaged_seconds: seconds(&properties.engaged_seconds),
            revenue: match verb {
                Verb::Ordered => millionths(&properties.revenue)
                    .or(millionths(&properties.total))
                    .unwrap_or(0),
                _ => 0,
            },
            content: Content::new(properties),
            arrival: Arrival::from_context(event.context.as_ref().map_or("", |raw| raw.get())),
            joins,
        })
    }

    /// What the event says of its content, if it names an author or topics.
    pub(super) fn about(&self) -> Option<About> {
        let content = self.content.as_ref()?;
        (content.author.is_some() || !content.topics.is_empty()).then(|| About {
            told: (self.at.as_microsecond(), self.id),
            author: content.author.clone(),
            topics: content.topics.clone(),
        })
    }
}

impl Content {
    /// Whether there is more than its id.
    pub fn says_something(&self) -> bool {
        self.kind.is_some() || self.title.is_some() || self.author.is_some() || !self.topics.is_empty()
    }

    fn new(properties: Properties) -> Option<Self> {
        let id = text(&properties.content_id).or(text(&properties.url))?;
        let mut topics: Vec<_> = match &properties.topics {
            Value::Array(topics) => topics.iter().filter_map(text).collect(),
            one => text(one).or(text(&properties.topic)).into_iter().collect(),
        };
        topics.sort_unstable();
        topics.dedup();
        topics.truncate(MAX_TOPICS);
        Some(Self {
            id,
            kind: text(&properties.content_type),
            title: text(&properties.title),
            author: text(&properties.author).or(text(&properties.author_id)),
            topics,
            language: text(&properties.language),
            word_count: properties.word_count.as_i64(),
        })
    }
}

fn text(value: &Value) -> Option<String> {
    let found = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    // PostgreSQL's text takes no NUL, which jsonb refuses as well.
    (!found.is_empty()).then(|| short(&found, MAX_TEXT))
}

fn seconds(value: &Value) -> u32 {
    let seconds = number(value).unwrap_or(0.0);
    seconds.clamp(0.0, MAX_ENGAGED) as u32
}

/// An amount of money in millionths, rounded; at most 10⁹, so that thousands of the greatest fit into a sum.
fn millionths(value: &Value) -> Option<i64> {
    let amount = number(value)?;
    (amount.abs() <= 1e9).then(|| (amount * 1e6).round() as i64)
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::borrow::Cow;

    use super::*;
    use crate::event::{Origin, RawJson};

    fn act(properties: &str, context: &str) -> Act {
        let at = "2026-11-24T10:00:00Z".parse().unwrap();
        let event = Event {
            v: 1,
            event_id: Uuid::nil(),
            kind: EventKind::Track,
            received_at: at,
            accepted_at: at,
            occurred_at: at,
            original_timestamp: None,
            sent_at: None,
            event: Some(Cow::Borrowed("Order Completed")),
            name: None,
            user_id: None,
            anonymous_id: Some(Cow::Borrowed("a")),
            group_id: None,
            previous_id: None,
            message_id: None,
            source: Cow::Borrowed("page"),
            trusted: false,
            is_bot: false,
            origin: Origin::Live,
            properties: Some(RawJson::Scanned(Cow::Borrowed(properties))),
            traits: None,
            context: Some(RawJson::Scanned(Cow::Borrowed(context))),
        };
        Act::new(&event, &Zone::utc()).unwrap()
    }

    #[test]
    fn a_property_of_another_type_costs_only_itself() {
        let act = act(
            r#"{"content_id": 7, "url": {"a": 1}, "title": ["x"], "topics": [1, null, "b", "b"], "author": true, "word_count": "many",
                "revenue": "12.50", "engaged_seconds": -4}"#,
            r#"{"page": 7}"#,
        );
        let content = act.content.unwrap();
        assert_eq!(
            (content.id.as_str(), content.title, content.author),
            ("7", None, None)
        );
        assert_eq!(content.topics, ["1", "b"]);
        assert_eq!(content.word_count, None);
        assert_eq!((act.revenue, act.engaged_seconds), (12_500_000, 0));
    }

    #[test]
    fn absurd_amounts_and_times_count_nothing_or_a_day_at_most() {
        let act = act(
            r#"{"revenue": 1e300, "total": 3, "engaged_seconds": 1e300, "word_count": 9223372036854775807}"#,
            "{}",
        );
        assert_eq!((act.revenue, act.engaged_seconds), (3_000_000, 86_400));
        assert!(act.content.is_none(), "nothing says which");
    }
}
