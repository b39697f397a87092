use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::access::Access;
use super::admin::{self, Partition, Topic};
use super::finding::Finding;
use super::preflight;
use super::rights::Needs;
use super::shelf::Shelf;
use super::state::State;
use super::verdict;
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
    pub(super) needs: Needs,
    pub(super) state: Arc<State>,
}

impl Watch {
    /// Runs until the token is cancelled and the appends to added partitions are answered.
    ///
    /// # Errors
    /// When the topic is no longer the one that was opened: the log that this process knows is gone, and only a new
    /// start finds the other one.
    pub(super) async fn run(mut self, token: CancellationToken) -> Result<(), LogError> {
        let mut added = Tasks::new("appends to added partitions");
        tokio::select! {
            gone = self.look(&mut added) => return Err(gone),
            () = token.cancelled() => {}
        }
        added.stop(deadline_in(LONGEST_STOP)).await;
        Ok(())
    }

    async fn look(&mut self, added: &mut Tasks) -> LogError {
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
                    let lacking = topic.rights.lacking(self.needs, &self.topic, &self.access);
                    let lacking = lacking.map(|Finding { fault, remedy, .. }| format!("{fault}; {remedy}"));
                    self.state.set_cluster(lacking);
                    if preflight::log_id(&topic, &self.topic) != self.log_id {
                        return LogError::Fatal(format!(
                            "the topic {} was made anew; a restart takes it as a new log",
                            self.topic
                        ));
                    }
                    self.learn_min_insync().await;
                    self.note(&topic);
                    self.grow(&topic, added);
                }
            }
        }
    }

    /// It may have been changed; a client that may not see it keeps what it knew.
    async fn learn_min_insync(&mut self) {
        if let Ok(settings) = admin::settings(&self.access, &self.topic).await
            && let Some(copies) = verdict::min_insync(&settings)
        {
            self.min_insync = copies;
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

    fn refuse(&self, partition: i32, reason: String) {
        if self.state.refuse(partition, reason.clone()) {
            warn!(partition, reason, "a partition takes no events");
        }
    }

    fn note(&self, topic: &Topic) {
        for (number, partition) in (0..self.shelf.len()).zip(&topic.partitions) {
            match takes_records(partition, self.min_insync) {
                Some(Ok(())) => self.state.recover(number),
                Some(Err(reason)) => self.refuse(number, reason),
                None => {}
            }
        }
    }
}

/// Whether a partition takes records, as far as one can see.
fn takes_records(partition: &Partition, min_insync: usize) -> Option<Result<(), String>> {
    let have = partition.in_sync;
    if partition.leader.is_none() {
        return Some(Err("it has no leader".to_owned()));
    }
    if have >= min_insync {
        return Some(Ok(()));
    }
    // With fewer copies than that in all, it depends on Kafka's version, and only an append tells.
    (have < partition.replicas).then(|| Err(format!("{have} copies are in sync, {min_insync} are needed")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refusal_is_only_taken_back_when_enough_copies_are_in_sync() {
        let partition = |in_sync| Partition {
            leader: Some("broker:9092".to_owned()),
            replicas: 3,
            in_sync,
        };
        assert_eq!(takes_records(&partition(2), 2), Some(Ok(())));
        let refused = takes_records(&partition(2), 3).unwrap().unwrap_err();
        assert_eq!(refused, "2 copies are in sync, 3 are needed");
        assert_eq!(takes_records(&partition(3), 4), None);
        let orphan = Partition {
            leader: None,
            ..partition(3)
        };
        assert!(takes_records(&orphan, 2).unwrap().is_err());
    }
}
