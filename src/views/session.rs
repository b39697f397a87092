//! Sessions of a person, over all devices.

use super::Day;
use super::content::Moment;
use super::fragment::{First, Fragment, GAP};

/// The part of a session on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub started: i64,
    pub ended: i64,
    pub first: First,
    pub events: i64,
    pub pages: i64,
    pub reads: i64,
    pub engaged_seconds: i64,
}

impl Piece {
    /// From a fragment of all of a person's streams together.
    pub fn new(fragment: &Fragment) -> Self {
        Self {
            started: fragment.started,
            ended: fragment.ended,
            first: fragment.first.clone(),
            events: fragment.counts.events,
            pages: fragment.counts.pages,
            reads: fragment.readings.values().filter(|reading| reading.read).count() as i64,
            engaged_seconds: fragment.engaged_seconds(),
        }
    }

    fn join(&mut self, later: &Self) {
        self.ended = self.ended.max(later.ended);
        if later.first < self.first {
            self.first.clone_from(&later.first);
        }
        self.events += later.events;
        self.pages += later.pages;
        self.reads += later.reads;
        self.engaged_seconds += later.engaged_seconds;
    }
}

/// A visit: events of a person without a pause of more than 30 minutes, through midnight too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The day on which it began, to which it is counted.
    pub day: Day,
    /// Whose time is [`Piece::started`]; names the session.
    pub piece: Piece,
}

impl Session {
    /// The first event that tells where the person came from.
    pub fn first(&self) -> &First {
        &self.piece.first
    }

    /// When that was, and which.
    pub fn first_moment(&self) -> Moment {
        self.piece.first.at
    }
}

/// Chains pieces, which are in order of time, to sessions.
pub fn sessions<'a>(pieces: impl IntoIterator<Item = (Day, &'a Piece)>) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    for (day, piece) in pieces {
        match sessions.last_mut() {
            Some(open) if piece.started - open.piece.ended <= GAP => open.piece.join(piece),
            _ => sessions.push(Session {
                day,
                piece: piece.clone(),
            }),
        }
    }
    sessions
}
