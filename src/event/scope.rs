use std::net::IpAddr;

use jiff::Timestamp;

use super::{EventKind, Hit, Origin};
use crate::config::{self, IpPolicy};
use crate::userprint::Userprints;

/// What the operator decided about events.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The longest JSON text of one event.
    pub max_event: usize,
    pub ip: IpPolicy,
    /// Members of properties and traits that are taken out.
    pub redact: Vec<String>,
    /// The earliest time that is believed.
    pub backdate_from: Timestamp,
    /// What verifies `context.userprint`. Without it, that is kept like any other member.
    pub userprints: Option<Userprints>,
}

impl Policy {
    /// What the configuration says.
    pub fn new(ingest: &config::Ingest) -> Self {
        Self {
            max_event: usize::try_from(ingest.max_event.as_u64()).unwrap_or(usize::MAX),
            ip: ingest.ip,
            redact: ingest.redact.clone(),
            backdate_from: ingest.backdate_from,
            userprints: None,
        }
    }

    /// The same, which verifies the cookies that SDKs forward.
    #[must_use]
    pub fn with_userprints(self, userprints: Userprints) -> Self {
        Self {
            userprints: Some(userprints),
            ..self
        }
    }
}

/// What a batch says for all of its events, as JSON text that was scanned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defaults<'a> {
    pub context: Option<&'a str>,
    pub integrations: Option<&'a str>,
    pub sent_at: Option<&'a str>,
    pub timestamp: Option<&'a str>,
}

/// What the request tells about the client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client<'a> {
    pub ip: Option<IpAddr>,
    pub user_agent: Option<&'a str>,
    /// Whether the browser sent `Sec-GPC: 1`.
    pub gpc: bool,
    /// What the pixel knows of the visitor; `None` where the event did not come by the pixel.
    pub hit: Option<Hit>,
}

impl Client<'_> {
    /// Whether events may say whose they are.
    pub fn has_person(&self) -> bool {
        self.hit.is_none_or(|hit| hit.state.has_person())
    }
}

/// Everything about an event that its own text does not say.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Name of the write key.
    pub source: &'a str,
    pub trusted: bool,
    /// The type that the route gives; without one the event's `type` does.
    pub kind: Option<EventKind>,
    /// [`Origin::Imported`] brings the rules of imports.
    pub origin: Origin,
    /// Whether the source may send history: what is more than a day old is, on whatever route it comes.
    pub may_backdate: bool,
    pub received_at: Timestamp,
    pub defaults: Defaults<'a>,
    pub client: Client<'a>,
    pub policy: &'a Policy,
}
