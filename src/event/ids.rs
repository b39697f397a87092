use uuid::Uuid;

/// Namespace of the ids that momsflow derives; fixed for ever, since stored ids come from it.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d6f_6d73_666c_6f77_8000_6576_656e_7473);

/// Derives the stored `event_id` of a client's messageId.
///
/// A trusted source's UUID is kept as it is. Any other id, and every id of an untrusted source, becomes
/// the UUIDv5 of (source, messageId), so that a public key cannot occupy the ids of a server's events.
pub fn event_id_for(source: &str, trusted: bool, message_id: &str) -> Uuid {
    if trusted && let Ok(id) = Uuid::try_parse(message_id) {
        return id;
    }
    let mut name = Vec::with_capacity(source.len() + 1 + message_id.len());
    name.extend_from_slice(source.as_bytes());
    name.push(0); // a source's name holds no NUL, so that the pair is unambiguous
    name.extend_from_slice(message_id.as_bytes());
    Uuid::new_v5(&NAMESPACE, &name)
}

/// Derives the `event_id` of an event without a messageId inside a body that was kept whole.
pub fn event_id_within(letter: Uuid, index: usize) -> Uuid {
    Uuid::new_v5(&letter, index.to_string().as_bytes())
}

/// Makes an id for an event that came without a messageId: a UUIDv7, which sorts by time.
pub fn new_event_id() -> Uuid {
    Uuid::now_v7()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_source_keeps_its_uuid() {
        let id = "0198c7a2-5c5e-7cc0-9a2e-0123456789ab";
        assert_eq!(event_id_for("server", true, id).to_string(), id);
        assert_ne!(event_id_for("web", false, id).to_string(), id);
        assert_ne!(event_id_for("web", false, id), event_id_for("app", false, id));
        assert_eq!(event_id_for("web", true, "m-1"), event_id_for("web", true, "m-1"));
    }
}
