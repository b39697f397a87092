//! The move to Kafka: the embedded log from before is drained into the event store, while events go to Kafka already.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::log::{FOLDER, cannot_open};
use crate::broker::EventLog;
use crate::broker::embedded::EmbeddedLog;
use crate::clock::Clock;
use crate::config::{Config, Role};
use crate::control::former_log as shown;
use crate::control::former_log::Place;
use crate::data_dir::DataDir;
use crate::roles::capture::{self, Capture};

/// Between two lines about the progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// The embedded log of a data dir whose config names a Kafka by now. Nothing appends to it.
pub(super) struct FormerLog {
    log: Arc<EmbeddedLog>,
    folder: PathBuf,
    place: watch::Sender<Place>,
    status: capture::Status,
}

impl FormerLog {
    /// Opens the log where there is one; one that never held an event is put aside at once.
    ///
    /// # Errors
    /// When it cannot be read, or this host has no capture that would store what it holds.
    pub(super) async fn open(
        config: &Config,
        data_dir: &DataDir,
        clock: &Clock,
    ) -> anyhow::Result<Option<Self>> {
        let folder = data_dir.path().join(FOLDER);
        if !folder.exists() {
            return Ok(None);
        }
        let log = EmbeddedLog::open(&folder, &config.event_log, clock.clone())
            .map_err(|error| cannot_open(&folder, &error))?;
        if !was_used(&log).await {
            log.close().await;
            put_aside(&folder)?;
            return Ok(None);
        }
        if !config.roles.contains(&Role::Capture) {
            bail!(needs_capture(&folder));
        }
        Ok(Some(Self {
            log,
            place: watch::Sender::new(Place::InUse(folder.clone())),
            folder,
            status: capture::Status::default(),
        }))
    }

    pub(super) fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    pub(super) fn status(&self) -> capture::Status {
        self.status.clone()
    }

    /// Connections to the event store that draining takes.
    pub(super) fn connections(&self) -> usize {
        usize::try_from(self.log.partitions()).unwrap_or(1)
    }

    pub(super) fn shown(&self) -> shown::FormerLog {
        shown::FormerLog {
            log_id: self.log.log_id(),
            place: self.place.subscribe(),
            capture: self.status.clone(),
        }
    }

    /// Stores what is left, and then puts the folder aside. `capture` is one of this log. What is not stored when the
    /// token is cancelled is at the next start.
    pub(super) async fn drain(self, capture: Capture, token: CancellationToken) {
        let folder = self.folder.display();
        info!(%folder, "events go to Kafka; those in the embedded log that are not stored yet are stored now");
        let draining = capture.drain(token);
        tokio::pin!(draining);
        let is_drained = loop {
            tokio::select! {
                is_drained = &mut draining => break is_drained,
                () = tokio::time::sleep(PROGRESS) => {
                    info!(records = self.status.lag(), "the embedded log is being drained");
                }
            }
        };
        self.log.close().await;
        if !is_drained {
            return;
        }
        match put_aside(&self.folder) {
            Ok(folder) => {
                info!(folder = %folder.display(), "the embedded log is drained, all of it is stored; its folder may be deleted");
                self.place.send_replace(Place::Aside(folder));
            }
            Err(error) => warn!(
                %folder, %error,
                "the embedded log is drained, and its folder cannot be renamed; it is looked at again at the next start"
            ),
        }
    }
}

async fn was_used(log: &EmbeddedLog) -> bool {
    for partition in 0..log.partitions() {
        if log.offsets(partition).await.is_ok_and(|range| range.end > 0) {
            return true;
        }
    }
    false
}

/// Renames a folder to the first free name, so that no later start takes it for a log to drain.
fn put_aside(folder: &Path) -> io::Result<PathBuf> {
    let names = std::iter::once(format!("{FOLDER}.drained"));
    let names = names.chain((2..).map(|number| format!("{FOLDER}.drained-{number}")));
    let mut free = names
        .map(|name| folder.with_file_name(name))
        .filter(|path| !path.exists());
    let aside = free.next().unwrap_or_else(|| folder.to_owned());
    std::fs::rename(folder, &aside)?;
    Ok(aside)
}

fn needs_capture(folder: &Path) -> String {
    format!(
        "{} holds the embedded event log from before Kafka. Its events may not all be in the event store, and \
         this host has no role capture that would store them\n\n\
         hint: start it once with roles = [\"ingest\", \"capture\"] and the event store from before (docs/operations.md, \
         \"Move to Kafka\"); once it says that the log is drained, take the role away",
        folder.display()
    )
}

/// What serve will do about a former log, for `momsflow check`; `None` where there is none.
///
/// # Errors
/// As at a start, as far as it shows without opening the log.
pub fn foresee(config: &Config) -> Result<Option<String>, String> {
    let folder = config.data_dir.join(FOLDER);
    if !folder.exists() {
        return Ok(None);
    }
    if !config.roles.contains(&Role::Capture) {
        return Err(needs_capture(&folder));
    }
    Ok(Some(format!(
        "{} is drained into the event store first",
        folder.display()
    )))
}
