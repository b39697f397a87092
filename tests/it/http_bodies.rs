//! Bodies: content types, encodings, bombs, limits.

use std::io::Write as _;

use bytesize::ByteSize;

use crate::http_support::{Running, serve};

const EVENT: &str = r#"{"userId":"u","event":"e"}"#;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn brotli(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    brotli::BrotliCompress(
        &mut &text[..],
        &mut out,
        &brotli::enc::BrotliEncoderParams::default(),
    )
    .unwrap();
    out
}

fn zstandard(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 3).unwrap()
}

type Compress = fn(&[u8]) -> Vec<u8>;
const ENCODINGS: [(&str, Compress); 5] = [
    ("gzip", gzip),
    ("deflate", zlib),
    ("deflate", deflate),
    ("br", brotli),
    ("zstd", zstandard),
];

async fn post_encoded(server: &Running, encoding: &str, body: &[u8]) -> crate::http_support::Reply {
    let headers = [
        ("Authorization", "Bearer server-key"),
        ("Content-Encoding", encoding),
    ];
    server.send("POST", "/v1/track", &headers, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_encoding_is_read_and_each_bomb_refused() {
    let server = serve(|config| config.http.max_decompressed_body = ByteSize::mib(1)).await;
    let bomb = vec![b' '; 50_000_000];
    for (encoding, compress) in ENCODINGS {
        assert_eq!(
            post_encoded(&server, encoding, &compress(EVENT.as_bytes()))
                .await
                .status,
            200,
            "{encoding}"
        );
        post_encoded(&server, encoding, &compress(&bomb))
            .await
            .assert_problem(413, "decompressed_body_too_large");
        let whole = compress(EVENT.repeat(100).as_bytes());
        post_encoded(&server, encoding, &whole[..whole.len() / 2])
            .await
            .assert_problem(400, "malformed_encoding");
        post_encoded(&server, encoding, b"\xff\xfenonsense")
            .await
            .assert_problem(400, "malformed_encoding");
    }
    assert_eq!(server.log.records().len(), ENCODINGS.len());
    assert_eq!(
        post_encoded(&server, "identity", EVENT.as_bytes()).await.status,
        200
    );
    assert_eq!(
        post_encoded(&server, "identity", &gzip(EVENT.as_bytes()))
            .await
            .status,
        200,
        "gzip is recognised"
    );
    for encoding in ["lzma", "gzip, br", "gzip, gzip"] {
        post_encoded(&server, encoding, EVENT.as_bytes())
            .await
            .assert_problem(415, "unsupported_encoding");
    }
    assert_eq!(server.gate.budget().used(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_types_of_sdks_are_taken_and_others_not() {
    let server = serve(|_| ()).await;
    for content_type in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "text/plain;charset=UTF-8",
        "",
    ] {
        let headers = [
            ("Authorization", "Bearer server-key"),
            ("Content-Type", content_type),
        ];
        assert_eq!(
            server
                .send("POST", "/v1/track", &headers, EVENT.as_bytes())
                .await
                .status,
            200,
            "{content_type}"
        );
    }
    assert_eq!(
        server
            .send(
                "POST",
                "/v1/track",
                &[("Authorization", "Bearer server-key")],
                EVENT.as_bytes()
            )
            .await
            .status,
        200
    );
    for content_type in [
        "application/x-www-form-urlencoded",
        "text/html",
        "multipart/form-data; boundary=x",
        "application/jsonp",
    ] {
        let headers = [
            ("Authorization", "Bearer server-key"),
            ("Content-Type", content_type),
        ];
        let answer = server.send("POST", "/v1/track", &headers, EVENT.as_bytes()).await;
        answer.assert_problem(415, "unsupported_media_type");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bodies_are_refused_announced_or_not() {
    let server = serve(|config| config.http.max_body = ByteSize::kib(64)).await;
    server
        .post("/v1/track", vec![b' '; 100_000])
        .await
        .assert_problem(413, "body_too_large");
    let head =
        "POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer server-key\r\nConnection: close\r\n";
    let announced = format!("{head}Content-Length: 99999999\r\n\r\n{{");
    server
        .raw(announced.into_bytes())
        .await
        .assert_problem(413, "body_too_large");
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..20 {
        chunked.extend_from_slice(b"2000\r\n");
        chunked.extend_from_slice(&[b' '; 0x2000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    server.raw(chunked).await.assert_problem(413, "body_too_large");
    let mut fits = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    fits.extend_from_slice(format!("{:x}\r\n{EVENT}\r\n0\r\n\r\n", EVENT.len()).as_bytes());
    assert_eq!(server.raw(fits).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_does_no_harm() {
    let server = serve(|_| ()).await;
    assert_eq!(
        server.post("/v1/track", format!("\u{feff}{EVENT}")).await.status,
        200
    );
    assert_eq!(
        server.post("/v1/track", format!("\r\n {EVENT} \n")).await.status,
        200
    );
}
