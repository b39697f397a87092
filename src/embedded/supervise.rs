//! Keeps the server running.

use std::time::Duration;

use metrics::counter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::server::Server;
use super::{EmbeddedError, EmbeddedPostgres, HEALTH_PART, STRAY_PATIENCE, log_file, strays};
use crate::retry::Backoff;
use crate::telemetry::metric::POSTGRES_RESTARTS_TOTAL;

const LOG_CHECK: Duration = Duration::from_secs(30);
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A server that ran this long did not die of its start.
const SETTLED: Duration = Duration::from_secs(60);

impl EmbeddedPostgres {
    /// Restarts the server whenever it dies, until `shutdown` is cancelled; then stops it cleanly and returns.
    /// Cancel it after everything that uses the databases has ended: the stop cuts their connections.
    ///
    /// A server that does not come back is tried for ever: a full disk becomes free again, and until then the
    /// health says so.
    ///
    /// # Errors
    /// When the server cannot be stopped.
    pub async fn supervise(&self, shutdown: CancellationToken) -> Result<(), EmbeddedError> {
        let mut held = self.server.lock().await;
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut started = Instant::now();
        loop {
            let Some(server) = held.as_mut() else {
                let restarted = tokio::select! {
                    () = shutdown.cancelled() => None,
                    server = self.restart(&mut backoff) => Some(server),
                };
                if restarted.is_none() {
                    // A start that was cut short leaves a server behind, which was told to stop.
                    return self.finish(None).await;
                }
                *held = restarted;
                started = Instant::now();
                continue;
            };
            tokio::select! {
                () = shutdown.cancelled() => {
                    let server = held.take();
                    return self.finish(server).await;
                }
                reason = server.died() => {
                    error!(reason, "PostgreSQL died, restarting it");
                    self.health.fail(HEALTH_PART, format!("PostgreSQL died: {reason}"));
                    *held = None;
                    if started.elapsed() > SETTLED {
                        backoff.reset();
                    }
                }
                () = self.bound_log() => {}
            }
        }
    }

    async fn restart(&self, backoff: &mut Backoff) -> Server {
        loop {
            tokio::time::sleep(backoff.next_wait()).await;
            let attempt = async {
                strays::end(&self.launch.layout.cluster(), STRAY_PATIENCE).await?;
                self.launch.start().await
            };
            match attempt.await {
                Ok(server) => {
                    counter!(POSTGRES_RESTARTS_TOTAL).increment(1);
                    info!("PostgreSQL serves again");
                    self.health.recover(HEALTH_PART);
                    return server;
                }
                Err(error) => {
                    let message = error.to_string();
                    // The hint after the blank line is for a person at a terminal.
                    let reason = message.split("\n\n").next().unwrap_or_default();
                    error!(reason, "PostgreSQL does not come back, trying again");
                    self.health.fail(HEALTH_PART, reason);
                }
            }
        }
    }

    /// Resolves after a while, with the server's log bounded.
    async fn bound_log(&self) {
        tokio::time::sleep(LOG_CHECK).await;
        if let Err(reason) = log_file::bound(&self.launch.layout.log()) {
            warn!(%reason, "the log of PostgreSQL cannot be bounded");
        }
    }
}
