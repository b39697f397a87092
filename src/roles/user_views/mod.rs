//! The role user-views: makes events into what is known of people, on a schedule.

mod error;
mod rebuild;
mod run;
mod schedule;

use deadpool_postgres::Pool;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use error::ViewsError;
pub use rebuild::{Difference, Progress};
pub use run::Done;
use schedule::Bell;

use crate::clock::Clock;
use crate::config::Schedule;
use crate::lifecycle::Health;
use crate::views::Zone;

/// The part that `/ready` names.
const PART: &str = "user-views";

/// The views of one pair of databases.
#[derive(Clone, Debug)]
pub struct UserViews {
    pub events: Pool,
    pub views: Pool,
    pub clock: Clock,
    pub zone: Zone,
    /// Its name, which the states are made by.
    pub zone_name: String,
    /// The most events of a transaction.
    pub max_batch: usize,
}

impl UserViews {
    /// Brings the views up to date whenever the schedule says so, until the token is cancelled.
    ///
    /// # Errors
    /// Where the schedule cannot be kept.
    pub async fn serve(
        self,
        schedule: Schedule,
        health: Health,
        token: CancellationToken,
    ) -> Result<(), ViewsError> {
        let bell = Bell::start(&schedule).await?;
        loop {
            // A stop waits for no database: what is not committed is as if it had not begun.
            tokio::select! {
                () = self.keep(&health, &token) => {}
                () = token.cancelled() => break,
            }
            tokio::select! {
                () = bell.rings() => {}
                () = token.cancelled() => break,
            }
        }
        bell.stop().await;
        Ok(())
    }

    /// One run, or a rebuild where the views mean something else by now.
    async fn keep(&self, health: &Health, token: &CancellationToken) {
        let outcome = match self.run(token).await {
            Err(ViewsError::Outdated { was, is }) => {
                info!(was, is, "all views are made anew");
                self.rebuild(token, |_| ()).await
            }
            outcome => outcome,
        };
        match outcome {
            Ok(done) => {
                health.recover(PART);
                if done.rows_read > 0 {
                    info!(
                        events = done.rows_read,
                        people = done.people_touched,
                        rows = done.rows_changed,
                        "views are up to date"
                    );
                }
            }
            Err(ViewsError::Busy | ViewsError::Stopped) => {}
            Err(error) => self.complain(health, &error),
        }
    }

    fn complain(&self, health: &Health, error: &ViewsError) {
        warn!(%error, "views are not up to date");
        health.fail(PART, error.to_string());
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
