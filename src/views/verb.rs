//! What an event means to a content platform. docs/events.md has the list for people.

use serde::{Deserialize, Serialize};

/// The meaning of an event's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    Viewed,
    Read,
    Completed,
    /// Time on something that is no article, or too little of it to have read.
    Engaged,
    Shared,
    Commented,
    Liked,
    Followed,
    Searched,
    Published,
    Unpublished,
    Subscribed,
    Unsubscribed,
    NewsletterOpened,
    NewsletterClicked,
    SignedUp,
    Ordered,
    RecommendationShown,
    RecommendationClicked,
    /// A page or screen call.
    Page,
    /// Anything else: it counts as activity and no more.
    Other,
}

/// The names that the vocabulary has for each meaning.
pub const NAMES: [(&str, Verb); 22] = [
    ("Article Viewed", Verb::Viewed),
    ("Article Read", Verb::Read),
    ("Article Completed", Verb::Completed),
    ("Video Playback Started", Verb::Viewed),
    ("Video Content Completed", Verb::Completed),
    ("Page Engaged", Verb::Engaged),
    ("Article Shared", Verb::Shared),
    ("Article Commented", Verb::Commented),
    ("Article Liked", Verb::Liked),
    ("Author Followed", Verb::Followed),
    ("Searched", Verb::Searched),
    ("Article Published", Verb::Published),
    ("Article Unpublished", Verb::Unpublished),
    ("Newsletter Subscribed", Verb::Subscribed),
    ("Newsletter Unsubscribed", Verb::Unsubscribed),
    ("Newsletter Opened", Verb::NewsletterOpened),
    ("Newsletter Clicked", Verb::NewsletterClicked),
    ("Signed Up", Verb::SignedUp),
    ("Order Completed", Verb::Ordered),
    ("Recommendation Shown", Verb::RecommendationShown),
    ("Recommendation Clicked", Verb::RecommendationClicked),
    ("Products Searched", Verb::Searched),
];

impl Verb {
    /// By the name of a track event; letter case does not matter.
    pub fn named(name: &str) -> Self {
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or(Self::Other, |(_, verb)| *verb)
    }
}
