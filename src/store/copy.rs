//! Rows of `events` in PostgreSQL's binary COPY format.
//!
//! Written by hand instead of through the client's generic writer: JSON text goes over byte for byte, and a row
//! costs no dynamic dispatch. Format: <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".

use std::mem;
use std::pin::pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use jiff::Timestamp;
use tokio_postgres::CopyInSink;

use crate::event::{Event, RawJson};

/// The columns that a row has, in this order.
pub const COLUMNS: &str = "received_at, event_id, occurred_at, accepted_at, type, event, name, user_id, anonymous_id, \
    group_id, previous_id, original_timestamp, sent_at, is_bot, source, trusted, properties, traits, context, \
    log_id, log_partition, log_offset";
const COLUMN_COUNT: i16 = 22;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// 2000-01-01T00:00:00Z in microseconds since 1970, where PostgreSQL's time begins.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
/// The first byte of a binary jsonb: its version.
const JSONB_VERSION: u8 = 1;
const NULL: i32 = -1;

/// Where a row came from in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    pub log: i32,
    pub partition: i32,
    pub offset: i64,
}

/// How much is encoded before it is sent: so little that PostgreSQL works on it while the next is encoded, and that
/// the allocator has it back at once.
const PIECE: usize = 128 * 1024;
/// A row beyond that seldom needs more than this.
const ROOM: usize = PIECE + 4 * 1024;

/// Rows on their way into one `COPY … FROM STDIN (FORMAT binary)`.
#[derive(Debug)]
struct CopyBuffer(BytesMut);

/// Sends rows to a COPY that was begun, and ends it; returns how many there were.
///
/// # Errors
/// What PostgreSQL has against any of them.
pub(super) async fn send<'a>(
    sink: CopyInSink<Bytes>,
    rows: impl IntoIterator<Item = (&'a Event<'a>, Lineage)>,
) -> Result<u64, tokio_postgres::Error> {
    let mut sink = pin!(sink);
    let mut buffer = CopyBuffer::new();
    for (event, lineage) in rows {
        buffer.push(event, lineage);
        if let Some(piece) = buffer.full_piece() {
            sink.feed(piece).await?;
        }
    }
    sink.feed(buffer.finish()).await?;
    sink.finish().await
}

impl CopyBuffer {
    fn new() -> Self {
        let mut buffer = BytesMut::with_capacity(ROOM);
        buffer.put_slice(SIGNATURE);
        buffer.put_i32(0); // flags
        buffer.put_i32(0); // length of the header extension
        Self(buffer)
    }

    fn full_piece(&mut self) -> Option<Bytes> {
        let is_full = self.0.len() >= PIECE;
        is_full.then(|| mem::replace(&mut self.0, BytesMut::with_capacity(ROOM)).freeze())
    }

    fn push(&mut self, event: &Event<'_>, lineage: Lineage) {
        let out = &mut self.0;
        out.put_i16(COLUMN_COUNT);
        put_timestamp(out, event.received_at);
        put_bytes(out, event.event_id.as_bytes());
        put_timestamp(out, event.occurred_at);
        put_timestamp(out, event.accepted_at);
        put_bytes(out, event.kind.as_str().as_bytes());
        for text in [
            &event.event,
            &event.name,
            &event.user_id,
            &event.anonymous_id,
            &event.group_id,
            &event.previous_id,
        ] {
            put_optional(out, text.as_ref(), |out, text| put_bytes(out, text.as_bytes()));
        }
        put_optional(out, event.original_timestamp, put_timestamp);
        put_optional(out, event.sent_at, put_timestamp);
        put_bytes(out, &[u8::from(event.is_bot)]);
        put_bytes(out, event.source.as_bytes());
        put_bytes(out, &[u8::from(event.trusted)]);
        for json in [&event.properties, &event.traits, &event.context] {
            put_optional(out, json.as_ref(), put_jsonb);
        }
        put_bytes(out, &lineage.log.to_be_bytes());
        put_bytes(out, &lineage.partition.to_be_bytes());
        put_bytes(out, &lineage.offset.to_be_bytes());
    }

    fn finish(mut self) -> Bytes {
        self.0.put_i16(-1);
        self.0.freeze()
    }
}

fn put_optional<T>(out: &mut BytesMut, value: Option<T>, put: impl FnOnce(&mut BytesMut, T)) {
    match value {
        Some(value) => put(out, value),
        None => out.put_i32(NULL),
    }
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    // A record is far below 2 GiB: the log's own limit is some MB.
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}

fn put_timestamp(out: &mut BytesMut, at: Timestamp) {
    put_bytes(out, &(at.as_microsecond() - POSTGRES_EPOCH).to_be_bytes());
}

fn put_jsonb(out: &mut BytesMut, json: &RawJson<'_>) {
    let text = json.get();
    out.put_i32(text.len() as i32 + 1);
    out.put_u8(JSONB_VERSION);
    out.put_slice(text.as_bytes());
}
