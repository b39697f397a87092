//! Keys, origins, what the request tells of its client, and the settings that SDKs ask for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http_support::{Reply, Running, serve};

const EVENT: &str = r#"{"userId":"u","event":"e"}"#;

async fn with_authorization(server: &Running, value: &str) -> Reply {
    server
        .send("POST", "/v1/track", &[("Authorization", value)], EVENT.as_bytes())
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_found_wherever_sdks_put_it() {
    let server = serve(|_| ()).await;
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    for value in [
        basic("server-key:"),
        basic("server-key"),
        "Bearer server-key".to_owned(),
        "bearer  server-key".to_owned(),
    ] {
        assert_eq!(with_authorization(&server, &value).await.status, 200, "{value}");
    }
    let query = server
        .send("POST", "/v1/track?a=1&writeKey=server-key", &[], EVENT.as_bytes())
        .await;
    assert_eq!(query.status, 200);
    let body = br#"{"userId":"u","event":"e","writeKey":"server-key"}"#;
    assert_eq!(server.send("POST", "/v1/track", &[], body).await.status, 200);
    let batch = br#"{"batch":[{"type":"page","userId":"u"}],"writeKey":"server-key"}"#;
    assert_eq!(
        server
            .send("POST", "/v1/batch", &[("Content-Type", "text/plain")], batch)
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_known_key_nothing_is_taken_or_kept() {
    let server = serve(|_| ()).await;
    for value in [
        "Bearer wrong",
        "Basic d3Jvbmc6",
        "Bearer server-key2",
        "Bearer SERVER-KEY",
    ] {
        let answer = with_authorization(&server, value).await;
        answer.assert_problem(401, "unknown_key");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic"));
    }
    for value in ["Basic ???", "Basic Og==", "Bearer ", "Digest x", "Basic"] {
        with_authorization(&server, value)
            .await
            .assert_problem(401, "missing_key");
    }
    server
        .send("POST", "/v1/track", &[], EVENT.as_bytes())
        .await
        .assert_problem(401, "missing_key");
    server
        .send("POST", "/v1/track", &[], b"{")
        .await
        .assert_problem(401, "missing_key");
    let body = br#"{"userId":"u","event":"e","writeKey":"wrong"}"#;
    server
        .send("POST", "/v1/track", &[], body)
        .await
        .assert_problem(401, "unknown_key");
    assert!(server.log.records().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_send_only_from_their_source_s_origins() {
    let server = serve(|_| ()).await;
    let preflight = |origin: &'static str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            // The last is analytics.js's, when it tries again.
            (
                "Access-Control-Request-Headers",
                "authorization,content-type,x-retry-count",
            ),
        ];
        let server = &server;
        async move { server.send("OPTIONS", "/v1/t", &headers, b"").await }
    };
    let allowed = preflight("https://example.com").await;
    assert_eq!(allowed.status, 204);
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        Some("https://example.com")
    );
    assert_eq!(
        allowed.header("access-control-allow-headers"),
        Some("authorization,content-type,x-retry-count")
    );
    preflight("https://evil.example")
        .await
        .assert_problem(403, "origin_not_allowed");

    let send = |key: &'static str, origin: &'static str, body: &'static str| {
        let headers = [("Authorization", key), ("Origin", origin)];
        let server = &server;
        async move { server.send("POST", "/v1/t", &headers, body.as_bytes()).await }
    };
    let answer = send("Bearer web-key", "https://example.com", EVENT).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, Some("https://example.com"))
    );
    assert!(answer.header("vary").unwrap().contains("Origin"));
    let refused = send("Bearer web-key", "https://example.com", "{").await;
    assert_eq!(
        (refused.status, refused.header("access-control-allow-origin")),
        (400, Some("https://example.com"))
    );
    let unknown = send("Bearer wrong", "https://example.com", EVENT).await;
    assert_eq!(
        (unknown.status, unknown.header("access-control-allow-origin")),
        (401, Some("https://example.com"))
    );
    let foreign = send("Bearer web-key", "https://evil.example", EVENT).await;
    foreign.assert_problem(403, "origin_not_allowed");
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    let trusted = send("Bearer server-key", "https://example.com", EVENT).await;
    assert_eq!(
        (trusted.status, trusted.header("access-control-allow-origin")),
        (200, None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_tells_of_the_client_only_for_untrusted_sources() {
    let server = serve(|config| config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let agent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    for key in ["Bearer web-key", "Bearer server-key"] {
        let headers = [
            ("Authorization", key),
            ("X-Forwarded-For", "6.6.6.6, 203.0.113.77, 127.0.0.9"),
            ("User-Agent", agent),
            ("Sec-GPC", "1"),
        ];
        assert_eq!(
            server
                .send("POST", "/v1/track", &headers, EVENT.as_bytes())
                .await
                .status,
            200
        );
    }
    let events = server.log.events();
    let by = |source: &str| events.iter().find(|event| event["source"] == source).unwrap();
    assert_eq!(
        by("web")["context"],
        json!({"userAgent": agent, "ip": "203.0.113.0", "gpc": true})
    );
    assert_eq!(
        (&by("web")["is_bot"], &by("web")["trusted"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(by("server")["context"], Value::Null);
    assert_eq!(by("server")["is_bot"], false);
}

/// The settings may be kept by caches that others ask too.
#[tokio::test(flavor = "multi_thread")]
async fn settings_believe_a_proxy_only_if_it_is_trusted() {
    for (proxies, expected) in [(vec![], "http"), (vec!["127.0.0.0/8".parse().unwrap()], "https")] {
        let server = serve(|config| config.http.trusted_proxies = proxies).await;
        for (headers, expected) in [
            (vec![("X-Forwarded-Proto", "https")], expected),
            (vec![("X-Forwarded-Proto", "HTTPS")], expected),
            (vec![("X-Forwarded-Proto", "https, http")], "http"),
            (vec![("X-Forwarded-Proto", "javascript")], "http"),
            (vec![("Forwarded", "proto=https")], "http"),
            (vec![], "http"),
        ] {
            let path = "/v1/projects/web-key/settings";
            let answer = server.send("GET", path, &headers, b"").await.json();
            assert_eq!(
                answer["integrations"]["Segment.io"]["protocol"], expected,
                "{headers:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sdks_get_their_settings() {
    let server = serve(|_| ()).await;
    for path in ["/v1/projects/web-key/settings", "/projects/web-key/settings"] {
        let answer = server
            .send("GET", path, &[("Origin", "https://example.com")], b"")
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://example.com")
        );
        let integration = answer.json()["integrations"]["Segment.io"].clone();
        assert_eq!(integration["apiKey"], "web-key");
        assert_eq!(
            (&integration["apiHost"], &integration["protocol"]),
            (&json!("events.example/v1"), &json!("http"))
        );
    }
    server
        .send("GET", "/v1/projects/wrong/settings", &[], b"")
        .await
        .assert_problem(401, "unknown_key");
}
