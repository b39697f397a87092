//! Notes in the data dir that its events go to Kafka, so that a config which names no broker any more is noticed.

use std::io;
use std::path::Path;

use anyhow::Context as _;

use crate::config::{Config, Kafka};
use crate::private::write_whole;

const FILE: &str = "kafka-log";

/// Notes where events go.
///
/// # Errors
/// When the data dir cannot be written.
pub(super) fn note(data_dir: &Path, kafka: &Kafka) -> anyhow::Result<()> {
    let path = data_dir.join(FILE);
    let text = format!("topic {} at {}", kafka.topic, kafka.brokers.join(", "));
    if std::fs::read_to_string(&path).is_ok_and(|known| known.trim() == text) {
        return Ok(());
    }
    write_whole(&path, &text).with_context(|| path.display().to_string())
}

/// Refuses an embedded log where events went to Kafka before: what waits there would silently be left.
///
/// # Errors
/// With what to do, and when the note cannot be read.
pub fn refuse(config: &Config) -> anyhow::Result<()> {
    let path = config.data_dir.join(FILE);
    let noted = match std::fs::read_to_string(&path) {
        Ok(noted) => noted,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    anyhow::bail!(
        "events of this data dir went to Kafka ({}), and the config names no broker any more: what waits there, or in \
         the spool, to be stored would be left behind\n\n\
         hint: was the config file or MOMSFLOW_KAFKA__BROKERS lost? Then put it back. To return to the embedded log: \
         with Kafka still in the config, stop the senders, wait until `momsflow status` shows no lag and an empty spool, \
         stop, and delete {}",
        noted.trim(),
        path.display()
    )
}
