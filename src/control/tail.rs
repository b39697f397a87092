//! The log's records as lines, as they arrive.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use tokio::sync::mpsc;

use super::message::TailQuery;
use crate::broker::EventLog;

const FETCH_BYTES: usize = 256 * 1024;
const FETCH_WAIT: Duration = Duration::from_secs(1);
/// Fetches that wait for a slow reader.
const QUEUE: usize = 4;

/// Streams the records of all partitions, one JSON text a line; ends when the reader goes, or at the end of
/// the log if it is not to follow.
pub(super) async fn lines(
    log: Arc<dyn EventLog>,
    query: &TailQuery,
) -> Result<impl Stream<Item = Result<Bytes, std::io::Error>> + use<>, String> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    for partition in 0..log.partitions() {
        let range = log.offsets(partition).await.map_err(|error| error.to_string())?;
        let from = range.earliest.max(range.end - i64::from(query.last));
        let until = (!query.follow).then_some(range.end);
        tokio::spawn(send_partition(
            log.clone(),
            partition,
            from,
            until,
            sender.clone(),
        ));
    }
    Ok(futures_util::stream::unfold(
        receiver,
        |mut receiver| async move { receiver.recv().await.map(|lines| (Ok(lines), receiver)) },
    ))
}

async fn send_partition(
    log: Arc<dyn EventLog>,
    partition: i32,
    mut from: i64,
    until: Option<i64>,
    sender: mpsc::Sender<Bytes>,
) {
    while until.is_none_or(|until| from < until) && !sender.is_closed() {
        let Ok(records) = log.fetch(partition, from, FETCH_BYTES, FETCH_WAIT).await else {
            return;
        };
        let mut lines = BytesMut::new();
        for record in &records {
            from = record.offset + 1;
            lines.put_slice(&record.value);
            lines.put_u8(b'\n');
        }
        if !lines.is_empty() && sender.send(lines.freeze()).await.is_err() {
            return;
        }
    }
}
