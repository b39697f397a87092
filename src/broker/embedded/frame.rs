//! The frame: many records under one key of the store, with one append time and one checksum.
//!
//! ```text
//! version u8 | codec u8 | crc32 u32 | base offset i64 | appended_at i64 µs | records u32 | body length u32 | body
//! ```
//! Numbers are big-endian. The checksum covers everything behind it. The body, compressed or not, is for each
//! record: key length and value length as LEB128, key, value.

use bytes::Bytes;

use crate::broker::Record;

/// Version of the frames that this binary writes, and the only one that it reads.
const VERSION: u8 = 1;
const CRC_END: usize = 6;
const HEADER: usize = 30;
/// Bytes at which a frame is full. Readers decode whole frames, and hold their memory while they hold a record.
pub(super) const FRAME_BYTES: usize = 256 << 10;
/// Bodies below this stay as they are: compressing them saves little and costs a call.
const COMPRESS_FROM: usize = 512;
/// No frame that this binary writes has a longer body; a longer one is corrupt, and must not be allocated.
const MAX_BODY: usize = 32 << 20;

/// How a body is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Plain = 0,
    Lz4 = 1,
}

/// Why a frame cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum FrameError {
    #[error("the frame has version {0}, this momsflow reads {VERSION}")]
    Version(u8),
    #[error("the frame's checksum does not match")]
    Checksum,
    #[error("the frame is malformed: {0}")]
    Malformed(&'static str),
}

/// Collects records until they become a frame.
#[derive(Debug, Default)]
pub(super) struct Builder {
    body: Vec<u8>,
    records: u32,
}

impl Builder {
    /// Adds a record behind the others.
    pub(super) fn push(&mut self, record: &Record) {
        put_length(&mut self.body, record.key.len());
        put_length(&mut self.body, record.value.len());
        self.body.extend_from_slice(&record.key);
        self.body.extend_from_slice(&record.value);
        self.records += 1;
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
            let compressed = lz4_flex::block::compress(&self.body);
            if compressed.len() < self.body.len() {
                self.body.clear();
                return Sealed {
                    codec: Codec::Lz4,
                    body: compressed,
                    length,
                    records,
                };
            }
        }
        Sealed {
            codec: Codec::Plain,
            body: std::mem::take(&mut self.body),
            length,
            records,
        }
    }
}

/// A frame but for its place in the log: what costs time can be done before the writer gives it one.
#[derive(Debug)]
pub(super) struct Sealed {
    codec: Codec,
    body: Vec<u8>,
    /// Of the body before compression.
    length: u32,
    records: u32,
}

impl Sealed {
    /// Packs records into bodies of about [`FRAME_BYTES`].
    pub(super) fn pack(records: &[Record]) -> Vec<Self> {
        let mut builder = Builder::default();
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

    /// The frame at its place.
    pub(super) fn frame(&self, base: i64, appended_at: i64) -> Vec<u8> {
        let mut frame = Vec::with_capacity(HEADER + self.body.len());
        frame.extend_from_slice(&[VERSION, self.codec as u8, 0, 0, 0, 0]);
        frame.extend_from_slice(&base.to_be_bytes());
        frame.extend_from_slice(&appended_at.to_be_bytes());
        frame.extend_from_slice(&self.records.to_be_bytes());
        frame.extend_from_slice(&self.length.to_be_bytes());
        frame.extend_from_slice(&self.body);
        let crc = crc32fast::hash(&frame[CRC_END..]);
        frame[2..CRC_END].copy_from_slice(&crc.to_be_bytes());
        frame
    }
}

/// What a frame says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) base: i64,
    pub(super) appended_at: i64,
    pub(super) records: u32,
    body_length: usize,
}

/// A verified frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) header: Header,
    body: Bytes,
}

impl Frame {
    /// Verifies and decodes a frame.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let (header, codec) = verify(bytes)?;
        let stored = &bytes[HEADER..];
        let body = match codec {
            Codec::Plain => Bytes::copy_from_slice(stored),
            Codec::Lz4 => lz4_flex::block::decompress(stored, header.body_length)
                .map_err(|_| FrameError::Malformed("the body does not decompress"))?
                .into(),
        };
        if body.len() != header.body_length {
            return Err(FrameError::Malformed("the body has another length"));
        }
        Ok(Self { header, body })
    }

    /// Yields each record's key and value, which share the frame's memory.
    pub(super) fn records(&self) -> impl Iterator<Item = Result<(Bytes, Bytes), FrameError>> + '_ {
        let mut at = 0;
        (0..self.header.records).map(move |_| {
            let key = take_length(&self.body, &mut at)?;
            let value = take_length(&self.body, &mut at)?;
            let key = self.take(&mut at, key)?;
            Ok((key, self.take(&mut at, value)?))
        })
    }

    fn take(&self, at: &mut usize, length: usize) -> Result<Bytes, FrameError> {
        let end = at
            .checked_add(length)
            .filter(|end| *end <= self.body.len())
            .ok_or(FrameError::Malformed("a record is longer than the frame"))?;
        let start = std::mem::replace(at, end);
        Ok(self.body.slice(start..end))
    }
}

/// Reads a frame's header after its checksum was verified.
pub(super) fn header(bytes: &[u8]) -> Result<Header, FrameError> {
    verify(bytes).map(|(header, _)| header)
}

fn verify(bytes: &[u8]) -> Result<(Header, Codec), FrameError> {
    let version = *bytes.first().ok_or(FrameError::Malformed("it is empty"))?;
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    if bytes.len() < HEADER {
        return Err(FrameError::Malformed("it is shorter than its header"));
    }
    if crc32fast::hash(&bytes[CRC_END..]).to_be_bytes() != bytes[2..CRC_END] {
        return Err(FrameError::Checksum);
    }
    let codec = match bytes[1] {
        0 => Codec::Plain,
        1 => Codec::Lz4,
        _ => return Err(FrameError::Malformed("its codec is unknown")),
    };
    let header = Header {
        base: i64::from_be_bytes(array(bytes, 6)),
        appended_at: i64::from_be_bytes(array(bytes, 14)),
        records: u32::from_be_bytes(array(bytes, 22)),
        body_length: u32::from_be_bytes(array(bytes, 26)) as usize,
    };
    if header.body_length > MAX_BODY {
        return Err(FrameError::Malformed("its body is too long"));
    }
    Ok((header, codec))
}

/// The caller has checked that the header is all there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn take_length(bytes: &[u8], at: &mut usize) -> Result<usize, FrameError> {
    let mut length = 0usize;
    for shift in (0..35).step_by(7) {
        let byte = *bytes
            .get(*at)
            .ok_or(FrameError::Malformed("a length is cut off"))?;
        *at += 1;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(length);
        }
    }
    Err(FrameError::Malformed("a length is too long"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        let text = || prop_oneof![vec(any::<u8>(), 0..300), Just(b"abc".repeat(200))];
        (text(), text()).prop_map(|(key, value)| Record {
            key: key.into(),
            value: value.into(),
        })
    }

    fn encode(records: &[Record], base: i64, appended_at: i64) -> Vec<u8> {
        let mut builder = Builder::default();
        for record in records {
            builder.push(record);
        }
        builder.seal().frame(base, appended_at)
    }

    proptest! {
        #[test]
        fn records_come_back(records in vec(record(), 0..40), base in 0..i64::MAX, at in any::<i64>()) {
            let bytes = encode(&records, base, at);
            let frame = Frame::decode(&bytes).unwrap();
            prop_assert_eq!((frame.header.base, frame.header.appended_at), (base, at));
            prop_assert_eq!(frame.header.records as usize, records.len());
            prop_assert_eq!(header(&bytes).unwrap(), frame.header);
            let read: Vec<_> = frame.records().map(|record| record.unwrap()).collect();
            let written: Vec<_> = records.into_iter().map(|record| (record.key, record.value)).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn a_changed_or_cut_frame_is_refused(
            records in vec(record(), 1..10), place in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let mut bytes = encode(&records, 7, 8);
            let place = place.index(bytes.len());
            prop_assert!(Frame::decode(&bytes[..place]).is_err());
            bytes[place] ^= 1 << bit;
            prop_assert!(Frame::decode(&bytes).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in vec(any::<u8>(), 0..200), codec in 0..3u8) {
            if bytes.len() > HEADER {
                bytes[0] = VERSION;
                bytes[1] = codec;
                let crc = crc32fast::hash(&bytes[CRC_END..]);
                bytes[2..CRC_END].copy_from_slice(&crc.to_be_bytes());
            }
            if let Ok(frame) = Frame::decode(&bytes) {
                let _ = frame.records().take(100).count();
            }
        }
    }

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

    #[test]
    fn alike_records_are_stored_smaller() {
        let value = br#"{"type":"page","context":{"userAgent":"Mozilla/5.0 (X11; Linux x86_64)"}}"#;
        let records = vec![
            Record {
                key: "a".into(),
                value: value.as_slice().into()
            };
            100
        ];
        assert!(encode(&records, 0, 0).len() < 100 * value.len() / 3);
    }
}
