use bytes::Bytes;

use super::Ingest;
use crate::broker::LogError;
use crate::event::{self, Rejection, ReplayError, wire};

/// Why a dead letter was not sent again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayFailure {
    #[error(transparent)]
    Payload(#[from] ReplayError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Ingest {
    /// Decodes a dead letter again and appends it to the log, with its event_id and received_at unchanged.
    /// Durable when it returns.
    ///
    /// # Errors
    /// The fault that the payload still has, or the log's refusal.
    pub async fn replay(&self, rejection: &Rejection) -> Result<(), ReplayFailure> {
        let record = event::replay(rejection, &self.policy)?;
        let mut records = self.no_records();
        if let Ok(wire::WireRecord::Event(event)) = wire::decode(&record) {
            self.push(
                &mut records,
                Bytes::copy_from_slice(event.person_key().as_bytes()),
                record.clone(),
            );
        }
        Ok(self.append(records).await?)
    }
}
