//! The GIF's short way on connections that are kept, and where they go over to the framework.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::http_support::{Running, serve};

const GIF: &str = "GET /p.gif?event=Hit HTTP/1.1\r\nHost: events.example\r\n\r\n";
const EVENT: &str = r#"{"userId":"u","event":"Tracked"}"#;

struct Connection(TcpStream);

impl Connection {
    fn open(server: &Running) -> Self {
        let stream = TcpStream::connect(server.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// The next answer: its head, and its body by the announced length.
    fn answer(&mut self) -> (String, Vec<u8>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        (head, body)
    }

    fn gif(&mut self) -> String {
        self.send(GIF);
        self.is_gif()
    }

    fn is_gif(&mut self) -> String {
        let (head, body) = self.answer();
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
        assert!(body.starts_with(b"GIF89a") && body.len() == 43, "{body:?}");
        for header in [
            "content-type: image/gif",
            "cache-control: no-store",
            "date: ",
            "set-cookie: userprint=v1.",
        ] {
            assert!(head.contains(&format!("\r\n{header}")), "{header}: {head}");
        }
        head
    }

    /// Waits until the server has closed, and returns what it said before.
    fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        #[allow(clippy::disallowed_methods)] // capped
        (&mut self.0).take(1 << 20).read_to_end(&mut rest).unwrap();
        rest
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_hits_serves_whatever_comes_on_it() {
    let server = serve(|_| ()).await;
    let post = format!(
        "POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer server-key\r\nContent-Length: {}\r\n\r\n{EVENT}",
        EVENT.len()
    );
    // What goes over to the framework, in one piece and in several.
    for pieces in [&[post.as_str()][..], &[&post[..9], &post[9..60], &post[60..]]] {
        let mut connection = Connection::open(&server);
        connection.gif();
        connection.gif();
        for piece in pieces {
            connection.send(piece);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (head, body) = connection.answer();
        assert!(head.starts_with("http/1.1 200 ok"), "{head}");
        assert!(
            String::from_utf8_lossy(&body).contains(r#""accepted":1"#),
            "{body:?}"
        );
        connection.gif();
        connection.gif();
    }
    // A hit in pieces, and several in one.
    let mut connection = Connection::open(&server);
    connection.gif();
    connection.send(&GIF[..30]);
    tokio::time::sleep(Duration::from_millis(20)).await;
    connection.send(&GIF[30..]);
    connection.is_gif();
    let mut connection = Connection::open(&server);
    connection.send(&GIF.repeat(3));
    for _ in 0..3 {
        connection.is_gif();
    }
    // A script of another site may read the answer.
    let mut connection = Connection::open(&server);
    connection.gif();
    connection.send(&GIF.replace("\r\n\r\n", "\r\nOrigin: https://a.example\r\n\r\n"));
    let head = connection.is_gif();
    assert!(
        head.contains("access-control-allow-origin: https://a.example"),
        "{head}"
    );
    let events = server.log.events();
    let count = |name| {
        events
            .iter()
            .filter(|event| event["event"] == json!(name))
            .count()
    };
    assert_eq!((count("Hit"), count("Tracked")), (2 * 4 + 2 + 3 + 2, 2));
    assert_eq!(server.gate.budget().used(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_closed_where_it_wants_says_nothing_or_the_server_stops() {
    let mut server = serve(|config| config.http.client_timeout = Duration::from_millis(300)).await;
    assert_eq!(
        Connection::open(&server).rest(),
        b"",
        "who is silent hears nothing"
    );
    let mut closing = Connection::open(&server);
    closing.send(&GIF.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    let head = closing.is_gif();
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert_eq!(closing.rest(), b"");

    let mut kept = Connection::open(&server);
    kept.gif();
    tokio::time::sleep(Duration::from_millis(600)).await;
    kept.gif();
    server.stop.cancel();
    assert_eq!(kept.rest(), b"");
    (&mut server.task).await.unwrap().unwrap();
    assert_eq!(server.log.events().len(), 3);
}
