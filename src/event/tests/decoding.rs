use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;
use super::{any_json, at, policy, scope};

pub(super) fn context(event: &Event<'_>) -> Value {
    serde_json::from_str(event.context.as_ref().unwrap().get()).unwrap()
}

fn fault(event: &Value) -> (RejectCode, String) {
    let policy = policy();
    let raw = event.to_string();
    let reject = decode(&raw, &scope(&policy)).unwrap_err();
    (reject.code, reject.pointer)
}

#[test]
fn each_fault_is_named_with_its_place() {
    use RejectCode::*;
    let long = "x".repeat(513);
    for (event, code, pointer) in [
        (json!({"userId": "u"}), MissingType, "/type"),
        (json!({"type": "teleport", "userId": "u"}), UnknownType, "/type"),
        (json!({"type": 7, "userId": "u"}), InvalidFieldType, "/type"),
        (json!({"type": "track", "userId": "u"}), MissingName, "/event"),
        (
            json!({"type": "track", "userId": "u", "event": ""}),
            MissingName,
            "/event",
        ),
        (
            json!({"type": "track", "userId": "u", "event": long}),
            NameTooLong,
            "/event",
        ),
        (
            json!({"type": "page", "userId": "u", "name": long}),
            NameTooLong,
            "/name",
        ),
        (json!({"type": "page"}), MissingIdentity, ""),
        (json!({"type": "page", "userId": ""}), MissingIdentity, ""),
        (json!({"type": "page", "userId": long}), IdTooLong, "/userId"),
        (
            json!({"type": "page", "userId": "u", "messageId": long}),
            IdTooLong,
            "/messageId",
        ),
        (
            json!({"type": "page", "userId": ["u"]}),
            InvalidFieldType,
            "/userId",
        ),
        (
            json!({"type": "page", "userId": true}),
            InvalidFieldType,
            "/userId",
        ),
        (
            json!({"type": "page", "userId": "u", "properties": []}),
            InvalidFieldType,
            "/properties",
        ),
        (
            json!({"type": "page", "userId": "u", "traits": "x"}),
            InvalidFieldType,
            "/traits",
        ),
        (
            json!({"type": "page", "userId": "u", "context": 1}),
            InvalidFieldType,
            "/context",
        ),
        (
            json!({"type": "page", "userId": "u", "properties": {"a": "\0"}}),
            NulCharacter,
            "/properties/a",
        ),
        (
            json!({"type": "page", "userId": "u", "properties": {"a": "x".repeat(300_000)}}),
            EventTooLarge,
            "",
        ),
        (json!([]), NotAnObject, ""),
    ] {
        assert_eq!(fault(&event), (code, pointer.to_owned()), "{event:.100}");
    }
}

#[test]
fn an_event_is_taken_over_byte_for_byte() {
    let policy = policy();
    let raw = r#"{"type":"track","event":"Article Read","userId":42,"anonymousId":"a-1","messageId":"m-1",
        "properties":{"a" : 1.50, "a":2, "ä":"\u00e4"},"timestamp":"2026-11-24T05:59:50+00:00","sentAt":"2026-11-24T06:59:55+01:00"}"#;
    let decoded = decode(raw, &scope(&policy)).unwrap();
    let event = decoded.event;
    assert_eq!(event.user_id.as_deref(), Some("42"));
    assert_eq!(
        event.properties.as_ref().unwrap().get(),
        r#"{"a" : 1.50, "a":2, "ä":"\u00e4"}"#
    );
    assert_eq!(event.occurred_at, at("2026-11-24T05:59:55Z"));
    assert_eq!(event.original_timestamp, Some(at("2026-11-24T05:59:50Z")));
    assert_eq!(event.sent_at, Some(at("2026-11-24T05:59:55Z")));
    assert_eq!(event.event_id, event_id_for("server", true, "m-1"));
    assert_eq!(decoded.warnings, []);
}

#[test]
fn an_unusable_timestamp_does_not_cost_the_event() {
    let policy = policy();
    for timestamp in [
        json!("2026-11-24T05:00:00"),
        json!(1_700_000_000),
        json!("2031-01-01T00:00:00Z"),
        json!({}),
    ] {
        let raw = json!({"type": "page", "userId": "u", "timestamp": timestamp}).to_string();
        let decoded = decode(&raw, &scope(&policy)).unwrap();
        assert_eq!(decoded.event.occurred_at, decoded.event.received_at);
        assert_eq!(decoded.warnings, [Warning::UnusableTimestamp], "{timestamp}");
    }
}

#[test]
fn placeholders_are_kept_and_reported() {
    let policy = policy();
    let raw = r#"{"type":"page","userId":"undefined","anonymousId":0}"#;
    let decoded = decode(raw, &scope(&policy)).unwrap();
    assert_eq!(decoded.event.user_id.as_deref(), Some("undefined"));
    assert_eq!(decoded.event.anonymous_id.as_deref(), Some("0"));
    assert_eq!(decoded.warnings.len(), 2);
}

#[test]
fn a_placeholder_is_no_id_of_an_event() {
    let policy = policy();
    for id in [
        json!("undefined"),
        json!("null"),
        json!(0),
        json!("00000000-0000-0000-0000-000000000000"),
    ] {
        let raw = json!({"type": "page", "userId": "u", "messageId": id}).to_string();
        let [first, second] = [(); 2].map(|()| decode(&raw, &scope(&policy)).unwrap());
        assert_ne!(first.event.event_id, second.event.event_id, "{id}");
        assert_eq!(first.event.message_id, None);
        let id = id.as_str().unwrap_or("0").to_owned();
        assert_eq!(first.warnings, [Warning::PlaceholderMessageId { id }]);

        let reject = Reject::whole(RejectCode::MissingName, "x");
        let [first, second] = [(); 2].map(|()| rejection(raw.as_bytes(), &scope(&policy), &reject));
        assert_ne!(first.event_id, second.event_id);
    }
}

#[test]
fn imports_are_received_at_their_timestamp_within_bounds() {
    let policy = policy();
    let scope = Scope {
        origin: Origin::Imported,
        ..scope(&policy)
    };
    let with = |timestamp: &str| json!({"type": "page", "userId": "u", "timestamp": timestamp}).to_string();
    let raw = with("2001-02-03T04:05:06Z");
    let event = decode(&raw, &scope).unwrap().event;
    assert_eq!(event.received_at, at("2001-02-03T04:05:06Z"));
    assert_eq!(event.occurred_at, event.received_at);
    assert_eq!(event.accepted_at, scope.received_at);
    for (raw, code) in [
        (with("1999-12-31T23:59:59Z"), RejectCode::TimestampOutOfBounds),
        (with("2026-11-24T07:00:01Z"), RejectCode::TimestampOutOfBounds),
        (with("soon"), RejectCode::MissingTimestamp),
        (
            json!({"type": "page", "userId": "u"}).to_string(),
            RejectCode::MissingTimestamp,
        ),
    ] {
        assert_eq!(decode(&raw, &scope).unwrap_err().code, code, "{raw}");
    }
    assert!(decode(&with("2026-11-24T07:00:00Z"), &scope).is_ok());
}

#[test]
fn context_is_rebuilt_with_truncated_addresses() {
    let policy = policy();
    let client = Client {
        ip: Some("2001:db8:1:2:3:4:5:6".parse().unwrap()),
        user_agent: Some("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        gpc: true,
        hit: None,
    };
    let web = Scope {
        trusted: false,
        client,
        ..scope(&policy)
    };
    let raw = r#"{"type":"page","name":"Home","category":"Front","userId":"u","context":{"\u0069p":"203.0.113.77","consent":{"ads":false},"userprint":"c","gpc":false}}"#;
    let event = decode(raw, &web).unwrap().event;
    let expected = json!({"consent": {"ads": false}, "userprint": "c", "userAgent": client.user_agent, "ip": "203.0.113.0", "gpc": true, "category": "Front"});
    assert_eq!(context(&event), expected);
    assert!(event.is_bot);

    let event = decode(r#"{"type":"page","userId":"u"}"#, &web).unwrap().event;
    assert_eq!(context(&event)["ip"], "2001:db8:1::");
    let server = Scope { trusted: true, ..web };
    let event = decode(r#"{"type":"page","userId":"u"}"#, &server).unwrap().event;
    assert_eq!(event.context, None, "a server's address is not its visitor's");
    assert!(!event.is_bot);

    for (ip, kept) in [
        ("::ffff:198.51.100.9", "198.51.100.0"),
        ("198.51.100.9:4711", "198.51.100.0"),
        ("198.51.100.9, 10.0.0.1", "198.51.100.0"),
    ] {
        let raw = json!({"type": "page", "userId": "u", "context": {"ip": ip}}).to_string();
        assert_eq!(context(&decode(&raw, &server).unwrap().event)["ip"], kept);
    }
    let raw = json!({"type": "page", "userId": "u", "context": {"ip": "203.0.113.77 (proxy)"}}).to_string();
    assert_eq!(decode(&raw, &server).unwrap().event.context, None);
}

#[test]
fn a_batch_gives_defaults_to_its_events() {
    let policy = policy();
    let body = r#"{"sentAt":"2026-11-24T06:00:05Z","timestamp":"2026-11-24T06:00:00Z","context":{"ip":"203.0.113.77","app":{"v":1},"x":1},
        "integrations":{"All":false},"batch":[{"type":"page","userId":"u","context":{"x":2}}]}"#;
    let batch = parse_batch(body, 100).unwrap();
    let event = decode(
        batch.events[0],
        &Scope {
            defaults: batch.defaults,
            ..scope(&policy)
        },
    )
    .unwrap()
    .event;
    assert_eq!(
        context(&event),
        json!({"x": 2, "app": {"v": 1}, "ip": "203.0.113.0", "integrations": {"All": false}})
    );
    assert_eq!(event.occurred_at, at("2026-11-24T05:59:55Z"));
}

#[test]
fn identify_finds_its_traits_in_the_context_too() {
    let policy = Policy {
        redact: vec!["email".to_owned()],
        ..policy()
    };
    let traits_of = |mut event: Value, default: Value| {
        event["userId"] = json!("u");
        let (raw, default) = (event.to_string(), default.to_string());
        let defaults = Defaults {
            context: Some(&default),
            ..Defaults::default()
        };
        let scope = Scope {
            defaults,
            ..scope(&policy)
        };
        let event = decode(&raw, &scope).unwrap().event;
        let traits = event.traits.as_ref().map(|traits| traits.get().to_owned());
        (traits, event.context.map(|context| context.get().to_owned()))
    };
    let in_context = json!({"traits": {"email": "a@b.example", "n": 1}, "app": 1});
    let n = |n: i32| Some(format!(r#"{{"n":{n}}}"#));
    let app = || Some(r#"{"app":1}"#.to_owned());
    let both = || Some(r#"{"traits":{"n":1},"app":1}"#.to_owned());
    let (none, other) = (json!({}), json!({"traits": {"n": 2}}));
    for (event, default, expected) in [
        (
            json!({"type": "identify", "context": in_context}),
            &none,
            (n(1), app()),
        ),
        (
            json!({"type": "identify", "context": in_context}),
            &other,
            (n(1), app()),
        ),
        (json!({"type": "identify"}), &other, (n(2), None)),
        (
            json!({"type": "identify", "context": in_context, "traits": {"n": 3}}),
            &none,
            (n(3), both()),
        ),
        (
            json!({"type": "group", "context": in_context}),
            &none,
            (None, both()),
        ),
        (
            json!({"type": "identify", "context": {"traits": 7}}),
            &none,
            (None, Some(r#"{"traits":7}"#.to_owned())),
        ),
    ] {
        assert_eq!(traits_of(event.clone(), default.clone()), expected, "{event}");
    }
}

/// What decoding accepts, the same scanner accepts again on the other side of the log.
#[test]
fn rebuilt_contexts_stay_within_the_limits() {
    let policy = policy();
    for levels in 60..66 {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        let body = format!(
            r#"{{"context":{deep},"integrations":{deep},"batch":[{{"type":"page","userId":"u","category":{deep}}}]}}"#
        );
        let Ok(batch) = parse_batch(&body, 100) else {
            assert!(levels > 64);
            continue;
        };
        let scope = Scope {
            defaults: batch.defaults,
            ..scope(&policy)
        };
        match decode(batch.events[0], &scope) {
            Ok(decoded) => {
                let context = decoded.event.context.unwrap();
                assert_eq!(scan_object(context.get(), |_, _, _| ()), Ok(()), "{levels}");
            }
            Err(reject) => assert_eq!(reject.code, RejectCode::NestingTooDeep),
        }
    }
}

#[test]
fn bodies_that_are_no_batch_are_named() {
    use RejectCode::*;
    for (body, code, pointer) in [
        ("{", MalformedJson, ""),
        ("[]", NotAnObject, ""),
        ("{}", MissingBatch, "/batch"),
        (r#"{"batch":{}}"#, MissingBatch, "/batch"),
        (r#"{"batch":[]}"#, EmptyBatch, "/batch"),
        (
            r#"{"batch":[1],"context":{"\ud800":1}}"#,
            LoneSurrogate,
            "/context",
        ),
        (
            r#"{"batch":[1],"context":{"a":"\u0000"}}"#,
            NulCharacter,
            "/context/a",
        ),
        (r#"{"batch":[1],"context":[]}"#, InvalidFieldType, "/context"),
    ] {
        let reject = parse_batch(body, 100).unwrap_err();
        assert_eq!((reject.code, reject.pointer.as_str()), (code, pointer), "{body}");
    }
    assert_eq!(parse_batch(r#"{"\ud800":1,"batch":[1]}"#, 100).unwrap().total, 1);
    assert_eq!(body_text(b"\xff").unwrap_err().code, InvalidUtf8);
    assert_eq!(body_text("\u{feff}{}".as_bytes()), Ok("{}"));
}

#[test]
fn named_members_never_reach_the_record() {
    let policy = Policy {
        redact: vec!["email".to_owned()],
        ..policy()
    };
    let raw = r#"{"type":"identify","userId":"u","traits":{"email":"a@b.example","n":1},"properties":{"email":"a@b.example"},
        "context":{"traits":{"email":"a@b.example"}}}"#;
    let event = decode(raw, &scope(&policy)).unwrap().event;
    let record = String::from_utf8(wire::encode_event(&event)).unwrap();
    assert!(!record.contains("a@b.example"), "{record}");
    assert!(record.contains(r#""traits":{"n":1}"#), "{record}");
    let reject = Reject::whole(RejectCode::MissingName, "x");
    for payload in [raw, &raw[..80]] {
        let kept = wire::encode_rejection(&rejection(payload.as_bytes(), &scope(&policy), &reject));
        assert!(!String::from_utf8(kept).unwrap().contains("a@b.example"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn never_panics_on_any_json(fields in proptest::collection::vec((
        prop_oneof![Just("type"), Just("event"), Just("userId"), Just("timestamp"), Just("context"), Just("properties"), Just("messageId"), Just("batch")],
        any_json(),
    ), 0..6)) {
        let policy = policy();
        let raw = Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()).to_string();
        let scope = Scope { trusted: false, kind: Some(EventKind::Page), ..scope(&policy) };
        let reject = match decode(&raw, &scope) {
            Ok(decoded) => {
                let bytes = wire::encode_event(&decoded.event);
                prop_assert_eq!(wire::decode(&bytes), Ok(wire::WireRecord::Event(Box::new(decoded.event))));
                prop_assert_eq!(scan_object(std::str::from_utf8(&bytes).unwrap(), |_, _, _| ()), Ok(()));
                Reject::whole(RejectCode::MissingName, "")
            }
            Err(reject) => reject,
        };
        let kept = rejection(raw.as_bytes(), &scope, &reject);
        let _ = replay(&kept, &policy);
        let _ = parse_batch(&raw, 100);
    }

    #[test]
    fn never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let policy = policy();
        if let Ok(text) = body_text(&bytes) {
            let _ = decode(text, &scope(&policy));
            let _ = parse_batch(text, 100);
        }
        let _ = wire::decode(&bytes);
        let _ = wire::encode_rejection(&rejection(&bytes, &scope(&policy), &Reject::whole(RejectCode::InvalidUtf8, "")));
    }
}
