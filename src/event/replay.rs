use serde::Deserialize as _;

use super::kept_scope::KeptScope;
use super::{
    Decoded, Event, Payload, Policy, Reject, Rejection, Scope, decode, event_id_within, is_batch,
    parse_batch, scan_object, wire,
};

/// Why a dead letter could not be sent again.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReplayError {
    #[error("the payload is no text")]
    NotText,
    #[error("the kept scope cannot be read: {0}")]
    Scope(String),
    #[error("with the batch's context its events take {0} bytes, at most {MAX_BATCH} are taken")]
    TooMuchContext(usize),
    #[error(transparent)]
    Rejected(#[from] Reject),
}

/// The most bytes that a batch's events may take, its defaults repeated for each.
const MAX_BATCH: usize = 32 << 20;

/// Decodes a dead letter's payload again, as ingest did when it came, into log records. `scope` is
/// [`Rejection::scope`], and `rejection.payload` may have been mended since.
///
/// An event keeps the letter's `event_id` and `received_at`; an import's `received_at` is its timestamp, as ever.
/// A batch that was refused as a whole, or came to a single event's route, becomes its events, all or none. Each has
/// the id of its messageId, else one derived from the letter and its place, so that a repeated replay makes the
/// same records.
///
/// # Errors
/// The first fault that the payload still has; in a batch with a pointer into the whole.
pub fn replay(rejection: &Rejection, policy: &Policy) -> Result<Vec<Vec<u8>>, ReplayError> {
    let Payload::Text(text) = &rejection.payload else {
        return Err(ReplayError::NotText);
    };
    let kept =
        KeptScope::deserialize(&rejection.scope).map_err(|error| ReplayError::Scope(error.to_string()))?;
    let scope = kept.scope(rejection, policy);
    for default in [scope.defaults.context, scope.defaults.integrations]
        .into_iter()
        .flatten()
    {
        scan_object(default, |_, _, _| ())?;
    }
    if kept.batch {
        return replay_batch(text, &scope, rejection);
    }
    match decode(text, &scope) {
        Ok(Decoded { event, .. }) => {
            let event_id = rejection.event_id;
            Ok(vec![wire::encode_event(&Event { event_id, ..event })])
        }
        Err(_) if is_batch(text) => replay_batch(text, &scope, rejection),
        Err(reject) => Err(reject.into()),
    }
}

fn replay_batch(text: &str, scope: &Scope<'_>, letter: &Rejection) -> Result<Vec<Vec<u8>>, ReplayError> {
    let batch = parse_batch(text, usize::MAX)?;
    let defaults = [batch.defaults.context, batch.defaults.integrations];
    let repeated: usize = defaults.into_iter().flatten().map(str::len).sum();
    let size = text.len().saturating_add(repeated.saturating_mul(batch.total));
    if size > MAX_BATCH {
        return Err(ReplayError::TooMuchContext(size));
    }
    let scope = Scope {
        kind: None,
        defaults: batch.defaults,
        ..*scope
    };
    let one = |(index, raw): (usize, &&str)| {
        let Decoded { mut event, .. } = decode(raw, &scope).map_err(|reject| Reject {
            pointer: format!("/batch/{index}{}", reject.pointer),
            ..reject
        })?;
        if event.message_id.is_none() {
            event.event_id = event_id_within(letter.event_id, index);
        }
        Ok(wire::encode_event(&event))
    };
    batch.events.iter().enumerate().map(one).collect()
}
