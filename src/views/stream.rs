//! Streams: what events carry of who sent them, and what stays the same whoever they turn out to be.

use serde::{Deserialize, Serialize};

use super::fragment::{Fragment, insert};
use super::{Act, Day};

/// The anonymous id and the believed user of events; an empty one is none. Never are both empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stream {
    pub anonymous_id: String,
    pub user_id: String,
}

impl Stream {
    /// The stream of an event.
    pub fn of(act: &Act) -> Self {
        Self {
            anonymous_id: act.anonymous_id.clone().unwrap_or_default(),
            user_id: act.user_id.clone().unwrap_or_default(),
        }
    }

    /// Whether nobody says whose its events are.
    pub fn is_anonymous(&self) -> bool {
        self.user_id.is_empty()
    }
}

/// Everything that a stream did on a day. Never forgets, and only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDay {
    /// In order, with pauses of more than 30 minutes between them.
    pub fragments: Vec<Fragment>,
}

impl StreamDay {
    /// Adds an event, which must be of this stream and day, and must not have been added before.
    pub fn add(&mut self, act: &Act) {
        // Events mostly come in order.
        insert(&mut self.fragments, Fragment::new(act));
    }

    /// For the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("no type of it can fail")
    }

    /// From the store.
    ///
    /// # Errors
    /// Where they are not what [`StreamDay::to_bytes`] made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes)
    }
}

/// A stream on a day.
pub type StreamOn = (Stream, Day);
