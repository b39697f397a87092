/// Somebody who comes, or gets a mail, at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Visit {
    pub(super) at: i64,
    pub(super) person: u32,
    pub(super) purpose: Errand,
    /// Of the random numbers that it is played with.
    pub(super) seed: u64,
}

/// What they come for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Errand {
    Read,
    /// Opens an issue of a newsletter, and comes by it if a link is clicked.
    Mail {
        newsletter: u8,
        issue: u32,
        clicks: bool,
    },
    /// Comes for one article and nothing else.
    Pass {
        article: u32,
    },
    /// Fetches pages, one after the other.
    Crawl {
        pages: u16,
    },
    Publish {
        article: u32,
    },
    Withdraw {
        article: u32,
    },
}
