use proptest::prelude::*;
use serde_json::{Value, json};

use super::any_json;
use crate::event::{HitParts, RejectCode, hit_data, hit_text};

fn query(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

fn made(query: &[(String, String)], body: Option<&str>, has_person: bool) -> Value {
    let parts = HitParts {
        query,
        body,
        referer: Some("https://example.com/from-header?token=1"),
        has_person,
    };
    serde_json::from_str(&hit_text(&parts).unwrap().unwrap()).unwrap()
}

#[test]
fn a_query_is_a_page_event_or_by_its_name_a_track_event() {
    let page = query(&[
        ("url", "https://example.com/a?q=1#top"),
        ("ref", "https://search.example/?q=secret"),
        ("title", "A \"good\" one"),
        ("prop.topic", "climate"),
        ("prop.title", "own"),
        ("prop.", "nameless"),
    ]);
    let expected_page = json!({"url": "https://example.com/a?q=1#top", "path": "/a", "referrer": "https://search.example/?q=secret", "title": "A \"good\" one"});
    assert_eq!(
        made(&page, None, true),
        json!({"type": "page", "properties": {"topic": "climate", "title": "own", "url": "https://example.com/a?q=1#top", "path": "/a", "referrer": "https://search.example/?q=secret"}, "context": {"page": expected_page}})
    );
    let mail = query(&[("event", "Newsletter Opened"), ("prop.issue", "47")]);
    assert_eq!(
        made(&mail, None, true),
        json!({"type": "track", "event": "Newsletter Opened", "properties": {"issue": "47"}, "context": {"page": {"url": "https://example.com/from-header?token=1", "path": "/from-header"}}})
    );
}

#[test]
fn a_body_wins_and_never_names_the_visitor() {
    let body = r#"{"writeKey":"k","anonymousId":"forged","userId":"u-1","event":"Read","properties":{"seconds":1e2},"context":{"page":{"url":"https://a.example/x"}}}"#;
    let params = query(&[("event", "Other"), ("prop.seconds", "5"), ("prop.more", "1")]);
    let made = made(&params, Some(body), true);
    assert_eq!(
        made,
        json!({"type": "track", "event": "Read", "userId": "u-1", "properties": {"seconds": 100.0, "more": "1"}, "context": {"page": {"url": "https://a.example/x"}}})
    );
}

#[test]
fn of_nobody_only_what_is_impersonal_is_kept() {
    let body = r#"{"userId":"u-1","messageId":"m-of-u-1","name":"Home","traits":{"email":"a@b.example"},"context":{"locale":"de","device":{"id":"d"},"ip":"203.0.113.9","traits":{"a":1},"page":{"url":"https://a.example/x?mail=u-1","search":"?mail=u-1","title":"T"}}}"#;
    assert_eq!(
        made(&[], Some(body), false),
        json!({"type": "page", "name": "Home", "properties": {"url": "https://example.com/from-header", "path": "/from-header"}, "context": {"locale": "de", "page": {"url": "https://a.example/x", "title": "T"}}})
    );
    let script = r#"{"url":"https://a.example/\u00e4?q=1","ref":"","title":"T","event":null}"#;
    assert_eq!(
        made(&[], Some(script), true),
        json!({"type": "page", "properties": {"url": "https://a.example/ä?q=1", "path": "/ä", "title": "T"}, "context": {"page": {"url": "https://a.example/ä?q=1", "path": "/ä", "title": "T"}}})
    );
    let nobody = |body| HitParts {
        query: &[],
        body: Some(body),
        referer: None,
        has_person: false,
    };
    assert_eq!(hit_text(&nobody(r#"{"type":"identify","traits":{}}"#)), Ok(None));
}

#[test]
fn data_is_base64_of_any_kind() {
    for data in [
        "eyJldmVudCI6ICJSPz8+In0=",
        "eyJldmVudCI6ICJSPz8+In0",
        "eyJldmVudCI6ICJSPz8-In0",
        "eyJldmVudCI6ICJSPz8 In0=",
    ] {
        assert_eq!(hit_data(data).unwrap(), r#"{"event": "R??>"}"#, "{data}");
    }
    for data in ["%%%", "gICA"] {
        assert_eq!(
            hit_data(data).unwrap_err().code,
            RejectCode::MalformedJson,
            "{data}"
        );
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_one_json_object(
        pairs in proptest::collection::vec((".{0,12}|prop\\..{0,6}|url|ref|title|event", ".*"), 0..6),
        body in proptest::option::of(any_json()),
        has_person in any::<bool>(),
    ) {
        let body = body.map(|body| body.to_string());
        let parts = HitParts { query: &pairs, body: body.as_deref(), referer: None, has_person };
        if let Ok(Some(text)) = hit_text(&parts) {
            prop_assert!(serde_json::from_str::<Value>(&text).unwrap().is_object());
        }
    }
}
