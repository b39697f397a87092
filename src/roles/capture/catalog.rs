//! Counts property keys and their JSON types for the event catalogue, and says when they are worth writing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::event::{Event, EventKind, JsonType, unescape};
use crate::store::batch::PropertyCount;

/// The most property keys that are kept of one event name.
const MAX_PROPERTIES: usize = 200;
/// The longest property key that is kept, in bytes of JSON text.
const MAX_KEY: usize = 200;
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
}

#[derive(Debug)]
struct Known {
    source: String,
    kind: EventKind,
    event: String,
    properties: HashMap<String, [Option<i64>; TYPES.len()]>,
}

impl Catalog {
    pub(super) fn new() -> Self {
        Self {
            names: HashMap::new(),
            key: String::new(),
            has_news: false,
            written: Instant::now(),
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
        }
    }

    /// The counts, if it is time to write them; they start again at zero.
    pub(super) fn take_due(&mut self) -> Vec<PropertyCount> {
        if self.has_news || self.written.elapsed() >= WRITE_EVERY {
            self.take()
        } else {
            Vec::new()
        }
    }

    /// The counts; they start again at zero.
    pub(super) fn take(&mut self) -> Vec<PropertyCount> {
        self.has_news = false;
        self.written = Instant::now();
        let mut counts: Vec<_> = self.names.values_mut().flat_map(Known::take).collect();
        counts.sort_unstable();
        counts
    }
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
        *self.has_news = true;
        let types = known.properties.entry(raw_key.to_owned()).or_default();
        types[json_type as usize] = Some(1);
    }
}
