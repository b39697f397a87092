//! Any bytes in each encoding: no panic, never more than the cap, and the whole budget back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use momsflow::http::{Budget, Encoding, inflate};

const CAP: usize = 100_000;

fuzz_target!(|bytes: &[u8]| {
    for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd] {
        let budget = Budget::new(CAP);
        if let Ok(out) = inflate(encoding, bytes.to_vec(), CAP, &mut budget.reserve()) {
            assert!(out.len() <= CAP);
        }
        assert_eq!(budget.used(), 0);
    }
});
