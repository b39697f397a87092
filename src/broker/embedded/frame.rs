//! The frame: records of one partition that were appended together, with one append time and two checksums.
//!
//! ```text
//! magic 4 | head crc32 u32 | commit u32 | version u8 | codec u8 | partition u16 | base offset i64
//! appended_at i64 µs | records u32 | body length u32 | stored length u32 | stored crc32 u32 | stored body
//! ```
//! Numbers are big-endian. The head's checksum covers the head behind it, and so the body's checksum. The body,
//! stored compressed or not, is for each record: key length and value length as LEB128, key, value.

use bytes::Bytes;

use crate::broker::Record;

/// How a frame begins. No byte of it occurs in UTF-8, so that no text of an event looks like a frame.
pub(super) const MAGIC: [u8; 4] = [0xff, 0xf5, 0xfa, 0xfe];
/// Version of the frames that this binary writes, and the only one that it reads.
const VERSION: u8 = 1;
/// Where what the head's checksum covers begins.
const COVERED: usize = 8;
/// Bytes of a frame before its body.
pub(super) const HEAD: usize = 48;
/// Bytes at which a frame is full. Readers decode whole frames, and hold their memory while they hold a record.
pub(super) const FRAME_BYTES: usize = 256 << 10;
/// Bodies below this stay as they are: compressing them saves little and costs a call.
const COMPRESS_FROM: usize = 512;
/// The most bytes that a length takes; those of shorter ones are fewer.
const MAX_LENGTH: usize = 4;
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
            let compressed = lz4_flex::block::compress(&self.body);
            if compressed.len() < self.body.len() {
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

/// Where a frame stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Where in its file the frames begin that were written and synced together with it. What is before that
    /// was on the disk when this frame was written.
    pub(super) commit: u32,
    pub(super) partition: usize,
    /// The offset of its first record.
    pub(super) base: i64,
    /// In microseconds.
    pub(super) appended_at: i64,
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
        let mut head = [0; HEAD];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            head[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&MAGIC);
        put(&[0; 4]);
        put(&place.commit.to_be_bytes());
        put(&[VERSION, self.codec as u8]);
        put(&(place.partition as u16).to_be_bytes());
        put(&place.base.to_be_bytes());
        put(&place.appended_at.to_be_bytes());
        put(&self.records.to_be_bytes());
        put(&self.length.to_be_bytes());
        put(&(self.body.len() as u32).to_be_bytes());
        put(&self.crc.to_be_bytes());
        let crc = crc32fast::hash(&head[COVERED..]);
        head[4..COVERED].copy_from_slice(&crc.to_be_bytes());
        head
    }
}

/// A frame's head, verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) place: Place,
    pub(super) records: u32,
    /// Bytes behind the head.
    pub(super) stored_length: usize,
    codec: Codec,
    body_length: usize,
    crc: u32,
}

impl Head {
    /// Verifies and reads a head.
    pub(super) fn parse(bytes: &[u8; HEAD]) -> Result<Self, FrameError> {
        if bytes[..4] != MAGIC {
            return Err(FrameError::Malformed("no frame begins here"));
        }
        if crc32fast::hash(&bytes[COVERED..]).to_be_bytes() != bytes[4..COVERED] {
            return Err(FrameError::Checksum);
        }
        if bytes[12] != VERSION {
            return Err(FrameError::Version(bytes[12]));
        }
        let head = Self {
            place: Place {
                commit: u32::from_be_bytes(array(bytes, 8)),
                partition: usize::from(u16::from_be_bytes(array(bytes, 14))),
                base: i64::from_be_bytes(array(bytes, 16)),
                appended_at: i64::from_be_bytes(array(bytes, 24)),
            },
            records: u32::from_be_bytes(array(bytes, 32)),
            codec: match bytes[13] {
                0 => Codec::Plain,
                1 => Codec::Lz4,
                _ => return Err(FrameError::Malformed("its codec is unknown")),
            },
            body_length: u32::from_be_bytes(array(bytes, 36)) as usize,
            stored_length: u32::from_be_bytes(array(bytes, 40)) as usize,
            crc: u32::from_be_bytes(array(bytes, 44)),
        };
        if head.body_length.max(head.stored_length) > MAX_BODY {
            return Err(FrameError::Malformed("its body is too long"));
        }
        Ok(head)
    }

    /// The offset behind its last record.
    pub(super) fn end(&self) -> i64 {
        self.place.base + i64::from(self.records)
    }

    /// Says whether a body is the one that was stored.
    pub(super) fn verify(&self, stored: &[u8]) -> Result<(), FrameError> {
        if stored.len() == self.stored_length && crc32fast::hash(stored) == self.crc {
            Ok(())
        } else {
            Err(FrameError::Checksum)
        }
    }

    /// Verifies and decodes a body.
    pub(super) fn decode(&self, stored: &[u8]) -> Result<Body, FrameError> {
        self.verify(stored)?;
        let bytes: Bytes = match self.codec {
            Codec::Plain => Bytes::copy_from_slice(stored),
            Codec::Lz4 => lz4_flex::block::decompress(stored, self.body_length)
                .map_err(|_| FrameError::Malformed("the body does not decompress"))?
                .into(),
        };
        if bytes.len() != self.body_length {
            return Err(FrameError::Malformed("the body has another length"));
        }
        Ok(Body {
            bytes,
            records: self.records,
        })
    }
}

/// A frame's decoded body.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Bytes,
    records: u32,
}

impl Body {
    /// Yields each record's key and value, which share the body's memory.
    pub(super) fn records(&self) -> impl Iterator<Item = Result<(Bytes, Bytes), FrameError>> + '_ {
        let mut at = 0;
        (0..self.records).map(move |_| {
            let key = take_length(&self.bytes, &mut at)?;
            let value = take_length(&self.bytes, &mut at)?;
            let key = self.take(&mut at, key)?;
            Ok((key, self.take(&mut at, value)?))
        })
    }

    fn take(&self, at: &mut usize, length: usize) -> Result<Bytes, FrameError> {
        let end = at
            .checked_add(length)
            .filter(|end| *end <= self.bytes.len())
            .ok_or(FrameError::Malformed("a record is longer than the frame"))?;
        let start = std::mem::replace(at, end);
        Ok(self.bytes.slice(start..end))
    }
}

/// The caller has checked that the place is there.
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

    const PLACE: Place = Place {
        commit: 5,
        partition: 6,
        base: 7,
        appended_at: 8,
    };

    fn encode(records: &[Record], place: &Place) -> ([u8; HEAD], Vec<u8>) {
        let mut builder = Builder::default();
        for record in records {
            builder.push(record);
        }
        let sealed = builder.seal();
        (sealed.head(place), sealed.body)
    }

    proptest! {
        #[test]
        fn records_come_back(
            records in vec(record(), 0..40), commit in any::<u32>(), partition in 0..1000usize, base in 0..i64::MAX / 2,
            appended_at in any::<i64>(),
        ) {
            let place = Place { commit, partition, base, appended_at };
            let (head, body) = encode(&records, &place);
            let head = Head::parse(&head).unwrap();
            prop_assert_eq!(head.place, place);
            prop_assert_eq!(head.end(), base + records.len() as i64);
            let read: Vec<_> = head.decode(&body).unwrap().records().map(|record| record.unwrap()).collect();
            let written: Vec<_> = records.into_iter().map(|record| (record.key, record.value)).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn a_changed_or_cut_frame_is_refused(
            records in vec(record(), 1..10), place in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let (mut head, mut body) = encode(&records, &PLACE);
            let parsed = Head::parse(&head).unwrap();
            prop_assert!(parsed.decode(&body[..place.index(body.len())]).is_err());
            let place = place.index(HEAD + body.len());
            if place < HEAD {
                head[place] ^= 1 << bit;
                prop_assert!(Head::parse(&head).is_err());
            } else {
                body[place - HEAD] ^= 1 << bit;
                prop_assert!(parsed.decode(&body).is_err());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(mut head in vec(any::<u8>(), HEAD), mut body in vec(any::<u8>(), 0..200), codec in 0..3u8) {
            head[..4].copy_from_slice(&MAGIC);
            head[12..14].copy_from_slice(&[VERSION, codec]);
            head[36..38].fill(0);
            head[40..44].copy_from_slice(&(body.len() as u32).to_be_bytes());
            head[44..].copy_from_slice(&crc32fast::hash(&body).to_be_bytes());
            let crc = crc32fast::hash(&head[COVERED..]);
            head[4..COVERED].copy_from_slice(&crc.to_be_bytes());
            let head: [u8; HEAD] = head.try_into().unwrap();
            if let Ok(head) = Head::parse(&head) {
                if let Ok(body) = head.decode(&body) {
                    let _ = body.records().take(100).count();
                }
                body.clear();
                let _ = head.decode(&body);
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
        assert!(encode(&records, &PLACE).1.len() < 100 * value.len() / 3);
    }
}
