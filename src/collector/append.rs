use bytes::Bytes;

use super::Collector;
use crate::broker::intake::Durability;
use crate::broker::{LogError, Record};
use crate::event::{Event, Rejection, wire};

impl Collector {
    /// Appends records of events that were taken before, each to its person's partition. Durable when it returns.
    ///
    /// # Errors
    /// The log's refusal; some may have been appended.
    pub async fn append_again(&self, again: Vec<Record>) -> Result<(), LogError> {
        self.append(again).await.map(drop)
    }

    /// Durable when it returns.
    pub(super) async fn append(&self, records: Vec<Record>) -> Result<Durability, LogError> {
        self.intake
            .append(records)
            .await
            .inspect(|_| self.refusals.end())
            .inspect_err(|error| self.refusals.take(error, self.clock.now()))
    }
}

pub(super) fn record_of_event(event: &Event<'_>) -> Record {
    Record {
        key: Bytes::copy_from_slice(event.person_key().as_bytes()),
        value: wire::encode_event(event).into(),
    }
}

/// Without a key: a rejection belongs to nobody.
pub(super) fn record_of_rejection(rejection: &Rejection) -> Record {
    Record {
        key: Bytes::new(),
        value: wire::encode_rejection(rejection).into(),
    }
}
