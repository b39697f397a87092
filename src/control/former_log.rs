//! The embedded log from before a move to Kafka, as status shows it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use crate::roles::capture;

/// Where a former log is, and how far it is drained; clones share it.
#[derive(Clone, Debug)]
pub struct FormerLog {
    pub log_id: Uuid,
    pub place: watch::Receiver<Place>,
    pub capture: capture::Status,
}

/// Where the log's folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Its events are being stored.
    InUse(PathBuf),
    /// All of them are stored: the folder may go.
    Aside(PathBuf),
}

/// For `momsflow status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerLogStatus {
    pub log_id: Uuid,
    pub folder: PathBuf,
    /// All of it is in the event store.
    pub is_drained: bool,
    /// Records that are not stored yet.
    pub records: i64,
    pub last_error: Option<String>,
}

impl FormerLog {
    pub(super) fn status(&self) -> FormerLogStatus {
        let (folder, is_drained) = match &*self.place.borrow() {
            Place::InUse(folder) => (folder.clone(), false),
            Place::Aside(folder) => (folder.clone(), true),
        };
        let partitions = self.capture.snapshot();
        FormerLogStatus {
            log_id: self.log_id,
            folder,
            is_drained,
            records: self.capture.lag(),
            last_error: partitions
                .into_values()
                .find_map(|partition| partition.last_error),
        }
    }
}
