use std::borrow::Cow;

use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::super::wire::{self, WireError, WireRecord};
use super::super::*;
use super::{any_json, policy, scope};

prop_compose! {
    fn any_event()(
        id in any::<u128>(),
        kind in proptest::sample::select(EventKind::ALL.to_vec()),
        times in proptest::collection::vec(-62_000_000_000_000_000_i64..250_000_000_000_000_000, 4),
        texts in proptest::collection::vec(proptest::option::of(any::<String>()), 7),
        flags in any::<(bool, bool)>(),
        origin in proptest::sample::select(vec![Origin::Live, Origin::Spooled, Origin::Imported, Origin::Replayed]),
        json in proptest::option::of(any_json()),
    ) -> Event<'static> {
        let at = |n: usize| Timestamp::from_microsecond(times[n]).unwrap();
        let text = |n: usize| texts[n].clone().map(Cow::Owned);
        let raw = json.map(|value| RawJson::Scanned(Cow::Owned(serde_json::json!({ "a": value }).to_string())));
        Event {
            v: wire::VERSION,
            event_id: Uuid::from_u128(id),
            kind,
            received_at: at(0),
            accepted_at: at(1),
            occurred_at: at(2),
            original_timestamp: flags.0.then(|| at(3)),
            sent_at: flags.1.then(|| at(3)),
            event: text(0),
            name: text(1),
            user_id: text(2),
            anonymous_id: text(3),
            group_id: text(4),
            previous_id: text(5),
            message_id: text(6),
            source: Cow::Borrowed("web"),
            trusted: flags.0,
            is_bot: flags.1,
            origin,
            properties: raw.clone(),
            traits: raw.clone().filter(|_| flags.0),
            context: raw,
        }
    }
}

const MEMBERS: [&str; 12] = [
    "v",
    "event_id",
    "type",
    "received_at",
    "sent_at",
    "user_id",
    "message_id",
    "trusted",
    "origin",
    "properties",
    "context",
    "unknown",
];

/// JSON text that may be a member of a record or not; empty for none.
fn any_member() -> impl Strategy<Value = String> {
    let texts = [
        "",
        "null",
        "1",
        "1.0",
        "2",
        "true",
        "\"\"",
        "\"live\"",
        "\"replayed\"",
        "\"page\"",
        "\"a\\u0000\"",
        "\"2026-11-24T05:00:00+01:00\"",
        "\"0198c7a25c5e7cc09a2e0123456789ab\"",
        "{\"a\":\"\\ud83d\\ude00\"}",
        "[1]",
    ];
    let texts = proptest::sample::select(texts.to_vec()).prop_map(str::to_owned);
    prop_oneof![texts, any_json().prop_map(|json| json.to_string())]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(event in any_event()) {
        let bytes = wire::encode_event(&event);
        prop_assert_eq!(wire::decode(&bytes), Ok(WireRecord::Event(Box::new(event.clone()))));
        prop_assert_eq!(String::from_utf8(bytes).unwrap(), serde_json::to_string(&event).unwrap());
    }

    /// The short way takes what the long one takes and finds no fault in, but for odd spellings.
    #[test]
    fn an_event_is_read_in_one_pass_as_in_two(event in any_event()) {
        let bytes = wire::encode_event(&event);
        let is_valid = validate(&event, |_, _| ()).is_ok();
        prop_assert_eq!(wire::decode_storable(&bytes), is_valid.then_some(event));
    }

    /// One member of a good record is replaced, left out or added.
    #[test]
    fn the_short_way_takes_nothing_that_the_long_one_refuses(
        event in any_event(),
        name in proptest::sample::select(MEMBERS.to_vec()),
        value in any_member(),
        at_the_end in any::<bool>(),
    ) {
        let text = String::from_utf8(wire::encode_event(&event)).unwrap();
        let altered = match at_the_end {
            true => format!(r#"{},"{name}":{value}}}"#, &text[..text.len() - 1]),
            false => {
                let mut record: serde_json::Map<_, _> = serde_json::from_str(&text).unwrap();
                match value.as_str() {
                    "" => record.remove(name),
                    _ => record.insert(name.to_owned(), serde_json::from_str(&value).unwrap()),
                };
                serde_json::to_string(&record).unwrap()
            }
        };
        let long = match wire::decode(altered.as_bytes()) {
            Ok(WireRecord::Event(event)) if validate(&event, |_, _| ()).is_ok() => Some(*event),
            _ => None,
        };
        if let Some(short) = wire::decode_storable(altered.as_bytes()) {
            prop_assert_eq!(Some(short), long);
        }
    }

    #[test]
    fn a_rejection_comes_back(payload in proptest::collection::vec(any::<u8>(), 0..100), trusted in any::<bool>()) {
        let policy = policy();
        let scope = Scope { trusted, ..scope(&policy) };
        let rejection = rejection(&payload, &scope, &Reject::at(RejectCode::NulCharacter, "/a", "x"));
        let bytes = wire::encode_rejection(&rejection);
        prop_assert_eq!(wire::decode(&bytes), Ok(WireRecord::Rejection(Box::new(rejection))));
    }
}

#[test]
fn a_newer_record_waits_and_a_foreign_one_does_not() {
    assert_eq!(
        wire::decode(br#"{"v":2,"event_id":"0198c7a2-5c5e-7cc0-9a2e-0123456789ab","shape":"unknown"}"#),
        Err(WireError::NewerVersion(2))
    );
    assert!(matches!(wire::decode(b"{}"), Err(WireError::Foreign(_))));
    assert!(matches!(wire::decode(br#"{"v":2}"#), Err(WireError::Foreign(_))));
    assert!(matches!(wire::decode(b"\xff"), Err(WireError::Foreign(_))));
}

#[test]
fn a_long_payload_is_cut_to_what_a_record_holds_but_measured_whole() {
    let policy = policy();
    let reject = Reject::at(RejectCode::EventTooLarge, "/x".repeat(100_000), "x");
    for text in ["ä", "\"", "\u{1}", "\u{ff}\u{0}"] {
        let payload = text.repeat(MAX_KEPT);
        let kept = rejection(payload.as_bytes(), &scope(&policy), &reject);
        assert_eq!(kept.payload_length, payload.len() as u64);
        assert_eq!(kept.payload_sha256.len(), 64);
        let record = wire::encode_rejection(&kept).len();
        assert!(record > 970_000 && record < 1_000_000, "{text:?} {record}");
    }
    let kept = rejection(&[0xff; MAX_KEPT], &scope(&policy), &reject);
    assert!(matches!(&kept.payload, Payload::Base64(text) if text.len() == 960 * 1024));
}

/// Whatever `ingest.max_event` allows, and everything beside it as long as it may be.
#[test]
fn the_largest_event_is_kept_whole() {
    let policy = Policy {
        max_event: 1_000_000,
        ..policy()
    };
    let id = "\\u0001".repeat(MAX_TEXT);
    let event = |filling: usize| {
        format!(
            r#"{{"type":"track","event":"{id}","userId":"{id}","anonymousId":"{id}","groupId":"{id}","previousId":"{id}",
            "messageId":"{id}","timestamp":"2026-11-24T05:00:00Z","properties":{{"a":"{}"}}}}"#,
            "x".repeat(filling)
        )
    };
    let agent = "\"".repeat(512);
    let client = Client {
        user_agent: Some(&agent),
        ..Client::default()
    };
    let integrations = format!(r#"{{"a":"{}"}}"#, "x".repeat(100_000));
    let scope = Scope {
        trusted: false,
        client,
        defaults: Defaults {
            integrations: Some(&integrations),
            ..Defaults::default()
        },
        ..scope(&policy)
    };
    let rest = event(0).len() + integrations.len();
    let raw = event(policy.max_event - rest);
    let decoded = decode(&raw, &scope).unwrap();
    assert!(wire::encode_event(&decoded.event).len() <= MAX_KEPT);
    assert_eq!(
        decode(&event(policy.max_event - rest + 1), &scope)
            .unwrap_err()
            .code,
        RejectCode::EventTooLarge
    );
}

/// The documentation's example is a record, and its tables name every member that is written.
#[test]
fn the_documentation_describes_the_record() {
    let docs = include_str!("../../../docs/wire-format.md");
    let example = docs
        .split("```json")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    assert!(matches!(
        wire::decode(example.trim().as_bytes()),
        Ok(WireRecord::Event(_))
    ));

    let text = || Some(Cow::Borrowed("x"));
    let raw = || Some(RawJson::Scanned(Cow::Borrowed("{}")));
    let at = Timestamp::UNIX_EPOCH;
    let event = Event {
        v: wire::VERSION,
        event_id: Uuid::nil(),
        kind: EventKind::Track,
        received_at: at,
        accepted_at: at,
        occurred_at: at,
        original_timestamp: Some(at),
        sent_at: Some(at),
        event: text(),
        name: text(),
        user_id: text(),
        anonymous_id: text(),
        group_id: text(),
        previous_id: text(),
        message_id: text(),
        source: Cow::Borrowed("web"),
        trusted: true,
        is_bot: false,
        origin: Origin::Imported,
        properties: raw(),
        traits: raw(),
        context: raw(),
    };
    let policy = policy();
    let scope = scope(&policy);
    let reject = Reject::whole(RejectCode::MissingIdentity, "none");
    let rejection = rejection(b"{\"messageId\":\"m\"}", &scope, &reject);
    for bytes in [wire::encode_event(&event), wire::encode_rejection(&rejection)] {
        let record: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        for member in record.as_object().unwrap().keys() {
            assert!(
                docs.contains(&format!("`{member}`")),
                "docs/wire-format.md does not name {member}"
            );
        }
    }
}
