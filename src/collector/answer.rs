use serde::Serialize;

use crate::event::{Reject, RejectCode};

/// What became of each event of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    pub accepted: usize,
    pub rejected: Vec<Refused>,
    /// On the local disk and not yet in the log.
    #[serde(skip)]
    pub is_spooled: bool,
}

/// An event that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Place in the batch, from 0.
    pub index: usize,
    /// As far as it could be read.
    pub message_id: Option<String>,
    pub pointer: String,
    #[serde(serialize_with = "as_text")]
    pub code: RejectCode,
    pub detail: String,
    /// Whether the same event may be taken later; a fault of its own stays.
    pub retryable: bool,
    /// Whether it is kept as a dead letter.
    pub kept: bool,
}

impl Refused {
    pub(super) fn new(index: usize, message_id: Option<String>, reject: Reject, kept: bool) -> Self {
        Self {
            index,
            message_id,
            pointer: reject.pointer,
            code: reject.code,
            detail: reject.detail,
            retryable: false,
            kept,
        }
    }
}

fn as_text<S: serde::Serializer>(code: &RejectCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.as_str())
}
