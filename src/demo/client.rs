//! What people read with, and how they come.

/// A browser, mail program or robot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agent {
    pub(super) text: &'static str,
    /// `phone`, `tablet`, `desktop`; empty for robots.
    pub(super) device: &'static str,
    pub(super) os: &'static str,
}

/// People's; the first [`PHONES`] are phones.
pub(super) const AGENTS: [Agent; 8] = [
    Agent {
        text: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
        device: "phone",
        os: "iOS",
    },
    Agent {
        text: "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
        device: "phone",
        os: "Android",
    },
    Agent {
        text: "Mozilla/5.0 (Android 15; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0",
        device: "phone",
        os: "Android",
    },
    Agent {
        text: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
        device: "desktop",
        os: "Windows",
    },
    Agent {
        text: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
        device: "desktop",
        os: "macOS",
    },
    Agent {
        text: "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
        device: "desktop",
        os: "Windows",
    },
    Agent {
        text: "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
        device: "desktop",
        os: "Linux",
    },
    Agent {
        text: "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
        device: "tablet",
        os: "iPadOS",
    },
];
pub(super) const PHONES: u8 = 3;
/// All of [`AGENTS`].
pub(super) const AGENT_COUNT: u8 = 8;

/// Robots'; a place from [`AGENT_COUNT`] on is one of these.
pub(super) const ROBOTS: [Agent; 5] = [
    robot("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    robot("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"),
    robot(
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    ),
    robot("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"),
    robot(
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/141.0.0.0 Safari/537.36",
    ),
];
/// The one of [`ROBOTS`] that a wave is made of.
pub(super) const HEADLESS: u8 = AGENT_COUNT + 4;
/// Those of [`ROBOTS`] that say who they are.
pub(super) const CRAWLERS: u8 = 4;

const fn robot(text: &'static str) -> Agent {
    Agent {
        text,
        device: "",
        os: "",
    }
}

pub(super) fn agent(place: u8) -> Agent {
    match AGENTS.get(usize::from(place)) {
        Some(agent) => *agent,
        None => ROBOTS[usize::from(place - AGENT_COUNT) % ROBOTS.len()],
    }
}

/// How somebody came to a visit's first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Direct,
    /// One of [`SEARCH`].
    Search(u8),
    /// One of [`SOCIAL`].
    Social(u8),
    /// One of [`REFERRAL`].
    Referral(u8),
    /// One of `mail::NEWSLETTERS`.
    Newsletter(u8),
}

const SEARCH: [&str; 3] = [
    "https://www.google.com/",
    "https://www.bing.com/",
    "https://duckduckgo.com/",
];
const SOCIAL: [&str; 3] = [
    "https://www.facebook.com/",
    "https://t.co/",
    "https://www.reddit.com/",
];
const SOCIAL_NAMES: [&str; 3] = ["facebook", "x", "reddit"];
const REFERRAL: [&str; 2] = [
    "https://blog.example.net/links",
    "https://forum.example.org/t/4711",
];
pub(super) const SEARCHES: u8 = 3;
pub(super) const SOCIALS: u8 = 3;
pub(super) const REFERRALS: u8 = 2;

impl Channel {
    pub(super) const NAMES: [&str; 5] = ["direct", "search", "social", "referral", "newsletter"];

    /// Its place in [`Channel::NAMES`].
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Direct => 0,
            Self::Search(_) => 1,
            Self::Social(_) => 2,
            Self::Referral(_) => 3,
            Self::Newsletter(_) => 4,
        }
    }

    /// The page before; mail programs and bookmarks tell none.
    pub(super) fn referrer(self) -> &'static str {
        match self {
            Self::Direct | Self::Newsletter(_) => "",
            Self::Search(which) => SEARCH[which as usize],
            Self::Social(which) => SOCIAL[which as usize],
            Self::Referral(which) => REFERRAL[which as usize],
        }
    }

    /// Source, medium and name of the campaign that the address of the landing page has.
    pub(super) fn campaign(self) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Self::Newsletter(which) => Some((super::mail::NEWSLETTERS[which as usize].id, "email", "issue")),
            Self::Social(which) => Some((SOCIAL_NAMES[which as usize], "social", "share")),
            Self::Direct | Self::Search(_) | Self::Referral(_) => None,
        }
    }
}
