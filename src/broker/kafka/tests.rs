//! What needs no broker.
#![allow(clippy::unwrap_used)]

use super::header::headers;

#[test]
fn headers_come_from_the_record_and_from_nothing_that_a_client_wrote() {
    let value = br#"{"v":1,"event_id":"x","received_at":"2026-11-24T06:00:00Z","event":"a \"source\":\"evil\"","source":"website","properties":{"source":"evil"}}"#;
    let expected: [(&str, &[u8]); 3] = [
        ("schema", b"1"),
        ("received_at", b"2026-11-24T06:00:00Z"),
        ("source", b"website"),
    ];
    assert_eq!(headers(value), expected.map(Some));
    assert_eq!(headers(b"first").iter().flatten().count(), 1);
}
