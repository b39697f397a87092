use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::access::Access;
use super::admin::{self, Topic};
use super::preflight;
use super::state::State;
use crate::broker::LogError;

const EVERY: Duration = Duration::from_secs(5);

/// Looks at the cluster now and then, so that its faults are known before an event runs into them.
pub(super) struct Watch {
    pub(super) access: Arc<Access>,
    pub(super) topic: String,
    pub(super) log_id: uuid::Uuid,
    pub(super) partitions: i32,
    pub(super) min_insync: usize,
    pub(super) state: Arc<State>,
}

impl Watch {
    /// Runs until the topic is no longer the one that was opened.
    ///
    /// # Errors
    /// Always: the log that this process knows is gone, and only a new start finds the other one.
    pub(super) async fn run(self) -> Result<(), LogError> {
        let mut grown = false;
        loop {
            tokio::time::sleep(EVERY).await;
            match admin::describe(&self.access, &self.topic).await {
                Err(trouble) => self.state.set_cluster(Some(trouble.to_string())),
                Ok(None) => {
                    let reason = format!("the topic {} does not exist", self.topic);
                    self.state.set_cluster(Some(reason));
                }
                Ok(Some(topic)) => {
                    self.state.set_cluster(None);
                    if preflight::log_id(&topic, &self.topic) != self.log_id {
                        return Err(LogError::Fatal(format!(
                            "the topic {} was made anew; a restart takes it as a new log",
                            self.topic
                        )));
                    }
                    self.note(&topic);
                    if !grown && topic.partitions.len() > self.partitions.unsigned_abs() as usize {
                        grown = true;
                        warn!(
                            partitions = topic.partitions.len(),
                            "the topic has more partitions; restart every host of it to use them"
                        );
                    }
                }
            }
        }
    }

    fn note(&self, topic: &Topic) {
        for (number, partition) in (0..self.partitions).zip(&topic.partitions) {
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
