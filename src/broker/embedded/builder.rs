//! Makes frames of records: what costs time is done by the callers, before the writer gives a frame its place.

use super::frame::{Codec, HEAD, Head, Place};
use crate::broker::Record;

/// Bytes at which a frame is full. Readers decode whole frames, and hold their memory while they hold a record.
pub(super) const FRAME_BYTES: usize = 256 << 10;
/// Bodies below this stay as they are: compressing them saves little and costs a call.
const COMPRESS_FROM: usize = 512;
/// The most bytes that a length takes; those of shorter ones are fewer.
const MAX_LENGTH: usize = 4;

/// Collects records until they become a frame.
#[derive(Debug, Default)]
pub(super) struct Builder {
    body: Vec<u8>,
    records: u32,
}

impl Builder {
    /// A builder with room for a body of so many bytes.
    fn with_capacity(bytes: usize) -> Self {
        Self {
            body: Vec::with_capacity(bytes),
            records: 0,
        }
    }

    /// Adds a record behind the others.
    pub(super) fn push(&mut self, record: &Record) {
        put_length(&mut self.body, record.key.len());
        put_length(&mut self.body, record.value.len());
        self.body.extend_from_slice(&record.key);
        self.body.extend_from_slice(&record.value);
        self.records += 1;
    }

    /// The bytes that a record takes in a body, or a few more.
    pub(super) fn bytes(record: &Record) -> usize {
        record.key.len() + record.value.len() + 2 * MAX_LENGTH
    }

    /// The number of records so far.
    pub(super) fn records(&self) -> u32 {
        self.records
    }

    /// The length of the body so far, before compression.
    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    /// Turns the records into a body and begins anew.
    pub(super) fn seal(&mut self) -> Sealed {
        let length = self.body.len() as u32;
        let records = std::mem::take(&mut self.records);
        if self.body.len() >= COMPRESS_FROM {
            let mut compressed = lz4_flex::block::compress(&self.body);
            if compressed.len() < self.body.len() {
                // It has room for a body that does not compress, and may wait a while.
                compressed.shrink_to_fit();
                self.body.clear();
                return Sealed::new(Codec::Lz4, compressed, length, records);
            }
        }
        Sealed::new(Codec::Plain, std::mem::take(&mut self.body), length, records)
    }
}

/// A frame but for its place in the log: what costs time can be done before the writer gives it one.
#[derive(Debug)]
pub(super) struct Sealed {
    codec: Codec,
    body: Vec<u8>,
    crc: u32,
    /// Of the body before compression.
    length: u32,
    records: u32,
}

impl Sealed {
    fn new(codec: Codec, body: Vec<u8>, length: u32, records: u32) -> Self {
        Self {
            codec,
            crc: crc32fast::hash(&body),
            body,
            length,
            records,
        }
    }

    /// Packs records into bodies of about [`FRAME_BYTES`]; `bytes` is what they come to, or a little more.
    pub(super) fn pack(records: &[Record], bytes: usize) -> Vec<Self> {
        let mut builder = Builder::with_capacity(bytes.min(FRAME_BYTES));
        let mut sealed = Vec::new();
        for record in records {
            builder.push(record);
            if builder.len() >= FRAME_BYTES {
                sealed.push(builder.seal());
            }
        }
        if builder.records() > 0 {
            sealed.push(builder.seal());
        }
        sealed
    }

    /// The number of records in it.
    pub(super) fn records(&self) -> u32 {
        self.records
    }

    /// What stands behind the head.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The head of the frame at its place.
    pub(super) fn head(&self, place: &Place) -> [u8; HEAD] {
        let head = Head {
            place: *place,
            records: self.records,
            stored_length: self.body.len(),
            codec: self.codec,
            body_length: self.length as usize,
            crc: self.crc,
        };
        head.encode()
    }
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_starts_anew_after_a_frame() {
        let mut builder = Builder::default();
        builder.push(&Record {
            key: "a".into(),
            value: "b".into(),
        });
        builder.seal();
        assert_eq!((builder.records(), builder.len()), (0, 0));
    }
}
