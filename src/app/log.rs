//! The event log: Kafka where the config names one, else the embedded one; and the spool before Kafka.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use super::former_log::FormerLog;
use super::kafka_mark;
use super::stages::Stages;
use crate::broker::embedded::EmbeddedLog;
use crate::broker::intake::{self, Intake};
use crate::broker::kafka::{self, KafkaLog, PreflightError};
use crate::broker::spool::Spool;
use crate::broker::{EventLog, LogError};
use crate::clock::Clock;
use crate::config::{Config, Role};
use crate::data_dir::DataDir;
use crate::event::wire;
use crate::lifecycle::Health;
use crate::retry::Backoff;

/// The embedded log's folder in the data dir.
pub(super) const FOLDER: &str = "event-log";
/// How often the embedded log's retention is carried out.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
/// The part that is unhealthy while a log that capture needs has not been reached.
const HEALTH_PART: &str = "event log";

/// The log that this process uses, and keeps.
pub(super) struct Log {
    kept: Kept,
    /// Nothing until it has been reached.
    known: watch::Sender<Option<Arc<dyn EventLog>>>,
    spool: Option<Arc<Spool>>,
    former: Option<FormerLog>,
}

enum Kept {
    Embedded(Arc<EmbeddedLog>),
    Kafka(Box<Reached>),
}

/// Kafka, or how to reach it.
struct Reached {
    log: Option<Arc<KafkaLog>>,
    config: Config,
    clock: Clock,
}

impl Log {
    /// Opens the configured log. A Kafka that does not answer is tried again by [`keep`](Self::keep).
    ///
    /// # Errors
    /// What waiting does not mend.
    pub(super) async fn open(config: &Config, data_dir: &DataDir, clock: &Clock) -> anyhow::Result<Self> {
        if !config.kafka.is_used() {
            kafka_mark::refuse(config)?;
            let folder = data_dir.private_folder(FOLDER)?;
            let log = EmbeddedLog::open(&folder, &config.event_log, clock.clone())
                .map_err(|error| cannot_open(&folder, &error))?;
            return Ok(Self {
                known: watch::Sender::new(Some(log.clone())),
                kept: Kept::Embedded(log),
                spool: None,
                former: None,
            });
        }
        let former = FormerLog::open(config, data_dir, clock).await?;
        let mut kafka = Reached {
            log: None,
            config: config.clone(),
            clock: clock.clone(),
        };
        if let Err(reason) = kafka.reach().await? {
            warn!(reason, "Kafka does not answer; it is tried again");
        }
        kafka_mark::note(data_dir.path(), &config.kafka)?;
        let known = kafka.log.clone().map(|log| log as Arc<dyn EventLog>);
        let is_spooled = config.takes_events() && config.spool.max_size.as_u64() > 0;
        let spool = if is_spooled {
            let folder = data_dir.private_folder("spool")?;
            Some(Spool::open(&folder, &config.spool, clock.clone(), wire::spooled).await?)
        } else {
            None
        };
        Ok(Self {
            known: watch::Sender::new(known),
            kept: Kept::Kafka(Box::new(kafka)),
            spool,
            former,
        })
    }

    /// The embedded log from before Kafka, to be drained; once.
    pub(super) fn take_former(&mut self) -> Option<FormerLog> {
        self.former.take()
    }

    /// The log as readers see it.
    pub(super) fn known(&self) -> intake::Log {
        self.known.subscribe()
    }

    /// The log as producers see it.
    pub(super) fn intake(&self) -> Arc<Intake> {
        Arc::new(Intake::new(self.known(), self.spool.clone()))
    }

    /// Looks after log and spool until the back stage stops; then what was appended is answered and both are closed.
    /// A log whose writer died, or that became another one, takes the process with it.
    pub(super) fn keep(self, stages: &mut Stages, health: &Health, shutdown_deadline: Duration) {
        if let Some(spool) = self.spool {
            let (known, token) = (self.known.subscribe(), stages.back.token());
            stages.back.spawn("spool", async move {
                tokio::select! {
                    () = spool.keep_replaying(known) => {}
                    () = token.cancelled() => {}
                }
                spool.close().await;
                Ok::<_, String>(())
            });
        }
        let (known, kept, health) = (self.known, self.kept, health.clone());
        let token = stages.back.token();
        stages.back.spawn("event log", async move {
            match kept {
                Kept::Embedded(log) => {
                    tokio::select! {
                        () = log.keep_retaining(RETENTION_INTERVAL) => {}
                        () = log.writer_died() => return Err("its writer died".to_owned()),
                        () = token.cancelled() => log.close().await,
                    }
                    Ok(())
                }
                Kept::Kafka(kafka) => {
                    let log = tokio::select! {
                        reached = kafka.wait(&health) => reached.map_err(|error| error.to_string())?,
                        () = token.cancelled() => return Ok(()),
                    };
                    known.send_replace(Some(log.clone()));
                    log.run(token.cancelled(), shutdown_deadline).await
                }
            }
        });
    }
}

pub(super) fn cannot_open(folder: &Path, error: &LogError) -> anyhow::Error {
    anyhow::anyhow!(
        "{error}\n\n\
         hint: nothing was changed. A copy of {folder} from a backup may replace it; moved away, momsflow begins a new \
         log, and events that were in the old one and not yet in the event store are only there",
        folder = folder.display()
    )
}

/// What this process will do with the topic.
pub fn needs(config: &Config) -> kafka::Needs {
    kafka::Needs {
        max_event: config.ingest.max_event.as_u64(),
        appends: config.takes_events(),
        fetches: config.roles.contains(&Role::Capture),
    }
}

impl Reached {
    /// Tries once to reach Kafka; the inner error is the reason why it has to be tried again.
    async fn reach(&mut self) -> anyhow::Result<Result<(), String>> {
        let kafka = &self.config.kafka;
        match kafka::prepare(kafka, needs(&self.config)).await {
            Ok(found) => {
                self.log = Some(KafkaLog::open(kafka, &found, &self.clock)?);
                Ok(Ok(()))
            }
            Err(PreflightError::Unreachable(reason)) => Ok(Err(reason)),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until Kafka answers.
    async fn wait(mut self, health: &Health) -> anyhow::Result<Arc<KafkaLog>> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            if let Some(log) = self.log {
                health.recover(HEALTH_PART);
                return Ok(log);
            }
            if self.config.roles.contains(&Role::Capture) {
                health.fail(HEALTH_PART, "Kafka has not been reached yet");
            }
            tokio::time::sleep(backoff.next_wait()).await;
            if let Err(reason) = self.reach().await? {
                warn!(reason, "waiting for Kafka");
            }
        }
    }
}
