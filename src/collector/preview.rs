use serde::Serialize;
use serde_json::value::RawValue;

use super::prepare::readable_id;
use super::{Answer, Collector, Refused, Submission, SubmitError};
use crate::event::{Decoded, Warning, wire};
use crate::http::Overloaded;

/// What a refusal or a warning takes, in the answer's structures and in its text.
const FINDING_ROOM: usize = 512;

/// What [`Collector::submit`] would do with a body.
#[derive(Debug, Default)]
pub struct Preview {
    pub answer: Answer,
    /// The records that would be kept.
    pub events: Vec<Box<RawValue>>,
    pub warnings: Vec<Doubt>,
}

/// A [`Warning`] as the answer shows it.
#[derive(Debug, Serialize)]
pub struct Doubt {
    /// Place of its event in the batch, from 0.
    pub index: usize,
    pub code: &'static str,
    pub pointer: &'static str,
    pub detail: String,
}

impl Collector {
    /// Decodes a body without keeping anything of it. `reserve` is asked for the memory that the answer takes as
    /// it grows.
    ///
    /// # Errors
    /// As [`Collector::submit`], but for the log's.
    pub fn preview(
        &self,
        body: &[u8],
        submission: &Submission<'_>,
        mut reserve: impl FnMut(usize) -> Result<(), Overloaded>,
    ) -> Result<Preview, SubmitError> {
        let mut preview = Preview::default();
        let nothing_yet = |_| Ok(());
        self.each_event(body, submission, nothing_yet, |index, raw, _, outcome| {
            match outcome {
                Ok(Decoded { event, warnings }) => {
                    let record = wire::encode_event(&event);
                    // The record stands in the preview and in the answer's text.
                    reserve(2 * record.len() + warnings.len() * FINDING_ROOM)?;
                    preview.answer.accepted += 1;
                    preview.events.extend(raw_json(record));
                    preview
                        .warnings
                        .extend(warnings.into_iter().map(|warning| doubt(index, warning)));
                }
                Err(reject) => {
                    let refused = Refused::new(index, readable_id(raw), reject, false);
                    reserve(2 * (refused.pointer.len() + refused.detail.len()) + 2 * FINDING_ROOM)?;
                    preview.answer.rejected.push(refused);
                }
            }
            Ok(())
        })?;
        Ok(preview)
    }
}

/// A record is JSON text by construction.
fn raw_json(record: Vec<u8>) -> Option<Box<RawValue>> {
    RawValue::from_string(String::from_utf8(record).ok()?).ok()
}

fn doubt(index: usize, warning: Warning) -> Doubt {
    let (code, pointer, detail) = match warning {
        Warning::PlaceholderId { pointer, id } => (
            "placeholder_id",
            pointer,
            format!("{id:?} names nobody and never makes an identity"),
        ),
        Warning::PlaceholderMessageId { id } => (
            "placeholder_message_id",
            "/messageId",
            format!("{id:?} is no id of one event; the event gets one, and a retry is stored again"),
        ),
        Warning::UnusableTimestamp => (
            "unusable_timestamp",
            "/timestamp",
            "no time with a zone, or not a possible one; occurred_at is received_at".to_owned(),
        ),
    };
    Doubt {
        index,
        code,
        pointer,
        detail,
    }
}
