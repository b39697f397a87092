//! On the page of an article or a video.

use rand::Rng as _;

use super::super::calendar::SECOND;
use super::super::event::{Ids, NETWORKS, Page, What};
use super::super::people::Kind;
use super::Session;

/// When a page tells that it is still read, in seconds of engaged time; as the pixel does.
const HEARTBEATS: [u16; 3] = [15, 60, 180];
/// From so many seconds on a content counts as read.
const READ: u16 = 15;
const WORDS_A_MINUTE: f64 = 230.0;
/// The longest that anybody looks at a page.
const LONGEST: f64 = 900.0;

impl Session<'_> {
    pub(super) fn look_at(&mut self, article: u32) {
        self.opened.push(article);
        self.state.note(article);
        self.open(Page::Article(article));
        self.tell(What::Viewed(article));
        let (is_video, length) = {
            let article = &self.world.articles[article as usize];
            (article.is_video, f64::from(article.length))
        };
        let whole = if is_video {
            length
        } else {
            length / WORDS_A_MINUTE * 60.0
        };
        let completes = self.random.random_bool(self.person.completes);
        let share = if completes {
            self.random.random_range(0.85..1.3)
        } else if self.person.kind == Kind::NewsSkimmer {
            self.random.random_range(0.02..0.2)
        } else {
            self.random.random_range(0.04..0.75)
        };
        // Whoever reads to the end has read.
        let shortest = if completes { f64::from(READ) + 2.0 } else { 2.0 };
        let seconds = (whole * share).clamp(shortest, LONGEST) as u16;
        if is_video {
            self.at += SECOND;
            self.tell(What::VideoStarted(article));
        }
        self.engage(Some(article), seconds);
        if completes {
            // Told at the end of the text, which is just before the page is left.
            let end = if is_video {
                What::VideoCompleted(article)
            } else {
                What::Completed(article)
            };
            self.push_at(end, self.at - SECOND / 2);
        }
        self.respond(article, completes);
        self.wait(1.0, 12.0);
    }

    /// Sits on a page: heartbeats as the pixel sends them, and the rest on leaving.
    pub(super) fn engage(&mut self, article: Option<u32>, seconds: u16) {
        let begun = self.at;
        let mut told = 0;
        let beats = HEARTBEATS.into_iter().filter(|beat| *beat < seconds);
        for beat in beats.chain([seconds]) {
            self.at = begun + i64::from(beat) * SECOND;
            let more = beat - told;
            told = beat;
            self.tell(match article {
                Some(article) if beat >= READ => What::Read {
                    article,
                    seconds: beat,
                    more,
                },
                article => What::Engaged {
                    article,
                    seconds: beat,
                    more,
                },
            });
        }
    }

    fn respond(&mut self, article: u32, completed: bool) {
        let likely = if completed { 1.0 } else { 0.2 };
        if self.random.random_bool(0.08 * likely) {
            self.at += SECOND;
            self.tell(What::Liked(article));
        }
        if self.random.random_bool(0.03 * likely) {
            self.wait(2.0, 9.0);
            let network = self.random.random_range(0..NETWORKS.len()) as u8;
            self.tell(What::Shared { article, network });
        }
        if self.ids == Ids::Both && self.random.random_bool(0.02 * likely) {
            self.wait(20.0, 120.0);
            self.tell(What::Commented(article));
        }
        if self.ids == Ids::Both && self.random.random_bool(0.015 * likely) {
            self.wait(1.0, 5.0);
            self.tell(What::Followed(article));
        }
    }

    /// What the site recommends below an article; gives what is clicked.
    pub(super) fn recommendation(&mut self, below: u32) -> Option<u32> {
        if !self.random.random_bool(0.4) {
            return None;
        }
        let mut shown: Vec<u32> = Vec::new();
        for position in 1..=2 {
            let Some(article) = self.choose() else { break };
            if article != below && !shown.contains(&article) {
                shown.push(article);
                self.tell(What::Shown { article, position });
            }
        }
        let article = *shown.first()?;
        if !self.random.random_bool(0.25) {
            return None;
        }
        self.wait(1.0, 6.0);
        self.tell(What::Recommended { article, position: 1 });
        Some(article)
    }
}
