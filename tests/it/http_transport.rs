//! Slow and broken clients, too long heads, overload, probes, unknown paths.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytesize::ByteSize;
use momsflow::http::Bound;
use momsflow::http::admin::AdminServer;
use momsflow::lifecycle::Health;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::http_support::{Running, serve};
use crate::serve::{self, PATIENCE};

const HEAD: &str =
    "POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer server-key\r\nConnection: close\r\n";
const EVENT: &str = r#"{"userId":"u","event":"e"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_cut_off() {
    let server = serve(|config| config.http.client_timeout = Duration::from_secs(2)).await;
    let slow_head = server.raw(b"POST /v1/track HTTP/1.1\r\nHost:".to_vec()).await;
    assert_eq!(slow_head.status, 408);
    let slow_body = server
        .raw(format!("{HEAD}Content-Length: 100\r\n\r\n{{\"userId\"").into_bytes())
        .await;
    slow_body.assert_problem(408, "request_timeout");
    assert!(server.log.records().is_empty());
    assert_eq!(server.gate.budget().used(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_half_way_is_not_taken() {
    let server = serve(|_| ()).await;
    let addr = server.addr;
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(addr).unwrap();
        write!(stream, "{HEAD}Content-Length: 100\r\n\r\n{EVENT}").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    })
    .await
    .unwrap();
    assert!(!answer.contains("200 OK"), "{answer}");
    assert!(server.log.records().is_empty());
    assert_eq!(server.post("/v1/track", EVENT).await.status, 200);
}

/// A request of so many events, with its head.
fn batch(events: usize, connection: &str) -> (String, usize) {
    let padding = "x".repeat(700);
    let event = format!(r#"{{"type":"track","userId":"u","event":"e","properties":{{"a":"{padding}"}}}}"#);
    let body = format!(r#"{{"batch":[{}]}}"#, vec![event; events].join(","));
    let head = format!(
        "POST /v1/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer server-key\r\nConnection: {connection}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body, body.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_sent_without_waiting_are_answered_each_in_turn() {
    let server = serve(|_| ()).await;
    let requests: String = [1, 300, 7, 60, 1, 1, 900]
        .map(|events| batch(events, "keep-alive").0)
        .concat();
    let (last, _) = batch(2, "close");
    let answers = server.raw((requests + &last).into_bytes()).await;
    let text = format!("{}{}", answers.head, answers.body);
    let accepted: Vec<&str> = text
        .split(r#""accepted":"#)
        .skip(1)
        .filter_map(|rest| rest.split(',').next())
        .collect();
    assert_eq!(accepted, ["1", "300", "7", "60", "1", "1", "900", "2"], "{text}");
    assert_eq!(server.log.events().len(), 1272);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_its_sending_half_gets_its_answer() {
    let server = serve(|_| ()).await;
    let addr = server.addr;
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(batch(400, "keep-alive").0.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    assert!(answer.contains(r#""accepted":400"#), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_small_pieces_is_taken_as_it_trickles_in() {
    let server = serve(|_| ()).await;
    let addr = server.addr;
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        for (number, piece) in batch(40, "close").0.as_bytes().chunks(331).enumerate() {
            stream.write_all(piece).unwrap();
            // Now and then longer than what was promised for the body holds.
            std::thread::sleep(Duration::from_millis(if number % 40 == 10 { 150 } else { 1 }));
        }
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    assert!(answer.contains(r#""accepted":40"#), "{answer}");
    assert_eq!(server.gate.budget().used(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_refused_while_it_sends_reads_why() {
    let server = serve(|config| config.http.in_flight = ByteSize::mib(1)).await;
    server.log.hangs.store(true, Ordering::SeqCst);
    let mut waiting = TcpStream::connect(server.addr).unwrap();
    waiting.write_all(batch(400, "keep-alive").0.as_bytes()).unwrap();
    until(&server, |used| used > 500_000).await;
    let (large, length) = batch(700, "keep-alive");
    assert!(length > 500_000, "more than fits");
    let refused = server.raw(large.into_bytes()).await;
    refused.assert_problem(503, "overloaded");
    server.log.hangs.store(false, Ordering::SeqCst);
    until(&server, |used| used == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_waits_for_room_instead_of_being_sent_again() {
    let server = serve(|config| config.http.in_flight = ByteSize::mib(1)).await;
    let mut first = TcpStream::connect(server.addr).unwrap();
    // It waits for a second, which a machine that stands still may use up.
    for tries in 1..=20 {
        server.log.hangs.store(true, Ordering::SeqCst);
        first.write_all(batch(400, "keep-alive").0.as_bytes()).unwrap();
        serve::until("all of it is read", async || {
            server.log.waiting.load(Ordering::SeqCst) > 0
        })
        .await;
        let used = server.gate.budget().used();
        assert!(used > 500_000, "{used}");
        let second = server.raw(batch(350, "close").0.into_bytes());
        let room = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(server.gate.budget().used(), used, "nothing of it is read");
            server.log.hangs.store(false, Ordering::SeqCst);
        };
        let (answer, ()) = tokio::join!(second, room);
        if answer.status == 200 {
            assert_eq!(server.log.events().len(), 400 * tries + 350);
            return;
        }
        answer.assert_problem(503, "overloaded");
        until(&server, |used| used == 0).await;
    }
    panic!("it was sent away each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_far_too_much_reads_why() {
    let server = serve(|config| config.http.in_flight = ByteSize::mib(1)).await;
    for _ in 0..5 {
        let (large, length) = batch(5_000, "keep-alive");
        assert!(length > 3_000_000);
        let refused = server.raw(large.into_bytes()).await;
        refused.assert_problem(413, "body_too_large");
    }
    assert_eq!(server.post("/v1/track", EVENT).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_with_long_bodies_do_not_use_the_budget_up() {
    let server = serve(|config| config.http.in_flight = ByteSize::mib(1)).await;
    let addr = server.addr;
    let _slow: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(addr).unwrap();
            write!(stream, "{HEAD}Content-Length: 200000\r\n\r\n{{").unwrap();
            stream
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(server.post("/v1/track", EVENT).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_long_heads_get_431() {
    let server = serve(|_| ()).await;
    let key = ("Authorization", "Bearer server-key");
    let long = "x".repeat(40_000);
    let answer = server
        .send("POST", "/v1/track", &[key, ("X-Long", &long)], EVENT.as_bytes())
        .await;
    answer.assert_problem(431, "headers_too_large");
    let path = format!("/v1/track?a={long}");
    server
        .send("POST", &path, &[key], EVENT.as_bytes())
        .await
        .assert_problem(431, "headers_too_large");
    let longer = "x".repeat(300_000);
    let answer = server
        .send("POST", "/v1/track", &[key, ("X-Long", &longer)], EVENT.as_bytes())
        .await;
    assert_eq!(answer.status, 431);
    let many: Vec<_> = (0..120).map(|n| (format!("X-{n}"), "1")).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(
        server
            .send("POST", "/v1/track", &many, EVENT.as_bytes())
            .await
            .status,
        431
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_named() {
    let server = serve(|_| ()).await;
    server
        .send("GET", "/nothing", &[], b"")
        .await
        .assert_problem(404, "not_found");
    let answer = server.send("GET", "/v1/track", &[], b"").await;
    answer.assert_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    assert_eq!(server.send("DELETE", "/v1/batch", &[], b"").await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_budget_requests_are_refused_and_taken_again_after_it() {
    let server = serve(|config| config.http.in_flight = ByteSize::kib(64)).await;
    server.log.hangs.store(true, Ordering::SeqCst);
    let body = format!(
        r#"{{"userId":"u","event":"e","properties":{{"a":"{}"}}}}"#,
        "x".repeat(20_000)
    );
    let request = format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len());
    let addr = server.addr;
    let mut waiting = TcpStream::connect(addr).unwrap();
    waiting.write_all(request.as_bytes()).unwrap();
    until(&server, |used| used > 40_000).await;
    let refused = server.post("/v1/track", &body).await;
    refused.assert_problem(503, "overloaded");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    server.log.hangs.store(false, Ordering::SeqCst);
    until(&server, |used| used == 0).await;
    assert_eq!(server.post("/v1/track", &body).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_beyond_the_whole_budget_is_not_sent_away_to_come_again() {
    let server = serve(|config| config.http.in_flight = ByteSize::kib(64)).await;
    let body = format!(
        r#"{{"userId":"u","event":"e","properties":{{"a":"{}"}}}}"#,
        "x".repeat(40_000)
    );
    server
        .post("/v1/track", &body)
        .await
        .assert_problem(413, "body_too_large");
    assert_eq!(server.gate.budget().used(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_requests_finish_and_takes_no_new_ones() {
    let mut server = serve(|_| ()).await;
    server.log.hangs.store(true, Ordering::SeqCst);
    let request = format!("{HEAD}Content-Length: {}\r\n\r\n{EVENT}", EVENT.len());
    let mut waiting = TcpStream::connect(server.addr).unwrap();
    waiting.write_all(request.as_bytes()).unwrap();
    until(&server, |used| used > 500).await;
    server.stop.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.log.hangs.store(false, Ordering::SeqCst);
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).unwrap();
        answer
    });
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 200 OK"));
    let stopped = tokio::time::timeout(PATIENCE, &mut server.task).await;
    stopped.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(server.addr).is_err());
    assert_eq!(server.log.events().len(), 1);
}

async fn until(server: &Running, reached: impl Fn(usize) -> bool) {
    serve::until("so many bytes are in flight", async || {
        reached(server.gate.budget().used())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_tells_why_not() {
    let server = serve(|_| ()).await;
    assert_eq!(
        server.send("GET", "/live", &[], b"").await.json(),
        json!({"status": "live"})
    );
    assert_eq!(server.send("GET", "/ready", &[], b"").await.status, 200);
    server
        .health
        .fail("ingest", "/secret/log has 7 bytes of disk left");
    let answer = server.send("GET", "/ready", &[], b"").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["faults"], json!({"ingest": "the disk is full"}));
    assert_eq!(server.send("GET", "/live", &[], b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_server_has_the_metrics_and_stops() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let health = Health::default();
    health.fail("ingest", "/srv/log has 7 bytes of disk left");
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let admin = AdminServer::listen(
        Bound::bind("127.0.0.1:0".parse().unwrap()).unwrap(),
        recorder.handle(),
        &health,
        Vec::new(),
    )
    .unwrap()
    .with_socket(&socket, Vec::new())
    .unwrap();
    let (addr, token) = (admin.addr(), CancellationToken::new());
    let running = tokio::spawn(admin.run(token.clone()));
    let get = async |path: &'static str| {
        let exchange = move || {
            let mut stream = TcpStream::connect(addr).unwrap();
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        tokio::task::spawn_blocking(exchange).await.unwrap()
    };
    let answer = get("/metrics").await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.contains("text/plain"),
        "{answer}"
    );
    let answer = get("/ready").await;
    assert!(answer.contains("/srv/log has 7 bytes"), "whole here: {answer}");
    assert!(std::os::unix::net::UnixStream::connect(&socket).is_ok());
    token.cancel();
    tokio::time::timeout(PATIENCE, running)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}
