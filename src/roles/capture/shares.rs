//! What the workers of a host share about its leases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// What the host last decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// `logs.id`; `None` until it is known.
    pub(super) log: Option<i32>,
    /// The partitions that this host shall have.
    pub(super) wanted: BTreeSet<i32>,
    /// No other host lives that could go on where this one stops.
    pub(super) is_alone: bool,
}

/// The plan, and the leases that were taken by it; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    plan: Arc<watch::Sender<Plan>>,
    held: Arc<Mutex<BTreeMap<i32, i64>>>,
    look: Arc<Notify>,
    log_answered: Arc<Mutex<Instant>>,
}

impl Shares {
    pub(super) fn new() -> Self {
        Self {
            plan: Arc::new(watch::Sender::new(Plan::default())),
            held: Arc::default(),
            look: Arc::default(),
            log_answered: Arc::new(Mutex::new(Instant::now())),
        }
    }

    pub(super) fn decide(&self, plan: Plan) {
        self.plan.send_if_modified(|old| {
            let is_new = *old != plan;
            *old = plan;
            is_new
        });
    }

    /// Waits until it is decided for the first time which partitions this host shall have.
    pub(super) async fn decided(&self) {
        let mut plan = self.plan.subscribe();
        // The sender lives as long as this.
        let _ = plan.wait_for(|plan| plan.log.is_some()).await;
    }

    /// Waits until this host shall have the partition; gives `logs.id`.
    pub(super) async fn wanted(&self, partition: i32) -> i32 {
        let mut plan = self.plan.subscribe();
        let decided = plan.wait_for(|plan| plan.log.is_some() && plan.wanted.contains(&partition));
        decided.await.ok().and_then(|plan| plan.log).unwrap_or_default()
    }

    /// Waits until this host shall no longer have the partition.
    pub(super) async fn unwanted(&self, partition: i32) {
        let mut plan = self.plan.subscribe();
        let _ = plan.wait_for(|plan| !plan.wanted.contains(&partition)).await;
    }

    pub(super) fn is_wanted(&self, partition: i32) -> bool {
        self.plan.borrow().wanted.contains(&partition)
    }

    /// How many partitions this host shall have.
    pub(super) fn count(&self) -> usize {
        self.plan.borrow().wanted.len()
    }

    pub(super) fn is_alone(&self) -> bool {
        self.plan.borrow().is_alone
    }

    /// A lease was taken: it is renewed from now on, and shown.
    pub(super) fn hold(&self, partition: i32, epoch: i64) {
        self.lock().insert(partition, epoch);
        self.look_anew();
    }

    /// A lease is not used any more. The plan may have been made on old knowledge, so it is made anew.
    pub(super) fn let_go(&self, partition: i32) {
        self.lock().remove(&partition);
        self.look_anew();
    }

    /// The leases that are in use: partition and epoch.
    pub(super) fn held(&self) -> BTreeMap<i32, i64> {
        self.lock().clone()
    }

    /// The event log gave an answer.
    pub(super) fn log_answers(&self) {
        *self.log_answered.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long nobody here has had an answer from the event log.
    pub(super) fn log_silence(&self) -> Duration {
        let answered = self.log_answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.elapsed()
    }

    /// Asks for a new plan.
    pub(super) fn look_anew(&self) {
        self.look.notify_one();
    }

    /// Resolves when somebody has asked for one.
    pub(super) async fn asked(&self) {
        self.look.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, i64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
