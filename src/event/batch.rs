//! A request's body: one event, or a batch with defaults for all of its events.

use super::object::each_member;
use super::split::{Part, is_json, split};
use super::{Defaults, Reject, RejectCode, scan_object, unescape};

/// A body taken apart; its events are not looked at yet.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The events, up to as many as were asked for.
    pub events: Vec<&'a str>,
    /// How many there are; more than `events` holds where they are too many.
    pub total: usize,
    pub defaults: Defaults<'a>,
}

/// The envelope's members. Unknown ones are ignored; of a repeated one the last counts.
#[derive(Default)]
struct Envelope<'a> {
    /// The first events of the list, and how many there are.
    batch: Option<(Vec<&'a str>, usize)>,
    lists: usize,
    context: Option<&'a str>,
    integrations: Option<&'a str>,
    sent_at: Option<&'a str>,
    timestamp: Option<&'a str>,
}

/// Takes a batch apart: `{"batch": [event, …], "context": …, "integrations": …, "sentAt": …, "timestamp": …}`.
/// Keeps at most `max` events, so that memory does not grow with their number. What stands between the commas is not
/// read: an event that turns out to be no JSON is a fault of the body, see [`malformed`].
///
/// # Errors
/// Faults that concern the body as a whole.
pub fn parse_batch(body: &str, max: usize) -> Result<Batch<'_>, Reject> {
    let envelope = read_envelope(body, max)?;
    let Some((events, total)) = envelope.batch else {
        return Err(Reject::at(
            RejectCode::MissingBatch,
            "/batch",
            "a batch has its events in a list `batch`",
        ));
    };
    if total == 0 {
        return Err(Reject::at(
            RejectCode::EmptyBatch,
            "/batch",
            "the batch has no events",
        ));
    }
    let is_given = |raw: &&str| *raw != "null";
    Ok(Batch {
        events,
        total,
        defaults: Defaults {
            context: envelope
                .context
                .filter(is_given)
                .map(scanned_context)
                .transpose()?,
            integrations: envelope.integrations.filter(|raw| fits_into_context(raw)),
            sent_at: envelope.sent_at,
            timestamp: envelope.timestamp.filter(is_given),
        },
    })
}

/// Whether an object can become a member of the context, one level deeper than it stands here.
fn fits_into_context(raw: &str) -> bool {
    raw.starts_with('{') && scan_object(&format!("{{\"integrations\":{raw}}}"), |_, _, _| ()).is_ok()
}

fn read_envelope(body: &str, max: usize) -> Result<Envelope<'_>, Reject> {
    let mut envelope = Envelope::default();
    let read = split(body, "batch", |part| match part {
        Part::Member(name, value) => envelope.note(name, value),
        Part::List => {
            envelope.batch = Some((Vec::new(), 0));
            envelope.lists += 1;
        }
        Part::NoList => envelope.batch = None,
        Part::Item(event) => {
            if let Some((events, total)) = &mut envelope.batch {
                *total += 1;
                if *total <= max {
                    events.push(event);
                }
            }
        }
    });
    // Of several lists only the last one's events are read by anybody.
    if read.is_none() || (envelope.lists > 1 && !is_json(body)) {
        return Err(whole_fault(body));
    }
    Ok(envelope)
}

/// The fault of a body because of one of its events: `None` where that event is JSON.
pub fn malformed(body: &[u8], event: &str) -> Option<Reject> {
    if is_json(event) {
        return None;
    }
    Some(body_text(body).map_or_else(|fault| fault, whole_fault))
}

fn whole_fault(body: &str) -> Reject {
    match scan_object(body, |_, _, _| ()) {
        Err(fault) => fault,
        Ok(()) => Reject::whole(RejectCode::NotAnObject, "a body is a JSON object"),
    }
}

impl<'a> Envelope<'a> {
    fn note(&mut self, name: &str, value: &'a str) {
        let member = match unescape(name).as_ref() {
            "context" => &mut self.context,
            "integrations" => &mut self.integrations,
            "sentAt" => &mut self.sent_at,
            "timestamp" => &mut self.timestamp,
            _ => return,
        };
        *member = Some(value);
    }
}

fn scanned_context(raw: &str) -> Result<&str, Reject> {
    scan_object(raw, |_, _, _| ()).map_err(|reject| match reject.code {
        RejectCode::NotAnObject => Reject::at(RejectCode::InvalidFieldType, "/context", "expected an object"),
        _ => Reject {
            pointer: format!("/context{}", reject.pointer),
            ..reject
        },
    })?;
    Ok(raw)
}

/// Tells whether a body is a batch, for routes that take either.
pub fn is_batch(body: &str) -> bool {
    let mut found = false;
    let _ = each_member(body, |name, _| found |= unescape(name) == "batch");
    found
}

/// The member `writeKey` of a body, as browser SDKs send it; `None` where there is none.
pub fn write_key(body: &str) -> Option<String> {
    text_member(body, "writeKey")
}

/// The messageId of an event that was refused, as far as it can be read.
pub fn message_id(raw: &str) -> Option<String> {
    // PostgreSQL's text cannot hold NUL, and the id must not make a dead letter undeliverable.
    text_member(raw, "messageId").map(|id| head(&id.replace('\0', ""), super::MAX_TEXT).to_owned())
}

fn text_member(raw: &str, name: &str) -> Option<String> {
    let mut found = None;
    each_member(raw, |key, value| {
        if unescape(key) == name {
            found = Some(value);
        }
    })?;
    let value = found?;
    match serde_json::from_str::<serde_json::Value>(value).ok()? {
        serde_json::Value::String(text) => (!text.is_empty()).then_some(text),
        serde_json::Value::Number(_) => Some(value.to_owned()),
        _ => None,
    }
}

/// The text of a body: UTF-8, without a byte order mark.
///
/// # Errors
/// [`RejectCode::InvalidUtf8`].
pub fn body_text(body: &[u8]) -> Result<&str, Reject> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Reject::whole(RejectCode::InvalidUtf8, format!("the body is no UTF-8: {error}")))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The head of a text, cut at a character's border.
pub(super) fn head(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}
