//! Unpacks the records of a batch.

use std::io::Read;

use bytes::{Buf, Bytes};
use kafka_protocol::compression::{Decompressor, Snappy};

/// What a batch may take once it is unpacked, whatever its length. Kafka limits what it takes packed, and a few kilobytes
/// of zeros are gigabytes then.
const MOST_UNPACKED: usize = 64 << 20;
/// The same for each byte of it, where topics take very long batches.
const MOST_PACKING: usize = 16;
/// How much longer lz4 was mostly, which spares moving what is there already.
const USUAL_PACKING: usize = 4;

/// The records as they were before a batch was compressed; `None` where they cannot be read, or are too long.
pub(super) fn unpack(mut packed: Bytes, codec: i16) -> Option<Bytes> {
    let most = MOST_UNPACKED.max(packed.len().saturating_mul(MOST_PACKING));
    let usual = packed.len().saturating_mul(USUAL_PACKING);
    match codec {
        0 => Some(packed),
        1 => read(flate2::read::MultiGzDecoder::new(packed.reader()), usual, most),
        // Makes no more than some twenty bytes of one.
        2 => Snappy::decompress(&mut packed, |bytes: &mut Bytes| Ok(std::mem::take(bytes))).ok(),
        3 => read(lz4::Decoder::new(packed.reader()).ok()?, usual, most),
        4 => read(zstd::stream::Decoder::new(packed.reader()).ok()?, usual, most),
        _ => None,
    }
}

#[allow(clippy::disallowed_methods)] // behind `take`
fn read(unpacked: impl Read, usual: usize, most: usize) -> Option<Bytes> {
    let mut bytes = Vec::with_capacity(usual);
    let read = unpacked.take(most as u64 + 1).read_to_end(&mut bytes).ok()?;
    (read <= most).then(|| bytes.into())
}
