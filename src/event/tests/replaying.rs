use serde_json::json;
use uuid::Uuid;

use super::super::*;
use super::decoding::context;
use super::{at, policy, scope};

fn events(records: &[Vec<u8>]) -> Vec<Event<'_>> {
    let event = |record| match wire::decode(record) {
        Ok(wire::WireRecord::Event(event)) => *event,
        other => panic!("no event: {other:?}"),
    };
    records.iter().map(|record| event(record)).collect()
}

#[test]
fn a_dead_letter_is_replayed_as_ingest_would_have_taken_it() {
    let policy = policy();
    let batch = parse_batch(
        r#"{"sentAt":"2026-11-24T06:00:05Z","context":{"app":1},"batch":[{"type":"track","userId":"u","messageId":"m","timestamp":"2026-11-24T06:00:00Z"}]}"#,
        100,
    )
    .unwrap();
    let scope = Scope {
        defaults: batch.defaults,
        ..scope(&policy)
    };
    let reject = decode(batch.events[0], &scope).unwrap_err();
    let mut kept = rejection(batch.events[0].as_bytes(), &scope, &reject);
    assert_eq!(kept.rejected.code, "missing_name");
    assert_eq!(replay(&kept, &policy), Err(ReplayError::Rejected(reject)));

    kept.payload = Payload::Text(batch.events[0].replace("\"userId\"", "\"event\":\"Mended\",\"userId\""));
    let records = replay(&kept, &policy).unwrap();
    let [event] = &events(&records)[..] else {
        panic!("one event")
    };
    assert_eq!(event.event.as_deref(), Some("Mended"));
    assert_eq!(
        (event.event_id, event.received_at),
        (kept.event_id, kept.received_at)
    );
    assert_eq!(event.occurred_at, at("2026-11-24T05:59:55Z"));
    assert_eq!(event.origin, Origin::Replayed);
    assert_eq!(context(event), json!({"app": 1}));
}

const BATCH: &str = r#"{"context":{"app":1,"ip":"203.0.113.77"},"sentAt":"2026-11-24T06:00:05Z","batch":[
    {"type":"track","event":"A","userId":"u","messageId":"m-1","timestamp":"2026-11-24T06:00:00Z"},
    {"type":"page","userId":"u"},{"type":"page","userId":"u","messageId":"null"}]}"#;

/// The batch is mended where it was broken, or was sent to the route of a single event.
#[test]
fn a_batch_that_was_kept_whole_becomes_its_events() {
    let policy = policy();
    let reject = Reject::whole(RejectCode::NulCharacter, "x");
    let track = Scope {
        kind: Some(EventKind::Track),
        ..scope(&policy)
    };
    for letter in [
        batch_rejection(BATCH.as_bytes(), &scope(&policy), &reject),
        rejection(BATCH.as_bytes(), &track, &reject),
    ] {
        let records = replay(&letter, &policy).unwrap();
        let events = events(&records);
        assert_eq!(events.len(), 3);
        assert_eq!(events[0].event_id, event_id_for("server", true, "m-1"));
        assert_eq!(events[0].occurred_at, at("2026-11-24T05:59:55Z"));
        for event in &events {
            assert_eq!(context(event), json!({"app": 1, "ip": "203.0.113.0"}));
            assert_eq!(
                (event.received_at, event.origin),
                (letter.received_at, Origin::Replayed)
            );
        }
        let mut ids: Vec<Uuid> = events.iter().map(|event| event.event_id).collect();
        assert_eq!(replay(&letter, &policy).unwrap(), records, "again the same");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 3);
    }
}

#[test]
fn a_batch_is_replayed_whole_or_not_at_all() {
    let policy = policy();
    let refused = |text: &str| {
        let reject = Reject::whole(RejectCode::NulCharacter, "x");
        replay(
            &batch_rejection(text.as_bytes(), &scope(&policy), &reject),
            &policy,
        )
        .unwrap_err()
    };
    let ReplayError::Rejected(reject) = refused(&BATCH.replace(r#""event":"A","#, "")) else {
        panic!("an event is at fault")
    };
    assert_eq!(
        (reject.code, reject.pointer.as_str()),
        (RejectCode::MissingName, "/batch/0/event")
    );
    let events = vec![r#"{"type":"page","userId":"u"}"#; 1000].join(",");
    let large = format!(
        r#"{{"context":{{"a":"{}"}},"batch":[{events}]}}"#,
        "x".repeat(100_000)
    );
    assert!(matches!(refused(&large), ReplayError::TooMuchContext(_)));
}

/// Whose a hit was stands in its letter, also where it was nobody's.
#[test]
fn a_refused_hit_is_replayed_with_its_visitor() {
    use crate::userprint::State;

    let policy = policy();
    let visitor = Uuid::new_v4();
    for (userprint, state, who) in [
        (Some(visitor), State::Returned, Some(visitor.to_string())),
        (None, State::Optout, None),
    ] {
        let hit = Hit {
            userprint,
            state,
            prefetch: true,
        };
        let scope = Scope {
            trusted: false,
            client: Client {
                hit: Some(hit),
                ..Client::default()
            },
            ..scope(&policy)
        };
        let raw = r#"{"type":"track","anonymousId":"forged","userId":"u-1","properties":{}}"#;
        let reject = decode(raw, &scope).unwrap_err();
        let mut letter = rejection(raw.as_bytes(), &scope, &reject);
        letter.payload = Payload::Text(raw.replace("{\"type\"", "{\"event\":\"Mended\",\"type\""));
        let wire::WireRecord::Rejection(letter) = wire::decode(&wire::encode_rejection(&letter)).unwrap()
        else {
            panic!("no rejection")
        };
        let records = replay(&letter, &policy).unwrap();
        let [event] = &events(&records)[..] else {
            panic!("one event")
        };
        assert_eq!(event.anonymous_id.as_deref(), who.as_deref());
        assert_eq!(event.user_id.as_deref(), who.map(|_| "u-1"));
        assert_eq!(
            context(event),
            json!({"userprint_state": state.as_str(), "prefetch": true})
        );
    }
}
