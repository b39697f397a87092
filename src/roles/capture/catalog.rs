//! Counts property keys and their JSON types for the event catalogue, and says when they are worth writing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashMapExt};

use crate::event::{Event, EventKind, JsonType, unescape};
use crate::store::batch::PropertyCount;

/// The most property keys that are kept of one event name.
const MAX_PROPERTIES: usize = 200;
/// The longest property key that is kept, in bytes of JSON text.
const MAX_KEY: usize = 200;
/// The most property keys of all partitions together, so that a client that puts ids into keys cannot swamp the
/// memory or the table.
const MAX_TOTAL: usize = 20_000;
/// How often counts alone are written; a new key or type is written at once.
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// In the order of their discriminants.
const TYPES: [JsonType; 6] = [
    JsonType::Null,
    JsonType::Boolean,
    JsonType::Number,
    JsonType::String,
    JsonType::Array,
    JsonType::Object,
];

/// One partition's counts since they were last written.
#[derive(Debug)]
pub(super) struct Catalog {
    names: HashMap<String, Known>,
    /// Reused for look-ups, so that an event costs no allocation.
    key: String,
    has_news: bool,
    written: Instant,
    /// Property keys that all partitions keep.
    total: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Known {
    source: String,
    kind: EventKind,
    event: String,
    properties: HashMap<String, [Option<i64>; TYPES.len()]>,
}

impl Catalog {
    /// A catalogue that shares its bound with others by `total`.
    pub(super) fn new(total: Arc<AtomicUsize>) -> Self {
        Self {
            names: HashMap::new(),
            key: String::new(),
            has_news: false,
            written: Instant::now(),
            total,
        }
    }

    /// Opens the entry of an event's name, to note its properties in.
    pub(super) fn entry(&mut self, event: &Event<'_>, name: &str) -> Entry<'_> {
        self.key.clear();
        for part in [&event.source, event.kind.as_str(), name] {
            self.key.push_str(part);
            self.key.push('\0');
        }
        if !self.names.contains_key(&self.key) {
            let known = Known {
                source: event.source.to_string(),
                kind: event.kind,
                event: name.to_owned(),
                properties: HashMap::new(),
            };
            self.names.insert(self.key.clone(), known);
        }
        Entry {
            known: self.names.get_mut(&self.key),
            has_news: &mut self.has_news,
            total: &self.total,
        }
    }

    /// Whether it is time to write the counts: something is new, or the last time is a while ago.
    pub(super) fn is_due(&self) -> bool {
        self.has_news || self.written.elapsed() >= WRITE_EVERY
    }

    /// The counts; they start again at zero.
    pub(super) fn take(&mut self) -> Vec<PropertyCount> {
        self.has_news = false;
        self.written = Instant::now();
        let counts = self.names.values_mut().flat_map(Known::take);
        merge(counts.collect())
    }
}

/// Sorts counts and adds up those of one property: a key has as many spellings as JSON has escapes.
fn merge(mut counts: Vec<PropertyCount>) -> Vec<PropertyCount> {
    counts.sort_unstable();
    counts.dedup_by(|next, kept| {
        let is_same = (
            &next.source,
            next.kind,
            &next.event,
            &next.property,
            next.json_type,
        ) == (
            &kept.source,
            kept.kind,
            &kept.event,
            &kept.property,
            kept.json_type,
        );
        if is_same {
            kept.events += next.events;
        }
        is_same
    });
    counts
}

impl Known {
    fn take(&mut self) -> Vec<PropertyCount> {
        let mut counts = Vec::new();
        for (raw_key, types) in &mut self.properties {
            for (json_type, seen) in TYPES.into_iter().zip(types) {
                let Some(events @ 1..) = seen.as_mut().map(std::mem::take) else {
                    continue;
                };
                counts.push(PropertyCount {
                    source: self.source.clone(),
                    kind: self.kind,
                    event: self.event.clone(),
                    property: unescape(raw_key).into_owned(),
                    json_type: json_type.as_str(),
                    events,
                });
            }
        }
        counts
    }
}

/// The properties of one event name.
pub(super) struct Entry<'a> {
    known: Option<&'a mut Known>,
    has_news: &'a mut bool,
    total: &'a AtomicUsize,
}

impl Entry<'_> {
    /// Notes a property by its key as it stands in the JSON text.
    pub(super) fn note(&mut self, raw_key: &str, json_type: JsonType) {
        let Some(known) = &mut self.known else { return };
        if let Some(seen) = known
            .properties
            .get_mut(raw_key)
            .and_then(|types| types[json_type as usize].as_mut())
        {
            *seen += 1;
            return;
        }
        let is_new = !known.properties.contains_key(raw_key);
        if raw_key.len() > MAX_KEY || (is_new && known.properties.len() >= MAX_PROPERTIES) {
            return;
        }
        if is_new && self.total.fetch_add(1, Ordering::Relaxed) >= MAX_TOTAL {
            self.total.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        *self.has_news = true;
        let types = known.properties.entry(raw_key.to_owned()).or_default();
        types[json_type as usize] = Some(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_a_key_are_one_property() {
        let count = |property: &str, events| PropertyCount {
            source: "web".to_owned(),
            kind: EventKind::Track,
            event: "e".to_owned(),
            property: property.to_owned(),
            json_type: "string",
            events,
        };
        let merged = merge(vec![count("b", 1), count("a", 2), count("b", 3)]);
        assert_eq!(merged, [count("a", 2), count("b", 4)]);
    }
}
