use std::collections::BTreeMap;

use crate::event::wire;

const RECEIVED_AT: &[u8] = b"\"received_at\":\"";
const SOURCE: &[u8] = b"\"source\":\"";

/// The headers of a record of ours: what other consumers may route by without parsing it.
///
/// `schema` always; `received_at` and `source` where the record names them. They are found by their text: inside a
/// string quotes are escaped, and both stand before the client's own objects.
pub(super) fn headers(value: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut headers = BTreeMap::from([("schema".to_owned(), wire::VERSION.to_string().into_bytes())]);
    for (name, marker) in [("received_at", RECEIVED_AT), ("source", SOURCE)] {
        if let Some(text) = text_behind(value, marker) {
            headers.insert(name.to_owned(), text.to_vec());
        }
    }
    headers
}

fn text_behind<'a>(value: &'a [u8], marker: &[u8]) -> Option<&'a [u8]> {
    let begin = memchr::memmem::find(value, marker)? + marker.len();
    let rest = &value[begin..];
    let text = &rest[..memchr::memchr(b'"', rest)?];
    // A name with an escape in it is no name of a source.
    (!text.contains(&b'\\')).then_some(text)
}
