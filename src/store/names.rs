//! A cap on distinct event names, so that a client that puts ids into names cannot swamp the rollups.

use foldhash::HashSet;

use crate::event::{Event, EventKind};

/// The most names that are counted by themselves, a process and partition.
const MAX_NAMES: usize = 2_000;
/// The name that all further ones are counted under.
const OTHER: &str = "other";

/// The names that are counted by themselves.
#[derive(Debug, Default)]
pub struct Names(HashSet<String>);

impl Names {
    /// The name that an event is counted under; empty for calls without a name.
    pub fn of<'a>(&mut self, event: &'a Event<'_>) -> &'a str {
        let name = match event.kind {
            EventKind::Track => event.event.as_deref(),
            EventKind::Page | EventKind::Screen => event.name.as_deref(),
            EventKind::Identify | EventKind::Group | EventKind::Alias => None,
        }
        .unwrap_or_default();
        if self.0.contains(name) {
            return name;
        }
        if self.0.len() >= MAX_NAMES {
            return OTHER;
        }
        self.0.insert(name.to_owned());
        name
    }
}
