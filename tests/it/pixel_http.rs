//! The pixel over HTTP, before a log that can be made to fail.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use momsflow::http::{Overloaded, Reservation};
use serde_json::{Value, json};
use uuid::Uuid;

use super::http_support::{Reply, Running, serve};

const PAGE: (&str, &str) = ("Origin", "https://example.com");

async fn gif(server: &Running, query: &str, headers: &[(&str, &str)]) -> Reply {
    let reply = server.send("GET", &format!("/p.gif{query}"), headers, b"").await;
    assert_eq!(
        (
            reply.status,
            reply.header("content-length"),
            reply.header("content-type")
        ),
        (200, Some("43"), Some("image/gif")),
        "{}",
        reply.head
    );
    assert!(reply.body.starts_with("GIF89a") && reply.body.ends_with(';'));
    reply
}

/// The value of the cookie that a reply sets.
fn cookie(reply: &Reply, name: &str) -> Option<String> {
    let sets = reply.head.lines().filter_map(|line| {
        let (header, value) = line.split_once(": ")?;
        header.eq_ignore_ascii_case("set-cookie").then_some(value)
    });
    let named = format!("{name}=");
    let value_of = |value: &str| Some(value.split(';').next()?.strip_prefix(&named)?.to_owned());
    sets.filter_map(value_of).next_back()
}

fn context(event: &Value) -> &Value {
    &event["context"]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gif_is_for_everybody_and_never_kept() {
    let server = serve(|_| ()).await;
    for headers in [
        &[][..],
        &[("If-None-Match", "\"a\"")],
        &[("If-Modified-Since", "Tue, 24 Nov 2026 06:00:00 GMT")],
    ] {
        let reply = gif(&server, "?url=https://example.com/a", headers).await;
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("cross-origin-resource-policy"), Some("cross-origin"));
        assert_eq!(reply.header("timing-allow-origin"), Some("*"));
        assert_eq!(reply.header("etag"), None, "it would be a second id");
        let set = reply.header("set-cookie").unwrap();
        assert!(set.starts_with("userprint=v1.k1."), "{set}");
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=34560000"] {
            assert!(set.contains(attribute), "{attribute}: {set}");
        }
        assert!(!set.contains("Secure") && !set.contains("Domain"), "{set}");
    }
    let events = server.log.events();
    assert_eq!(events.len(), 3);
    for event in &events {
        assert_eq!(
            (&event["type"], &event["source"], &event["trusted"]),
            (&json!("page"), &json!("pixel"), &json!(false))
        );
        assert_eq!(context(event)["userprint_state"], "minted");
        assert_eq!(context(event)["page"]["path"], "/a");
    }
    let head = server.send("HEAD", "/p.gif", &[], b"").await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.as_str()),
        (200, Some("43"), "")
    );
    assert_eq!(head.header("set-cookie"), None);
    assert_eq!(server.log.events().len(), 3, "nobody saw anything");
    server.log.assert_readable();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_carries_what_its_query_says() {
    let server = serve(|_| ()).await;
    let data = "eyJldmVudCI6IlJlYWQiLCJwcm9wZXJ0aWVzIjp7InNlY29uZHMiOjEyfSwiYW5vbnltb3VzSWQiOiJmb3JnZWQifQ";
    gif(
        &server,
        "?event=Newsletter+Opened&prop.issue=47&ref=https://r.example&title=T",
        &[("Referer", "https://mail.example/x"), ("Sec-Purpose", "prefetch")],
    )
    .await;
    gif(
        &server,
        &format!("?data={data}&writeKey=web-key"),
        &[("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1)")],
    )
    .await;
    let events = server.log.events();
    let of = |name: &str| events.iter().find(|event| event["event"] == name).unwrap();
    let opened = of("Newsletter Opened");
    assert_eq!(opened["properties"], json!({"issue": "47"}));
    assert_eq!(
        context(opened)["page"],
        json!({"url": "https://mail.example/x", "path": "/x", "referrer": "https://r.example", "title": "T"})
    );
    assert_eq!(
        (&context(opened)["prefetch"], &opened["is_bot"]),
        (&json!(true), &json!(false))
    );
    let read = of("Read");
    assert_eq!(
        (&read["properties"], &read["source"], &read["is_bot"]),
        (&json!({"seconds": 12}), &json!("web"), &json!(true))
    );
    assert_eq!(context(read)["prefetch"], Value::Null);
    Uuid::parse_str(read["anonymous_id"].as_str().unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_the_gif_is_served_and_nothing_is_lost_in_silence() {
    let server = serve(|_| ()).await;
    for query in ["?writeKey=nobody", "?writeKey=server-key"] {
        gif(&server, query, &[]).await;
    }
    assert_eq!(
        server.log.records().len(),
        0,
        "an unknown key, and one that must stay secret"
    );
    gif(&server, "?data=%25%25", &[]).await;
    gif(&server, "?event=a%00b", &[]).await;
    let codes: Vec<_> = server
        .log
        .rejections()
        .iter()
        .map(|letter| letter["rejected"]["code"].clone())
        .collect();
    assert_eq!(codes.len(), 2);
    assert!(
        codes.contains(&json!("malformed_json")) && codes.contains(&json!("nul_character")),
        "{codes:?}"
    );

    server.log.refuses.store(true, Ordering::SeqCst);
    gif(&server, "", &[]).await;
    server.log.refuses.store(false, Ordering::SeqCst);
    let mut all: Vec<Reservation> = Vec::new();
    // Uses the budget up.
    loop {
        let mut reservation = server.gate.budget().reserve();
        match reservation.grow(1 << 20) {
            Ok(()) => all.push(reservation),
            Err(Overloaded { .. }) => break,
        }
    }
    let mut rest = server.gate.budget().reserve();
    while rest.grow(100).is_ok() {}
    gif(&server, "", &[]).await;
    assert_eq!(server.log.events().len(), 0, "shed twice");
    drop((all, rest));
    gif(&server, "", &[]).await;
    assert_eq!(server.log.events().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_log_holds_the_gif_up_to_its_bound_and_gets_the_hit_all_the_same() {
    let server = serve(|config| config.pixel.answer_within = Duration::from_millis(200)).await;
    server.log.hangs.store(true, Ordering::SeqCst);
    let began = Instant::now();
    let reply = gif(&server, "?event=Late", &[]).await;
    let took = began.elapsed();
    // The log answers never, and so the bound is what ended it.
    assert!(took >= Duration::from_millis(200), "{took:?}");
    assert!(cookie(&reply, "userprint").is_some());
    assert_eq!(server.log.events().len(), 0);
    server.log.hangs.store(false, Ordering::SeqCst);
    tokio::time::timeout(Duration::from_secs(180), server.pixel.finish())
        .await
        .unwrap();
    assert_eq!(server.log.events().len(), 1);
    assert_eq!(server.gate.budget().used(), 0, "it gave its share back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beacon_is_durable_when_it_is_answered() {
    let server = serve(|_| ()).await;
    let script = json!({"writeKey": "web-key", "event": "Page Engaged", "properties": {"engaged_seconds": 15}, "url": "https://example.com/a", "anonymousId": "forged"});
    let headers = [PAGE, ("Content-Type", "text/plain;charset=UTF-8")];
    let reply = server
        .send("POST", "/p", &headers, script.to_string().as_bytes())
        .await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-credentials")),
        (204, Some("true")),
        "{}",
        reply.head
    );
    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some("https://example.com")
    );
    let event = &server.log.events()[0];
    assert_eq!(
        (&event["type"], &event["properties"]),
        (&json!("track"), &json!({"engaged_seconds": 15}))
    );
    let userprint = cookie(&reply, "userprint").unwrap();
    assert_eq!(event["anonymous_id"], userprint.split('.').nth(2).unwrap());

    server
        .send("POST", "/p", &headers, b"[1]")
        .await
        .assert_problem(400, "not_an_object");
    assert_eq!(server.log.rejections()[0]["payload"], json!({"text": "[1]"}));
    let secret = [("Authorization", "Bearer server-key")];
    server
        .send("POST", "/p", &secret, b"{}")
        .await
        .assert_problem(403, "trusted_key");
    let strange = [("Origin", "https://evil.example")];
    let body = br#"{"writeKey":"web-key"}"#;
    server
        .send("POST", "/p", &strange, body)
        .await
        .assert_problem(403, "origin_not_allowed");
    // Without a key any page may.
    assert_eq!(server.send("POST", "/p", &strange, b"").await.status, 204);
    server.log.refuses.store(true, Ordering::SeqCst);
    server
        .send("POST", "/p", &headers, b"{}")
        .await
        .assert_problem(503, "log_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_to_be_known_is_not() {
    let server = serve(|config| {
        config.pixel.honour_dnt = true;
        config.ingest.ip = momsflow::config::IpPolicy::Full;
        config.http.trusted_proxies = vec!["127.0.0.1".parse::<std::net::IpAddr>().unwrap().into()];
    })
    .await;
    let (id, own) = server.userprints.mint("events.example", jiff::Timestamp::now());
    let own = format!("userprint={own}");
    let mail = "?event=Opened&url=https://example.com/a?mail=secret-mail&prop.a=1";
    let optouts = [
        vec![("Sec-GPC", "1"), ("Cookie", own.as_str())],
        vec![("DNT", "1"), ("Cookie", own.as_str())],
        vec![("Cookie", own.as_str()), ("Cookie", "userprint_state=optout")],
        vec![("Sec-GPC", "1")],
    ];
    for mut headers in optouts {
        let had_cookie = headers.iter().any(|(_, value)| *value == own);
        headers.push(("X-Forwarded-For", "203.0.113.77"));
        let reply = gif(&server, mail, &headers).await;
        let left = cookie(&reply, "userprint");
        assert_eq!(left, had_cookie.then(String::new), "{}", reply.head);
        assert!(!had_cookie || reply.head.contains("Max-Age=0"), "{}", reply.head);
        let body = br#"{"userId":"u-secret","traits":{"email":"secret@example.com"},"context":{"device":{"id":"secret"}}}"#;
        server.send("POST", "/p", &headers, body).await;
        server
            .send("POST", "/p", &headers, b"{\"userId\":\"u-secret")
            .await
            .assert_problem(400, "malformed_json");
        server
            .send(
                "POST",
                "/p",
                &headers,
                br#"{"type":"identify","userId":"u-secret"}"#,
            )
            .await;
    }
    let records = server.log.records();
    assert_eq!(records.len(), 8, "a page and a track event of each");
    for record in &records {
        assert_eq!(context(record)["userprint_state"], "optout");
        assert_eq!(context(record)["ip"], "203.0.113.0");
        let text = record.to_string();
        for word in [
            "secret",
            &id.to_string(),
            "203.0.113.77",
            "user_id",
            "anonymous_id",
        ] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
    // An ordinary visitor's address is kept as the operator wants it.
    gif(&server, "?event=Known", &[("X-Forwarded-For", "203.0.113.77")]).await;
    let events = server.log.events();
    let known = events.iter().find(|event| event["event"] == "Known").unwrap();
    assert_eq!(context(known)["ip"], "203.0.113.77");
    server.log.assert_readable();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_consent_is_required_nobody_is_known_before() {
    let server = serve(|config| config.pixel.consent = momsflow::config::Consent::Required).await;
    let (_, own) = server.userprints.mint("events.example", jiff::Timestamp::now());
    let own = format!("userprint={own}");
    let reply = gif(&server, "?event=Before", &[("Cookie", &own)]).await;
    assert_eq!(reply.header("set-cookie"), None);
    let choice = server.send("POST", "/p/optin", &[], b"").await;
    assert_eq!(
        cookie(&choice, "userprint_state").as_deref(),
        Some("optin"),
        "{}",
        choice.head
    );
    assert_eq!(choice.json(), json!({"userprint_state": "optin"}));
    let with = format!("{own}; userprint_state=optin");
    gif(&server, "?event=After", &[("Cookie", &with)]).await;
    gif(&server, "?event=Gpc", &[("Cookie", &with), ("Sec-GPC", "1")]).await;
    let events = server.log.events();
    for (name, state, is_known) in [
        ("Before", "absent", false),
        ("After", "returned", true),
        ("Gpc", "optout", false),
    ] {
        let event = events.iter().find(|event| event["event"] == name).unwrap();
        assert_eq!(context(event)["userprint_state"], state, "{name}");
        assert_eq!(event["anonymous_id"].is_string(), is_known, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strange_page_decides_nothing_for_its_visitors() {
    let server = serve(|_| ()).await;
    for (headers, status) in [
        (vec![], 200),
        (vec![PAGE], 200),
        (vec![("Origin", "https://evil.example")], 403),
        (
            vec![
                ("Origin", "https://evil.example"),
                ("Sec-Fetch-Site", "cross-site"),
            ],
            403,
        ),
        (vec![("Sec-Fetch-Site", "cross-site")], 403),
        (
            vec![("Origin", "https://www.example"), ("Sec-Fetch-Site", "same-site")],
            200,
        ),
        (vec![("Origin", "https://events.example")], 200),
    ] {
        for (method, path) in [("POST", "/p/optout"), ("POST", "/p/optin"), ("DELETE", "/p")] {
            let reply = server.send(method, path, &headers, b"").await;
            assert_eq!(reply.status, status, "{method} {path} {headers:?}");
            assert_eq!(reply.header("set-cookie").is_some(), status == 200);
        }
    }
    let preflight = |site| {
        [
            ("Origin", "https://www.example"),
            ("Access-Control-Request-Method", "DELETE"),
            ("Sec-Fetch-Site", site),
        ]
    };
    let reply = server.send("OPTIONS", "/p", &preflight("same-site"), b"").await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-credentials")),
        (204, Some("true"))
    );
    assert!(
        reply
            .header("access-control-allow-methods")
            .unwrap()
            .contains("DELETE")
    );
    assert_eq!(
        server
            .send("OPTIONS", "/p", &preflight("cross-site"), b"")
            .await
            .status,
        403
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_are_as_strict_as_the_set_up_allows() {
    let https = [("X-Forwarded-Proto", "https")];
    let proxied = |config: &mut momsflow::config::Config| {
        config.http.trusted_proxies = vec!["127.0.0.1".parse::<std::net::IpAddr>().unwrap().into()];
    };
    let server = serve(proxied).await;
    let set = gif(&server, "", &https)
        .await
        .header("set-cookie")
        .unwrap()
        .to_owned();
    assert!(
        set.starts_with("__Host-userprint=v1.") && set.contains("Secure"),
        "{set}"
    );
    // Another host of the site can set a cookie of the plain name; it is not looked at.
    let (_, planted) = server.userprints.mint("events.example", jiff::Timestamp::now());
    let reply = gif(
        &server,
        "",
        &[https[0], ("Cookie", &format!("userprint={planted}"))],
    )
    .await;
    assert!(cookie(&reply, "__Host-userprint").is_some());
    let reply = gif(
        &server,
        "",
        &[https[0], ("Cookie", &format!("__Host-userprint={planted}"))],
    )
    .await;
    assert_eq!(reply.header("set-cookie"), None, "it is known");

    let server = serve(|config| {
        proxied(config);
        config.pixel.cookie.domain = "example.com".to_owned();
        config.pixel.cookie.same_site = momsflow::config::SameSite::None;
        config.pixel.cookie.partitioned = true;
    })
    .await;
    let set = gif(&server, "", &https)
        .await
        .header("set-cookie")
        .unwrap()
        .to_owned();
    for part in [
        "userprint=v1.",
        "Domain=example.com",
        "SameSite=None",
        "Partitioned",
        "Secure",
    ] {
        assert!(set.contains(part) && !set.starts_with("__Host-"), "{part}: {set}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_is_cached_and_packed() {
    let server = serve(|config| config.content.url_pattern = "^/articles/([^/]+)".to_owned()).await;
    let plain = server.send("GET", "/p.js", &[], b"").await;
    assert_eq!(
        (plain.status, plain.header("content-type")),
        (200, Some("text/javascript; charset=utf-8"))
    );
    assert!(plain.body.contains("^/articles/([^/]+)") && !plain.body.contains("// "));
    assert_eq!(plain.header("cross-origin-resource-policy"), Some("cross-origin"));
    let etag = plain.header("etag").unwrap();
    let known = server.send("GET", "/p.js", &[("If-None-Match", etag)], b"").await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    let packed = server
        .send("GET", "/p.js", &[("Accept-Encoding", "br, gzip")], b"")
        .await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.header("content-length").unwrap().parse::<usize>().unwrap() < 1000);
}
