//! What the load sends: each event's content follows from its number alone.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use momsflow::event::event_id_for;
use serde_json::{Value, json};
use uuid::Uuid;

pub const SERVER: &str = "server";
pub const WEB: &str = "web";

/// How long an event waits at its client before it is sent.
const WAITED: SignedDuration = SignedDuration::from_millis(250);

/// The way an event comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Live,
    /// From a clock that is a day ahead.
    Ahead,
    Untimed,
    /// With a public key.
    Public,
    Import,
    /// Its copies lie on both sides of a month's border.
    Border,
    /// Live and again as import.
    LiveAndImport,
}

/// Where a request goes: the path, and the source whose key it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    Batch,
    PublicBatch,
    Import,
}

impl Route {
    pub fn path(self) -> &'static str {
        match self {
            Self::Batch | Self::PublicBatch => "/v1/batch",
            Self::Import => "/v1/import",
        }
    }

    pub fn source(self) -> &'static str {
        match self {
            Self::PublicBatch => WEB,
            Self::Batch | Self::Import => SERVER,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub n: u64,
    pub way: Way,
    pub made_at: Timestamp,
}

impl Event {
    /// A new event for a route; `dice` chooses its way.
    pub fn new(n: u64, route: Route, dice: u32, made_at: Timestamp) -> Self {
        let way = match (route, dice % 20) {
            (Route::PublicBatch, _) => Way::Public,
            (Route::Batch, 0..=2) => Way::Ahead,
            (Route::Batch, 3..=4) => Way::Untimed,
            (Route::Batch, 5..=7) | (Route::Import, 0..=3) => Way::LiveAndImport,
            (Route::Batch, _) => Way::Live,
            (Route::Import, 4..=9) => Way::Border,
            (Route::Import, _) => Way::Import,
        };
        Self { n, way, made_at }
    }

    /// Where its copy number `copy` goes; the first has the number that [`first_copy`](Self::first_copy) says.
    pub fn route(&self, copy: u32) -> Route {
        match self.way {
            Way::Live | Way::Ahead | Way::Untimed => Route::Batch,
            Way::Public => Route::PublicBatch,
            Way::Import | Way::Border => Route::Import,
            Way::LiveAndImport if copy.is_multiple_of(2) => Route::Batch,
            Way::LiveAndImport => Route::Import,
        }
    }

    pub fn first_copy(route: Route) -> u32 {
        u32::from(route == Route::Import)
    }

    pub fn message_id(&self) -> String {
        match self.way {
            Way::Public => format!("m-{}", self.n),
            _ => Uuid::new_v5(&Uuid::NAMESPACE_OID, &self.n.to_be_bytes()).to_string(),
        }
    }

    pub fn id(&self) -> Uuid {
        event_id_for(self.source(), self.way != Way::Public, &self.message_id())
    }

    pub fn source(&self) -> &'static str {
        self.route(0).source()
    }

    pub fn kind(&self) -> &'static str {
        ["track", "page", "identify", "track"][(self.n % 4) as usize]
    }

    pub fn name(&self) -> Option<String> {
        let name = format!("Article {}", self.n % 7);
        (self.kind() != "identify").then_some(name)
    }

    pub fn user_id(&self) -> String {
        format!("u-{}", self.n % 997)
    }

    pub fn properties(&self) -> Value {
        let padding = "lorem ipsum ".repeat((self.n % 60) as usize);
        json!({"n": self.n, "title": format!("Zürich \"{}\" \u{1F600}", self.n), "price": self.n as f64 / 8.0,
            "tags": ["a", self.n % 3, null, true], "text": padding})
    }

    /// The client's timestamp of a copy.
    pub fn timestamp(&self, copy: u32) -> Option<Timestamp> {
        let n = self.n as i64;
        let ago = |time: SignedDuration| self.made_at.checked_sub(time).unwrap();
        match self.way {
            Way::Live | Way::Public => Some(self.made_at),
            Way::Ahead => Some(self.made_at.checked_add(SignedDuration::from_hours(24)).unwrap()),
            Way::Untimed => None,
            Way::Import => Some(ago(SignedDuration::from_mins(n % (60 * 24 * 60)))),
            Way::LiveAndImport => Some(ago(SignedDuration::from_hours(n % (40 * 24)))),
            Way::Border => {
                let border = self.border();
                let seconds = SignedDuration::from_secs(1 + n % 7_200);
                Some(match copy % 2 {
                    0 => border.checked_add(seconds).unwrap(),
                    _ => border.checked_sub(seconds).unwrap(),
                })
            }
        }
    }

    /// A month's first moment, one to three months ago, far enough from now for both sides to be past.
    fn border(&self) -> Timestamp {
        let today = self.made_at.to_zoned(TimeZone::UTC).date();
        let months = i32::try_from(1 + self.n % 2).unwrap();
        let month = today.checked_sub(jiff::Span::new().months(months)).unwrap();
        let first = Date::new(month.year(), month.month(), 1).unwrap();
        first.to_zoned(TimeZone::UTC).unwrap().timestamp()
    }

    /// When the client sent it, by the client's clock.
    pub fn sent_at(&self, copy: u32) -> Option<Timestamp> {
        match (self.way, self.route(copy)) {
            (_, Route::Import) | (Way::Untimed, _) => None,
            (Way::LiveAndImport, _) => Some(self.made_at),
            _ => Some(self.timestamp(copy)?.checked_add(WAITED).unwrap()),
        }
    }

    pub fn json(&self, copy: u32) -> String {
        let mut event = json!({"type": self.kind(), "messageId": self.message_id(), "userId": self.user_id(),
            "properties": self.properties()});
        if let Some(name) = self.name() {
            event[if self.kind() == "track" { "event" } else { "name" }] = name.into();
        }
        if let Some(timestamp) = self.timestamp(copy) {
            event["timestamp"] = timestamp.to_string().into();
        }
        if let Some(sent_at) = self.sent_at(copy) {
            event["sentAt"] = sent_at.to_string().into();
        }
        event.to_string()
    }
}

/// An event that ingest must refuse, each in another way.
pub fn invalid(n: u64) -> String {
    let id = format!("bad-{n}");
    match n % 6 {
        0 => json!({"type": "track", "event": "E", "messageId": id}).to_string(),
        1 => json!({"type": "unheard-of", "userId": "u", "messageId": id}).to_string(),
        2 => json!({"type": "track", "userId": "u", "messageId": id}).to_string(),
        3 => format!(
            r#"{{"type":"track","event":"E","userId":"u","messageId":"{id}","properties":{{"a":"\u0000"}}}}"#
        ),
        4 => format!(
            r#"{{"type":"track","event":"E","userId":"u","messageId":"{id}","properties":{{"a":1e999}}}}"#
        ),
        _ => json!({"type": "track", "event": "x".repeat(600), "userId": "u", "messageId": id}).to_string(),
    }
}
