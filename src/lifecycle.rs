//! Supervised tasks: each long-running task has a name and an owner, and its death is noticed.
//!
//! A task that returns or panics before the shutdown began has *died*: the process stops with that reason.
//! Shutdown happens in stages (sources first, then what drains them), each within the one deadline.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// The health of the named parts of the process, as `/ready` tells it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, String>>>);

impl Health {
    /// Marks a part as unhealthy, with the reason that people read.
    pub fn fail(&self, part: &str, reason: impl Into<String>) {
        self.lock().insert(part.to_owned(), reason.into());
    }

    /// Marks a part as healthy again.
    pub fn recover(&self, part: &str) {
        self.lock().remove(part);
    }

    /// The unhealthy parts and why; empty when all is well.
    pub fn faults(&self) -> BTreeMap<String, String> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the process stops.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// Somebody asked for it.
    Requested,
    /// A task ended on its own.
    Died { task: String, reason: String },
}

/// Owns the tasks of one stage and stops them together.
#[derive(Debug)]
pub struct Tasks {
    stage: &'static str,
    token: CancellationToken,
    set: JoinSet<Result<(), String>>,
    names: BTreeMap<String, (Id, AbortHandle)>,
}

impl Tasks {
    /// A stage without tasks yet; its name appears in the shutdown's log lines.
    pub fn new(stage: &'static str) -> Self {
        Self {
            stage,
            token: CancellationToken::new(),
            set: JoinSet::new(),
            names: BTreeMap::new(),
        }
    }

    /// Is cancelled when this stage shall stop. Tasks watch it and return `Ok` soon afterwards.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts a named task.
    pub fn spawn<E: std::fmt::Display>(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self
            .set
            .spawn(async move { task.await.map_err(|error| format!("{error:#}")) });
        self.names.insert(name.into(), (handle.id(), handle));
    }

    /// Waits until a task ends although nobody asked it to, and says which and why.
    /// Pends for ever while there is no task.
    pub async fn died(&mut self) -> Stop {
        match self.set.join_next_with_id().await {
            None => std::future::pending().await,
            Some(outcome) => {
                let (task, reason) = self.reap(outcome);
                Stop::Died {
                    task,
                    reason: reason.unwrap_or_else(|| "it returned".to_owned()),
                }
            }
        }
    }

    /// Stops the stage: cancels its token, waits until `deadline`, then aborts and names who is late.
    /// Returns whether all stopped in time.
    pub async fn stop(mut self, deadline: Instant) -> bool {
        self.token.cancel();
        while !self.names.is_empty() {
            match tokio::time::timeout_at(deadline, self.set.join_next_with_id()).await {
                Ok(Some(outcome)) => {
                    if let (task, Some(reason)) = self.reap(outcome) {
                        warn!(task, reason, "task failed while it was stopping");
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    let late: Vec<_> = self.names.keys().cloned().collect();
                    error!(
                        stage = self.stage,
                        late = late.join(", "),
                        "shutdown deadline passed"
                    );
                    return false;
                }
            }
        }
        info!(stage = self.stage, "stopped");
        true
    }

    fn reap(&mut self, outcome: Result<(Id, Result<(), String>), JoinError>) -> (String, Option<String>) {
        let (id, reason) = match outcome {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(reason))) => (id, Some(reason)),
            Err(error) => (error.id(), Some(format!("it panicked: {error}"))),
        };
        let name = self
            .names
            .iter()
            .find(|(_, (known, _))| *known == id)
            .map(|(name, _)| name.clone())
            .unwrap_or_default();
        self.names.remove(&name);
        (name, reason)
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for (_, handle) in self.names.values() {
            handle.abort();
        }
    }
}

/// Resolves at the first SIGTERM or Ctrl-C. From then on a second one ends the process at once.
///
/// # Errors
/// Where the operating system refuses a signal handler.
pub async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        warn!("second signal, ending at once; what was acknowledged is safe");
        std::process::exit(130);
    });
    Ok(())
}

/// The moment by which a shutdown that begins now must be over.
pub fn deadline_in(wait: Duration) -> Instant {
    Instant::now() + wait
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_returns_or_panics_has_died() {
        let mut tasks = Tasks::new("test");
        tasks.spawn("brief", async { Ok::<_, String>(()) });
        let Stop::Died { task, .. } = tasks.died().await else {
            panic!("it was not asked to stop")
        };
        assert_eq!(task, "brief");
        tasks.spawn::<String>("clumsy", async { panic!("slipped") });
        let Stop::Died { task, reason } = tasks.died().await else {
            panic!("it was not asked to stop")
        };
        assert_eq!(task, "clumsy");
        assert!(reason.contains("slipped"), "{reason}");
    }

    #[tokio::test]
    async fn stop_waits_for_the_quick_and_names_the_late() {
        let mut tasks = Tasks::new("quick");
        let token = tasks.token();
        tasks.spawn("quick", async move {
            token.cancelled().await;
            Ok::<_, String>(())
        });
        assert!(tasks.stop(deadline_in(Duration::from_secs(60))).await);

        let mut tasks = Tasks::new("late");
        tasks.spawn("late", std::future::pending::<Result<(), String>>());
        assert!(!tasks.stop(deadline_in(Duration::from_millis(10))).await);
    }
}
