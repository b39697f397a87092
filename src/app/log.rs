//! The event log: Kafka where the config names one, else the embedded one.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::stages::Stages;
use crate::broker::EventLog;
use crate::broker::embedded::EmbeddedLog;
use crate::broker::kafka::{self, KafkaLog, PreflightError};
use crate::clock::Clock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::retry::Backoff;

/// How often the embedded log's retention is carried out.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

/// The log that this process uses, and keeps.
pub(super) enum Log {
    Embedded(Arc<EmbeddedLog>),
    Kafka(Arc<KafkaLog>),
}

impl Log {
    /// Opens the configured log; waits for a Kafka that does not answer yet.
    ///
    /// # Errors
    /// What waiting does not mend.
    pub(super) async fn open(config: &Config, data_dir: &DataDir, clock: &Clock) -> anyhow::Result<Self> {
        if !config.kafka.is_used() {
            let folder = data_dir.private_folder("event-log")?;
            let log = EmbeddedLog::open(&folder, &config.event_log, clock.clone())?;
            return Ok(Self::Embedded(log));
        }
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let found = loop {
            match kafka::prepare(&config.kafka, config.ingest.max_event.as_u64()).await {
                Ok(found) => break found,
                Err(PreflightError::Unreachable(reason)) => {
                    warn!(reason, "waiting for Kafka");
                    tokio::time::sleep(backoff.next_wait()).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        Ok(Self::Kafka(KafkaLog::open(&config.kafka, &found, clock)?))
    }

    /// The log as the roles see it.
    pub(super) fn seam(&self) -> Arc<dyn EventLog> {
        match self {
            Self::Embedded(log) => log.clone(),
            Self::Kafka(log) => log.clone(),
        }
    }

    /// Looks after the log until the back stage stops; then what was appended is answered and it is closed.
    /// A writer that died takes the process with it.
    pub(super) fn keep(self, stages: &mut Stages, shutdown_deadline: Duration) {
        let token = stages.back.token();
        stages.back.spawn("event log", async move {
            match self {
                Self::Embedded(log) => {
                    tokio::select! {
                        () = log.keep_retaining(RETENTION_INTERVAL) => {}
                        () = log.writer_died() => return Err("its writer died".to_owned()),
                        () = token.cancelled() => log.close().await,
                    }
                    Ok(())
                }
                Self::Kafka(log) => log.run(token.cancelled(), shutdown_deadline).await,
            }
        });
    }
}
