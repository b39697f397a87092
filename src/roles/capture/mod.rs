//! The role capture: moves events from the log into PostgreSQL, each exactly once.
//!
//! One worker a log partition: take the lease, read on from the position, sort the records, write them with the
//! new position in one transaction, tell the log what may be deleted. Whatever fails, the worker drops its
//! connection, takes the lease anew and goes on from the position that PostgreSQL has.

mod catalog;
mod guilt;
mod housekeeping;
mod sorting;
mod status;
mod worker;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use deadpool_postgres::Pool;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::broker::EventLog;
use crate::clock::Clock;
use crate::config;
use crate::lifecycle::{Health, Stop, Tasks, deadline_in};

pub use status::{PartitionState, PartitionStatus, Status};

/// How often the log is asked whether it has more partitions.
const GROWTH_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);

/// What the workers share.
#[derive(Clone)]
pub struct Capture {
    pub log: Arc<dyn EventLog>,
    pub pool: Pool,
    pub clock: Clock,
    pub health: Health,
    pub config: config::Capture,
    /// Earlier `received_at`s are dead letters, so that no absurd date makes a partition.
    pub backdate_from: Timestamp,
    /// Names this installation in the leases: the same after a restart, so that it need not wait for its own.
    pub owner: String,
    pub status: Status,
    /// How long a stop may take to store what is in the log.
    pub shutdown_deadline: std::time::Duration,
}

impl Capture {
    /// Runs until the token is cancelled, then stores what the log holds by then, if PostgreSQL lets it.
    ///
    /// # Errors
    /// When a worker ended on its own.
    pub async fn run(self, token: CancellationToken) -> Result<(), String> {
        let mut tasks = Tasks::new("capture partitions");
        let stopping = tasks.token();
        let catalogued = Arc::new(AtomicUsize::new(0));
        tasks.spawn("housekeeping", housekeeping::run(self.clone(), stopping.clone()));
        let mut at_work = 0;
        loop {
            let partitions = self.log.partitions();
            for partition in at_work..partitions {
                let worker = worker::Worker::new(self.clone(), partition, catalogued.clone());
                tasks.spawn(format!("capture-{partition}"), worker.run(stopping.clone()));
            }
            at_work = partitions;
            tokio::select! {
                () = token.cancelled() => break,
                stop = tasks.died() => if let Stop::Died { task, reason } = stop {
                    return Err(format!("{task}: {reason}"));
                },
                () = tokio::time::sleep(GROWTH_INTERVAL) => {}
            }
        }
        tasks.stop(deadline_in(self.shutdown_deadline)).await;
        Ok(())
    }
}
