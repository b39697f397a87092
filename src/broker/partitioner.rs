//! Kafka's own partitioner, so that other producers put a person's events into the same partition.

/// The partition of a key: Kafka's murmur2 of the key, made positive, modulo the number of partitions.
///
/// An empty key is no person; it goes where `spread` says, so that such events share the partitions out.
pub fn partition_for(key: &[u8], partitions: i32, spread: u32) -> i32 {
    let hash = if key.is_empty() { spread } else { murmur2(key) };
    (hash & 0x7fff_ffff) as i32 % partitions
}

/// Kafka's 32-bit murmur2 (org.apache.kafka.common.utils.Utils.murmur2).
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own UtilsTest.
    #[test]
    fn agrees_with_kafka() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn stays_in_range_and_spreads_empty_keys() {
        assert_eq!(partition_for(b"", 4, 7), 3);
        assert!((0..1000).all(|n: i32| (0..3).contains(&partition_for(&n.to_be_bytes(), 3, 0))));
    }
}
