//! The frame: records of one partition that were appended together, with one append time and two checksums.
//!
//! ```text
//! magic 4 | head crc32 u32 | commit u32 | version u8 | codec u8 | partition u16 | base offset i64
//! appended_at i64 µs | records u32 | body length u32 | stored length u32 | stored crc32 u32 | stored body
//! ```
//! Numbers are big-endian. The head's checksum covers the head behind it, and so the body's checksum. The body,
//! stored compressed or not, is for each record: key length and value length as LEB128, key, value.

use bytes::Bytes;

/// How a frame begins. No byte of it occurs in UTF-8, so that no text of an event looks like a frame.
pub(super) const MAGIC: [u8; 4] = [0xff, 0xf5, 0xfa, 0xfe];
/// Version of the frames that this binary writes, and the only one that it reads.
const VERSION: u8 = 1;
/// Where what the head's checksum covers begins.
const COVERED: usize = 8;
/// Bytes of a frame before its body.
pub(super) const HEAD: usize = 48;
/// No frame that this binary writes has a longer body; a longer one is corrupt, and must not be allocated.
const MAX_BODY: usize = 32 << 20;

/// How a body is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
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

/// A frame's head, verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) place: Place,
    pub(super) records: u32,
    /// Bytes behind the head.
    pub(super) stored_length: usize,
    pub(super) codec: Codec,
    pub(super) body_length: usize,
    pub(super) crc: u32,
}

impl Head {
    /// Its bytes.
    pub(super) fn encode(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            head[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&MAGIC);
        put(&[0; 4]);
        put(&self.place.commit.to_be_bytes());
        put(&[VERSION, self.codec as u8]);
        put(&(self.place.partition as u16).to_be_bytes());
        put(&self.place.base.to_be_bytes());
        put(&self.place.appended_at.to_be_bytes());
        put(&self.records.to_be_bytes());
        put(&(self.body_length as u32).to_be_bytes());
        put(&(self.stored_length as u32).to_be_bytes());
        put(&self.crc.to_be_bytes());
        let crc = crc32fast::hash(&head[COVERED..]);
        head[4..COVERED].copy_from_slice(&crc.to_be_bytes());
        head
    }

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
    use crate::broker::Record;
    use crate::broker::embedded::builder::Builder;

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
        (sealed.head(place), sealed.body().to_vec())
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
