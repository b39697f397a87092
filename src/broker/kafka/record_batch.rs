//! Reads record batches, whatever is in them.
//!
//! Others write to the topic as well: headers without a value, header names that are no UTF-8, batches that are
//! damaged or packed in a way that nobody knows. Each record that can be read is returned; of a batch that cannot, the
//! bytes stand in for its records, so that they become a dead letter with their place.

use std::iter;

use bytes::{Buf, Bytes};
use jiff::Timestamp;

use super::unpacking::unpack;
use crate::broker::StoredRecord;

/// Bytes of a batch's header: offset, length, epoch, magic, checksum, attributes, and so on to the count.
const HEADER: usize = 61;
/// Bytes before those that the length counts.
const PREFIX: usize = 12;
/// Where the checksummed part begins.
const CHECKED: usize = 21;
/// The one record format of Kafka since 0.11.
const MAGIC: u8 = 2;

/// What a fetch brought: batches, each of which is unpacked when it is its turn, since little may hold much.
#[derive(Debug, Default)]
pub(super) struct Batches {
    bytes: Bytes,
    aborted: Aborted,
    /// The offset behind the last batch that was taken; `None` before the first.
    next: Option<i64>,
    /// Where the partition ended for readers when it was asked.
    end: i64,
}

/// The aborted transactions that a fetch runs into.
#[derive(Debug, Default)]
pub(super) struct Aborted {
    /// First offset and producer, the latest first.
    ahead: Vec<(i64, i64)>,
    /// Producers of those that began and have not ended.
    open: Vec<i64>,
}

impl Aborted {
    /// Of each one the first offset and the producer.
    pub(super) fn new(transactions: impl Iterator<Item = (i64, i64)>) -> Self {
        let mut ahead: Vec<_> = transactions.collect();
        ahead.sort_unstable_by(|one, other| other.cmp(one));
        Self {
            ahead,
            open: Vec::new(),
        }
    }

    /// Whether a batch's records count as never written. For each batch in turn.
    fn takes(&mut self, batch: &RawBatch) -> bool {
        while let Some((_, producer)) = self.ahead.pop_if(|(first, _)| *first < batch.next_offset()) {
            self.open.push(producer);
        }
        let producer = batch.producer();
        if batch.is_control() {
            self.open.retain(|open| *open != producer);
            return false;
        }
        batch.is_transactional() && self.open.contains(&producer)
    }
}

impl Batches {
    pub(super) fn new(bytes: Bytes, aborted: Aborted, end: i64) -> Self {
        Self {
            bytes,
            aborted,
            next: None,
            end,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The offset behind these batches, where more was there already.
    pub(super) fn more(&self) -> Option<i64> {
        let mut bytes = self.bytes.clone();
        let last = iter::from_fn(|| next_batch(&mut bytes)).last()?;
        Some(last.next_offset()).filter(|next| *next < self.end)
    }

    /// The records of the next batch that has any from `offset` on. A batch that is cut short at the end is left out.
    pub(super) fn take(&mut self, offset: i64) -> Option<Vec<StoredRecord>> {
        while let Some(batch) = next_batch(&mut self.bytes) {
            self.next = Some(batch.next_offset());
            let is_void = self.aborted.takes(&batch) || batch.is_control();
            if is_void || batch.next_offset() <= offset {
                continue;
            }
            let mut records = batch.records().unwrap_or_else(|Unreadable| batch.damaged());
            records.retain(|record| record.offset >= offset);
            if !records.is_empty() {
                return Some(records);
            }
        }
        None
    }

    /// Before this offset there is nothing that was not taken.
    pub(super) fn next(&self) -> Option<i64> {
        self.next
    }
}

/// A batch whose bytes make no sense.
#[derive(Debug)]
struct Unreadable;

struct RawBatch(Bytes);

fn next_batch(bytes: &mut Bytes) -> Option<RawBatch> {
    let length = bytes.get(8..PREFIX)?.get_i32();
    let whole = PREFIX + usize::try_from(length).ok()?;
    (whole >= HEADER && whole <= bytes.len()).then(|| RawBatch(bytes.split_to(whole)))
}

impl RawBatch {
    fn at(&self, place: usize) -> &[u8] {
        // A batch is never shorter than its header.
        self.0.get(place..).unwrap_or_default()
    }

    fn base_offset(&self) -> i64 {
        self.at(0).get_i64()
    }

    fn next_offset(&self) -> i64 {
        let last = i64::from(self.at(23).get_i32().max(0));
        self.base_offset().saturating_add(last).saturating_add(1)
    }

    fn attributes(&self) -> i16 {
        self.at(CHECKED).get_i16()
    }

    fn producer(&self) -> i64 {
        self.at(43).get_i64()
    }

    fn is_transactional(&self) -> bool {
        self.attributes() & 0x10 != 0
    }

    /// Transaction markers, which are no records of anybody.
    fn is_control(&self) -> bool {
        self.attributes() & 0x20 != 0
    }

    /// When the records were appended where the broker says it, else when the first was produced.
    fn timestamp(&self) -> i64 {
        match self.attributes() & 0x08 {
            0 => self.at(27).get_i64(),
            _ => self.at(35).get_i64(),
        }
    }

    fn records(&self) -> Result<Vec<StoredRecord>, Unreadable> {
        let checksum = self.at(17).get_u32();
        if self.at(16).first() != Some(&MAGIC) || crc32c::crc32c(self.at(CHECKED)) != checksum {
            return Err(Unreadable);
        }
        let count = usize::try_from(self.at(57).get_i32()).map_err(|_| Unreadable)?;
        let codec = self.attributes() & 0x07;
        let mut bytes = unpack(self.0.slice(HEADER..), codec).ok_or(Unreadable)?;
        let mut records = Vec::with_capacity(count.min(bytes.len()));
        for _ in 0..count {
            records.push(self.record(&mut bytes)?);
        }
        Ok(records)
    }

    /// Reads a record and leaves its headers out, whatever they are.
    fn record(&self, bytes: &mut Bytes) -> Result<StoredRecord, Unreadable> {
        let length = usize::try_from(varint(bytes)?).map_err(|_| Unreadable)?;
        let mut record = take(bytes, length)?;
        take(&mut record, 1)?;
        let elapsed = varint(&mut record)?;
        let place = varint(&mut record)?;
        let key = field(&mut record)?;
        let value = field(&mut record)?;
        let appended = match self.attributes() & 0x08 {
            0 => self.timestamp().saturating_add(elapsed),
            _ => self.timestamp(),
        };
        Ok(StoredRecord {
            offset: self.base_offset().saturating_add(place),
            appended_at: timestamp(appended),
            key,
            value,
        })
    }

    /// Stands in for the records of a batch that cannot be read. At the last offset, so that whoever reads it is
    /// past the batch and not served it again; the offsets before hold nothing.
    fn damaged(&self) -> Vec<StoredRecord> {
        vec![StoredRecord {
            offset: self.next_offset().saturating_sub(1),
            appended_at: timestamp(self.timestamp()),
            key: Bytes::new(),
            value: self.0.clone(),
        }]
    }
}

/// A timestamp of Kafka's; one that no calendar has is the epoch.
pub(super) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}

fn take(bytes: &mut Bytes, length: usize) -> Result<Bytes, Unreadable> {
    if length > bytes.len() {
        return Err(Unreadable);
    }
    Ok(bytes.split_to(length))
}

/// Bytes behind their length; a negative length is null, which is read as empty.
fn field(bytes: &mut Bytes) -> Result<Bytes, Unreadable> {
    match usize::try_from(varint(bytes)?) {
        Ok(length) => take(bytes, length),
        Err(_) => Ok(Bytes::new()),
    }
}

/// A zigzag integer of up to ten bytes.
fn varint(bytes: &mut Bytes) -> Result<i64, Unreadable> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        if bytes.is_empty() {
            return Err(Unreadable);
        }
        let byte = bytes.get_u8();
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(Unreadable)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::BytesMut;
    use kafka_protocol::indexmap::IndexMap;
    use kafka_protocol::protocol::StrBytes;
    use kafka_protocol::records::{
        Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    };
    use proptest::prelude::*;

    use super::*;

    fn record(offset: i64, value: &'static str) -> Record {
        Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: 0,
            producer_id: -1,
            producer_epoch: -1,
            timestamp_type: TimestampType::Creation,
            offset,
            // Else the encoder makes a batch of each.
            sequence: offset as i32 - 1,
            timestamp: 1_000 + offset,
            key: Some(Bytes::from_static(b"k")),
            value: Some(Bytes::from_static(value.as_bytes())),
            headers: IndexMap::from([(StrBytes::from_static_str("h"), None)]),
        }
    }

    fn batch(records: &[Record], compression: Compression) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        let options = RecordEncodeOptions {
            version: 2,
            compression,
        };
        RecordBatchEncoder::encode(&mut bytes, records, &options).unwrap();
        bytes.to_vec()
    }

    fn read(bytes: Bytes, offset: i64) -> (Vec<StoredRecord>, Option<i64>) {
        let mut batches = Batches::new(bytes, Aborted::default(), 0);
        let records = std::iter::from_fn(|| batches.take(offset)).flatten().collect();
        (records, batches.next())
    }

    fn values(records: &[StoredRecord]) -> Vec<(i64, &[u8])> {
        let values = records.iter();
        values.map(|record| (record.offset, &record.value[..])).collect()
    }

    #[test]
    fn reads_every_compression_and_headers_without_a_value() {
        for compression in [
            Compression::None,
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ] {
            let records = [record(40, "a"), record(41, "b"), record(42, "c")];
            let (read, next) = read(batch(&records, compression).into(), 41);
            assert_eq!(values(&read), [(41, &b"b"[..]), (42, b"c")], "{compression:?}");
            assert_eq!(read[0].appended_at, timestamp(1_041));
            assert_eq!(next, Some(43));
        }
    }

    #[test]
    fn a_damaged_batch_stands_for_itself_between_its_neighbours() {
        let mut damaged = batch(&[record(1, "b"), record(2, "c")], Compression::None);
        *damaged.last_mut().unwrap() ^= 1;
        let bytes = [
            batch(&[record(0, "a")], Compression::None),
            damaged.clone(),
            batch(&[record(3, "d")], Compression::Lz4),
        ]
        .concat();
        let (all, _) = read(bytes.clone().into(), 0);
        assert_eq!(values(&all), [(0, &b"a"[..]), (2, &damaged[..]), (3, b"d")]);
        let (from_within, _) = read(bytes.into(), 2);
        assert_eq!(values(&from_within), [(2, &damaged[..]), (3, b"d")]);
    }

    #[test]
    fn a_batch_that_is_cut_short_is_left_out() {
        let mut bytes = batch(&[record(0, "a")], Compression::None);
        let second = batch(&[record(1, "b")], Compression::None);
        bytes.extend(&second[..second.len() - 1]);
        let (read, next) = read(bytes.into(), 0);
        assert_eq!(values(&read), [(0, &b"a"[..])]);
        assert_eq!(next, Some(1));
    }

    #[test]
    fn a_batch_that_unpacks_to_more_than_memory_may_take_stands_for_itself() {
        for compression in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
            let huge = Record {
                value: Some(vec![0; 65 << 20].into()),
                ..record(0, "")
            };
            let bomb = batch(&[huge], compression);
            assert!(bomb.len() < 1 << 20, "{}", bomb.len());
            let bytes = [bomb.clone(), batch(&[record(1, "b")], Compression::None)].concat();
            let (read, next) = read(bytes.into(), 0);
            assert_eq!(read.len(), 2);
            assert!(read[0].value == bomb, "{compression:?}");
            assert_eq!((&read[1].value[..], next), (&b"b"[..], Some(2)));
        }
    }

    #[test]
    fn aborted_records_are_left_out_and_those_around_them_are_not() {
        let of = |producer_id, offset, value| Record {
            transactional: true,
            producer_id,
            ..record(offset, value)
        };
        let marker = |producer_id, offset| Record {
            control: true,
            ..of(producer_id, offset, "")
        };
        let batches = [
            of(1, 0, "aborted"),
            of(2, 1, "committed"),
            record(2, "of nobody's transaction"),
            marker(2, 3),
            of(1, 4, "aborted too"),
            marker(1, 5),
            of(1, 6, "committed by the same producer"),
            marker(1, 7),
        ];
        let bytes: Vec<_> = batches
            .into_iter()
            .flat_map(|one| batch(&[one], Compression::None))
            .collect();
        for (offset, expected) in [(0, &[1, 2, 6][..]), (4, &[6])] {
            let mut batches = Batches::new(bytes.clone().into(), Aborted::new([(0, 1)].into_iter()), 0);
            let read: Vec<_> = std::iter::from_fn(|| batches.take(offset)).flatten().collect();
            let offsets: Vec<_> = read.iter().map(|record| record.offset).collect();
            assert_eq!(offsets, expected);
            assert_eq!(batches.next(), Some(8));
        }
    }

    #[test]
    fn what_is_behind_a_fetch_is_known_without_unpacking_it() {
        let bytes = [
            batch(&[record(0, "a"), record(1, "b")], Compression::Lz4),
            batch(&[record(2, "c")], Compression::None),
        ]
        .concat();
        let more =
            |bytes: &[u8], end| Batches::new(Bytes::copy_from_slice(bytes), Aborted::default(), end).more();
        assert_eq!([3, 4].map(|end| more(&bytes, end)), [None, Some(3)]);
        assert_eq!(more(&bytes[..bytes.len() - 1], 3), Some(2));
        assert_eq!(more(&[], 3), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), flip in 0..400_usize) {
            read(bytes.into(), 0);
            let mut bent = batch(&[record(0, "a"), record(1, "b")], Compression::None);
            let place = flip % bent.len();
            bent[place] ^= 0x81;
            read(bent.into(), 0);
        }
    }
}
