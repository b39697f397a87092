use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::event::wire;

static RECEIVED_AT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"received_at\":\""));
static SOURCE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"source\":\""));
/// [`wire::VERSION`] as text.
const SCHEMA: &[u8] = &[b'0' + wire::VERSION];
const _: () = assert!(wire::VERSION <= 9);

/// A header of a record of ours.
pub(super) type Header<'a> = (&'static str, &'a [u8]);

/// What other consumers may route by without parsing the record.
///
/// `schema` always; `received_at` and `source` where the record names them. They are found by their text: inside a
/// string quotes are escaped, and both stand before the client's own objects.
pub(super) fn headers(value: &[u8]) -> [Option<Header<'_>>; 3] {
    let found = |name, marker| Some((name, text_behind(value, marker)?));
    [
        Some(("schema", SCHEMA)),
        found("received_at", &RECEIVED_AT),
        found("source", &SOURCE),
    ]
}

fn text_behind<'a>(value: &'a [u8], marker: &Finder<'_>) -> Option<&'a [u8]> {
    let rest = &value[marker.find(value)? + marker.needle().len()..];
    // A name with an escape in it is no name of a source.
    let end = memchr::memchr2(b'"', b'\\', rest)?;
    (rest[end] == b'"').then(|| &rest[..end])
}
