//! When to look again. The scheduler only rings; what is due is decided by who is woken.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler};

use super::ViewsError;
use crate::config::Schedule;

pub(super) struct Bell {
    scheduler: JobScheduler,
    rung: Arc<Notify>,
}

impl Bell {
    pub(super) async fn start(schedule: &Schedule) -> Result<Self, ViewsError> {
        let scheduler = JobScheduler::new().await?;
        let rung = Arc::new(Notify::new());
        let ring = rung.clone();
        let job = match schedule {
            Schedule::Every(every) => Job::new_repeated(*every, move |_, _| ring.notify_one())?,
            // The crate's first field is seconds.
            Schedule::Cron(fields) => {
                Job::new(format!("0 {fields}").as_str(), move |_, _| ring.notify_one())?
            }
        };
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok(Self { scheduler, rung })
    }

    /// Resolves when it has rung since the last time.
    pub(super) async fn rings(&self) {
        self.rung.notified().await;
    }

    pub(super) async fn stop(mut self) {
        // It ends with the process as well.
        let _ = self.scheduler.shutdown().await;
    }
}
