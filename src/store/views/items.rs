//! What content there is, as events tell.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::table::{Values, column};
use crate::views::{Act, Content, Verb};

type Moment = (Timestamp, Uuid);

/// What a batch's events say of one piece of content. Joined in any order, it comes to the same.
pub(super) struct Item<'a> {
    id: &'a str,
    /// The last event that says anything of it, and what it says.
    told: Option<(Moment, &'a Content)>,
    /// The last word on whether it is to be had, and when that was.
    available: Option<(Timestamp, bool)>,
    published_at: Option<Timestamp>,
    first_seen_at: Timestamp,
    last_seen_at: Timestamp,
}

pub(super) fn collect(acts: &[Act]) -> Vec<Item<'_>> {
    let mut items = BTreeMap::<&str, Item<'_>>::new();
    for act in acts {
        let Some(content) = &act.content else { continue };
        let item = items.entry(&content.id).or_insert(Item {
            id: &content.id,
            told: None,
            available: None,
            published_at: None,
            first_seen_at: act.at,
            last_seen_at: act.at,
        });
        item.first_seen_at = item.first_seen_at.min(act.at);
        item.last_seen_at = item.last_seen_at.max(act.at);
        let told = (act.at, act.id);
        if content.says_something() && item.told.is_none_or(|(known, _)| known < told) {
            item.told = Some((told, content));
        }
        let availability = match act.verb {
            Verb::Published => Some((act.at, true)),
            Verb::Unpublished => Some((act.at, false)),
            _ => None,
        };
        item.available = item.available.max(availability);
        if act.verb == Verb::Published {
            item.published_at = Some(item.published_at.map_or(act.at, |known| known.min(act.at)));
        }
    }
    items.into_values().collect()
}

pub(super) fn values(items: &[Item<'_>]) -> Vec<Values> {
    let text = |of: fn(&Content) -> Option<String>| {
        column(items, move |item| item.told.and_then(|(_, told)| of(told)))
    };
    vec![
        column(items, |item| item.id.to_owned()),
        text(|told| told.kind.clone()),
        text(|told| told.title.clone()),
        text(|told| told.author.clone()),
        // An array of arrays would have to be a matrix.
        column(items, |item| {
            item.told
                .map(|(_, told)| told.topics.join("\u{1f}"))
                .unwrap_or_default()
        }),
        text(|told| told.language.clone()),
        column(items, |item| item.told.and_then(|(_, told)| told.word_count)),
        column(items, |item| {
            item.available.is_none_or(|(_, available)| available)
        }),
        column(items, |item| item.published_at),
        column(items, |item| item.first_seen_at),
        column(items, |item| item.last_seen_at),
        column(items, |item| {
            item.told.map_or(Timestamp::UNIX_EPOCH, |((at, _), _)| at)
        }),
        column(items, |item| item.told.map_or(Uuid::nil(), |((_, by), _)| by)),
        column(items, |item| {
            item.available.map_or(Timestamp::UNIX_EPOCH, |(at, _)| at)
        }),
    ]
}
