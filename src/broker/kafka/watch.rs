use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

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
    /// Hears how many partitions there are.
    pub(super) partitions: watch::Sender<i32>,
    pub(super) min_insync: usize,
    pub(super) state: Arc<State>,
}

impl Watch {
    /// Runs until the topic is no longer the one that was opened.
    ///
    /// # Errors
    /// Always: the log that this process knows is gone, and only a new start finds the other one.
    pub(super) async fn run(self) -> Result<(), LogError> {
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
                    // Those of a topic are never fewer.
                    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
                    self.partitions.send_if_modified(|known| {
                        let has_grown = partitions > *known;
                        *known = partitions.max(*known);
                        has_grown
                    });
                }
            }
        }
    }

    fn note(&self, topic: &Topic) {
        for (number, partition) in (0..).zip(&topic.partitions) {
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
