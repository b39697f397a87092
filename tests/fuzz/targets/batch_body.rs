//! Any bytes as a batch: no panic, and each of its events is a part of the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use momsflow::event::{body_text, is_batch, message_id, parse_batch, write_key};

fuzz_target!(|bytes: &[u8]| {
    let Ok(body) = body_text(bytes) else { return };
    let _ = write_key(body);
    if let Ok(batch) = parse_batch(body, 100) {
        assert!(is_batch(body) && !batch.events.is_empty());
        for event in batch.events {
            assert!(body.as_bytes().as_ptr_range().contains(&event.as_ptr()));
            let _ = message_id(event);
        }
    }
});
