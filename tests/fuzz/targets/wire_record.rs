//! Any bytes as a log record: no panic, and what is read is written again as something that reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use momsflow::event::wire::{self, WireRecord};

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = wire::decode(bytes) else { return };
    let again = match &record {
        WireRecord::Event(event) => wire::encode_event(event),
        WireRecord::Rejection(rejection) => wire::encode_rejection(rejection),
    };
    assert_eq!(wire::decode(&again), Ok(record));
});
