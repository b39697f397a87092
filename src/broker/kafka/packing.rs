//! Writes a batch of records as Kafka keeps it.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::compression::{Compressor, Gzip, Snappy};
use lz4::{BlockMode, BlockSize, ContentChecksum, EncoderBuilder};

use super::batcher::size_of;
use super::header;
use crate::broker::Record;
use crate::config::KafkaCompression;

/// Where the length stands, and behind it what it counts.
const LENGTH: std::ops::Range<usize> = 8..12;
const CHECKSUM: std::ops::Range<usize> = 17..21;
const HEADER: usize = 61;
const MAGIC: i8 = 2;
/// How much shorter compression makes a batch, at least.
const USUAL_PACKING: usize = 3;
/// In place of a producer's id, epoch and sequence: it is not an idempotent one.
const NONE: i8 = -1;

/// Packs records into one batch, all with the time `now` in milliseconds.
///
/// # Errors
/// When they cannot be compressed.
pub(super) fn pack(records: &[&Record], compression: KafkaCompression, now: i64) -> anyhow::Result<Bytes> {
    let last = i32::try_from(records.len())? - 1;
    let unpacked = write(records);
    let mut batch = BytesMut::with_capacity(HEADER + unpacked.len() / USUAL_PACKING);
    batch.put_i64(0); // offset: the broker's to give
    batch.put_i32(0); // length, filled in below
    batch.put_i32(-1); // the leader's epoch
    batch.put_i8(MAGIC);
    batch.put_u32(0); // checksum, filled in below
    batch.put_i16(code(compression));
    batch.put_i32(last);
    batch.put_i64(now); // first timestamp
    batch.put_i64(now); // and the latest
    batch.put_i64(NONE.into());
    batch.put_i16(NONE.into());
    batch.put_i32(NONE.into());
    batch.put_i32(last + 1);
    compress(&unpacked, compression, &mut batch)?;
    let length = i32::try_from(batch.len() - LENGTH.end)?;
    batch[LENGTH].copy_from_slice(&length.to_be_bytes());
    let checksum = crc32c::crc32c(&batch[CHECKSUM.end..]);
    batch[CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
    Ok(batch.freeze())
}

fn code(compression: KafkaCompression) -> i16 {
    match compression {
        KafkaCompression::None => 0,
        KafkaCompression::Gzip => 1,
        KafkaCompression::Snappy => 2,
        KafkaCompression::Lz4 => 3,
    }
}

fn write(records: &[&Record]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.iter().map(|record| size_of(record)).sum());
    for (offset, record) in (0..).zip(records) {
        let headers = header::headers(&record.value);
        let headers = || headers.iter().flatten();
        let key = (!record.key.is_empty()).then_some(&record.key[..]);
        let of_headers: usize = headers()
            .map(|(name, value)| length_of(Some(name.as_bytes())) + length_of(Some(value)))
            .sum();
        // Attributes, time and the number of headers take a byte each.
        let length = 3 + varint_length(offset) + length_of(key) + length_of(Some(&record.value)) + of_headers;
        put_varint(&mut out, length as i64);
        out.push(0); // attributes, of which there are none
        put_varint(&mut out, 0); // milliseconds since the first timestamp
        put_varint(&mut out, offset);
        put_bytes(&mut out, key);
        put_bytes(&mut out, Some(&record.value));
        put_varint(&mut out, headers().count() as i64);
        for (name, value) in headers() {
            put_bytes(&mut out, Some(name.as_bytes()));
            put_bytes(&mut out, Some(value));
        }
    }
    out
}

/// What [`put_bytes`] writes.
fn length_of(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_length(bytes.len() as i64) + bytes.len())
}

fn varint_length(value: i64) -> usize {
    let bits = u64::BITS - zigzag(value).leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

/// Null has the length -1.
fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_varint(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// Seven bits a byte.
fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut left = zigzag(value);
    while left >= 0x80 {
        out.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// The sign in the lowest bit, so that small numbers are short.
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn compress(records: &[u8], compression: KafkaCompression, out: &mut BytesMut) -> anyhow::Result<()> {
    match compression {
        KafkaCompression::None => out.put_slice(records),
        KafkaCompression::Gzip => Gzip::compress(out, |into| {
            into.put_slice(records);
            Ok(())
        })?,
        KafkaCompression::Snappy => Snappy::compress(out, |into| {
            into.put_slice(records);
            Ok(())
        })?,
        KafkaCompression::Lz4 => {
            // As Kafka's own producer: blocks that stand alone, and no checksum but the batch's.
            let mut encoder = EncoderBuilder::new()
                .block_size(BlockSize::Max64KB)
                .block_mode(BlockMode::Independent)
                .checksum(ContentChecksum::NoChecksum)
                .build(out.writer())?;
            std::io::Write::write_all(&mut encoder, records)?;
            encoder.finish().1?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use kafka_protocol::records::RecordBatchDecoder;
    use proptest::prelude::*;

    use super::super::record_batch::{Aborted, Batches};
    use super::*;

    const NOW: i64 = 1_795_000_000_000;

    fn record(key: &str, value: &[u8]) -> Record {
        Record {
            key: key.to_owned().into(),
            value: value.to_vec().into(),
        }
    }

    #[test]
    fn a_batch_is_what_kafkas_protocol_says() {
        let event = br#"{"v":1,"received_at":"2026-11-24T06:00:00Z","source":"website"}"#;
        let records = [
            record("k", event),
            record("", b""),
            record("u-\u{fc}", &[7; 200_000]),
        ];
        let records: Vec<_> = records.iter().collect();
        for compression in [
            KafkaCompression::None,
            KafkaCompression::Gzip,
            KafkaCompression::Snappy,
            KafkaCompression::Lz4,
        ] {
            let mut packed = pack(&records, compression, NOW).unwrap();
            let read = RecordBatchDecoder::decode(&mut packed).unwrap().records;
            assert_eq!(read.len(), 3);
            for (offset, (read, sent)) in (0..).zip(read.iter().zip(&records)) {
                assert_eq!((read.offset, read.timestamp), (offset, NOW), "{compression:?}");
                assert_eq!(read.value.as_ref(), Some(&sent.value));
                assert_eq!(read.key.clone().unwrap_or_default(), sent.key);
            }
            assert_eq!(read[1].key, None, "an empty key is null");
            let headers: Vec<_> = read[0].headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(headers, ["schema", "received_at", "source"]);
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read(values in proptest::collection::vec((".{0,40}", proptest::collection::vec(any::<u8>(), 0..300)), 1..40)) {
            let records: Vec<_> = values.iter().map(|(key, value)| record(key, value)).collect();
            let packed = pack(&records.iter().collect::<Vec<_>>(), KafkaCompression::Lz4, NOW).unwrap();
            let read = Batches::new(packed, Aborted::default(), 0).take(0).unwrap();
            let read: Vec<_> = read.into_iter().map(|record| Record { key: record.key, value: record.value }).collect();
            prop_assert_eq!(read, records);
        }
    }
}
