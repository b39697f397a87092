//! The role capture: moves events from the log into PostgreSQL, each exactly once.
//!
//! One worker a log partition: take the lease, read on from the position, sort the records, write them with the
//! new position in one transaction, tell the log what may be deleted. Whatever fails, the worker drops its
//! connection, takes the lease anew and goes on from the position that PostgreSQL has.
//!
//! Any number of hosts share the partitions. `membership` keeps this host among them and its leases alive, `sharing`
//! says which partitions it shall have, `shares` hands that to the workers.

mod catalog;
mod drain;
mod guilt;
mod housekeeping;
mod membership;
mod patience;
mod probe;
mod shares;
mod sharing;
mod sorting;
mod status;
mod trouble;
mod twin;
mod waiting;
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
use crate::store::server::Server;

pub use status::{HostStatus, PartitionState, PartitionStatus, Status};

/// What the workers share.
#[derive(Clone)]
pub struct Capture {
    pub log: Arc<dyn EventLog>,
    pub pool: Pool,
    /// The database that `pool` leads to, for a connection that listens.
    pub database: Server,
    pub clock: Clock,
    pub health: Health,
    pub config: config::Capture,
    /// Earlier `received_at`s are dead letters, so that no absurd date makes a partition.
    pub backdate_from: Timestamp,
    /// Names this installation in the leases: the same after a restart, so that it need not wait for its own.
    pub owner: String,
    /// Names the data dir on this machine until its next boot; who has it locked is alone there.
    pub place: String,
    /// Names this process to people.
    pub name: String,
    pub status: Status,
    /// How long a stop may take to store what is in the log.
    pub shutdown_deadline: std::time::Duration,
}

impl Capture {
    /// Runs until the token is cancelled. Then other hosts go on where this one is; without any, it stores what the log
    /// holds by then, if PostgreSQL lets it.
    ///
    /// # Errors
    /// When a task ended on its own.
    pub async fn run(self, token: CancellationToken) -> Result<(), String> {
        let mut tasks = Tasks::new("capture partitions");
        let stopping = tasks.token();
        let shares = shares::Shares::new();
        // Apart, since workers need their leases until they have finished.
        let mut members = Tasks::new("capture leases");
        let membership = membership::Membership::new(self.clone(), shares.clone());
        members.spawn("leases", membership.run(stopping.clone(), members.token()));
        tasks.spawn(
            "probe of the log",
            probe::run(self.clone(), shares.clone(), stopping.clone()),
        );
        tasks.spawn(
            "age of events",
            waiting::show_ages(self.clone(), stopping.clone()),
        );
        tasks.spawn(
            "count of dead letters",
            waiting::count_dead_letters(self.clone(), stopping.clone()),
        );
        tasks.spawn("housekeeping", housekeeping::run(self.clone(), stopping.clone()));
        let catalogued = Arc::new(AtomicUsize::new(0));
        let mut partitions = 0;
        let died = loop {
            let found = self.log.partitions();
            for partition in partitions..found {
                let worker = worker::Worker::new(self.clone(), shares.clone(), partition, catalogued.clone());
                tasks.spawn(format!("capture-{partition}"), worker.run(stopping.clone()));
            }
            if partitions > 0 {
                self.make_room(found - partitions);
            }
            partitions = found;
            tokio::select! {
                () = token.cancelled() => break Stop::Requested,
                stop = tasks.died() => break stop,
                stop = members.died() => break stop,
                () = tokio::time::sleep(self.config.lease / 3) => {}
            }
        };
        if let Stop::Died { task, reason } = died {
            return Err(format!("{task}: {reason}"));
        }
        let deadline = deadline_in(self.shutdown_deadline);
        tasks.stop(deadline).await;
        members.stop(deadline).await;
        Ok(())
    }

    /// Each partition's lease belongs to a connection of its own.
    fn make_room(&self, more: i32) {
        if more > 0 {
            let connections = self.pool.status().max_size + more.unsigned_abs() as usize;
            self.pool.resize(connections);
        }
    }
}
