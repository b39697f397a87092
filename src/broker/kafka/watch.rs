use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::access::Access;
use super::admin::{self, Topic};
use super::preflight;
use super::shelf::Shelf;
use super::state::State;
use crate::broker::LogError;
use crate::lifecycle::{Stop, Tasks, deadline_in};

const EVERY: Duration = Duration::from_secs(5);

/// Who waits for this task's end has a shorter deadline.
const LONGEST_STOP: Duration = Duration::from_secs(600);

/// Looks at the cluster now and then, so that its faults are known before an event runs into them, and takes up
/// partitions that are added to the topic.
pub(super) struct Watch {
    pub(super) access: Arc<Access>,
    pub(super) topic: String,
    pub(super) log_id: uuid::Uuid,
    pub(super) shelf: Arc<Shelf>,
    pub(super) min_insync: usize,
    pub(super) state: Arc<State>,
}

impl Watch {
    /// Runs until the token is cancelled and the appends to added partitions are answered.
    ///
    /// # Errors
    /// When the topic is no longer the one that was opened: the log that this process knows is gone, and only a new
    /// start finds the other one.
    pub(super) async fn run(self, token: CancellationToken) -> Result<(), LogError> {
        let mut added = Tasks::new("appends to added partitions");
        tokio::select! {
            gone = self.look(&mut added) => return Err(gone),
            () = token.cancelled() => {}
        }
        added.stop(deadline_in(LONGEST_STOP)).await;
        Ok(())
    }

    async fn look(&self, added: &mut Tasks) -> LogError {
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                stop = added.died() => if let Stop::Died { task, reason } = stop {
                    return LogError::Fatal(format!("{task}: {reason}"));
                }
            }
            match admin::describe(&self.access, &self.topic).await {
                Err(trouble) => self.state.set_cluster(Some(trouble.to_string())),
                Ok(None) => {
                    let reason = format!("the topic {} does not exist", self.topic);
                    self.state.set_cluster(Some(reason));
                }
                Ok(Some(topic)) => {
                    self.state.set_cluster(None);
                    if preflight::log_id(&topic, &self.topic) != self.log_id {
                        return LogError::Fatal(format!(
                            "the topic {} was made anew; a restart takes it as a new log",
                            self.topic
                        ));
                    }
                    self.note(&topic);
                    self.grow(&topic, added);
                }
            }
        }
    }

    fn grow(&self, topic: &Topic, added: &mut Tasks) {
        let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        if partitions > self.shelf.len() {
            info!(
                partitions,
                "the topic has more partitions, they are used from now on"
            );
            self.shelf.grow(partitions, added);
        }
    }

    fn note(&self, topic: &Topic) {
        for (number, partition) in (0..self.shelf.len()).zip(&topic.partitions) {
            if partition.leader.is_none() {
                self.state.refuse(number, "it has no leader".to_owned());
            } else if partition.in_sync < self.min_insync {
                let (have, need) = (partition.in_sync, self.min_insync);
                self.state
                    .refuse(number, format!("{have} copies are in sync, {need} are needed"));
            } else {
                self.state.recover(number);
            }
        }
    }
}
