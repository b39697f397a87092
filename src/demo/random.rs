//! Random numbers that are the same on every machine and in every version.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// The generator of everything here: its numbers are part of its contract, unlike those of `StdRng`.
pub(super) type Random = ChaCha8Rng;

/// What a stream of numbers is for, so that none is used twice.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    People = 1,
    Articles,
    Day,
    Mail,
    Bots,
    Anomaly,
    Delivery,
}

/// A stream of its own for a purpose and two numbers, such as a person's and a day's.
pub(super) fn stream(seed: u64, purpose: Purpose, a: u64, b: u64) -> Random {
    let mixed = mix(mix(mix(seed ^ purpose as u64).wrapping_add(a)).wrapping_add(b));
    Random::seed_from_u64(mixed)
}

/// Spreads a number over all bits (the finaliser of splitmix64).
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
