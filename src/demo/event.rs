use super::client::Channel;
use super::topics::{Language, Topic};

/// Who an event says it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    /// The device's anonymous id alone.
    Visitor,
    /// That, and the user's.
    Both,
    /// The user's alone, as a server or a mail knows it.
    User,
}

/// Where on the site something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// On a server, or in a mail.
    Nowhere,
    Home,
    Article(u32),
}

/// An event that is to be sent, before it is text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) at: i64,
    /// A person's number.
    pub(super) person: u32,
    /// A place of `client::agent`; `None` on a server.
    pub(super) agent: Option<u8>,
    /// Which of the person's devices, and so which anonymous id.
    pub(super) device: u8,
    pub(super) ids: Ids,
    /// On the first page of a visit.
    pub(super) entry: Option<Channel>,
    pub(super) page: Page,
    pub(super) what: What,
}

/// What happens. Articles, and people in their place, are numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    Page,
    Identify,
    SignedUp,
    Viewed(u32),
    /// Engaged time of a content's page, from 15 s on; `more` is what came since the heartbeat before.
    Read {
        article: u32,
        seconds: u16,
        more: u16,
    },
    /// The same of other pages, and of a content's page that is left before.
    Engaged {
        article: Option<u32>,
        seconds: u16,
        more: u16,
    },
    Completed(u32),
    VideoStarted(u32),
    VideoCompleted(u32),
    Shared {
        article: u32,
        network: u8,
    },
    Commented(u32),
    Liked(u32),
    Followed(u32),
    Searched {
        topic: Topic,
        language: Language,
        number: u32,
    },
    Subscribed(u8),
    Opened {
        newsletter: u8,
        issue: u32,
    },
    Clicked {
        newsletter: u8,
        issue: u32,
        article: u32,
    },
    Published(u32),
    Unpublished(u32),
    Ordered {
        product: u8,
        number: u16,
    },
    Shown {
        article: u32,
        position: u8,
    },
    Recommended {
        article: u32,
        position: u8,
    },
}

/// What can be ordered, and for how much: cents.
pub(super) const PRODUCTS: [(&str, u32); 4] = [
    ("Annual subscription", 9_600),
    ("Gift subscription", 4_850),
    ("Cookbook", 2_490),
    ("Tote bag", 1_590),
];
pub(super) const CURRENCY: &str = "EUR";
pub(super) const NETWORKS: [&str; 3] = ["mail", "facebook", "whatsapp"];

/// Names as they are counted: of a track event its name, of others the type. In the order of [`What::label`].
pub(super) const LABELS: [&str; 22] = [
    "page",
    "identify",
    "Signed Up",
    "Article Viewed",
    "Article Read",
    "Page Engaged",
    "Article Completed",
    "Video Playback Started",
    "Video Content Completed",
    "Article Shared",
    "Article Commented",
    "Article Liked",
    "Author Followed",
    "Searched",
    "Newsletter Subscribed",
    "Newsletter Opened",
    "Newsletter Clicked",
    "Article Published",
    "Article Unpublished",
    "Order Completed",
    "Recommendation Shown",
    "Recommendation Clicked",
];

impl What {
    /// Its place in [`LABELS`].
    pub(super) fn label(self) -> usize {
        match self {
            Self::Page => 0,
            Self::Identify => 1,
            Self::SignedUp => 2,
            Self::Viewed(_) => 3,
            Self::Read { .. } => 4,
            Self::Engaged { .. } => 5,
            Self::Completed(_) => 6,
            Self::VideoStarted(_) => 7,
            Self::VideoCompleted(_) => 8,
            Self::Shared { .. } => 9,
            Self::Commented(_) => 10,
            Self::Liked(_) => 11,
            Self::Followed(_) => 12,
            Self::Searched { .. } => 13,
            Self::Subscribed(_) => 14,
            Self::Opened { .. } => 15,
            Self::Clicked { .. } => 16,
            Self::Published(_) => 17,
            Self::Unpublished(_) => 18,
            Self::Ordered { .. } => 19,
            Self::Shown { .. } => 20,
            Self::Recommended { .. } => 21,
        }
    }
}
