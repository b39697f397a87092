//! Browsers that ask for an image, over connections that are kept.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::load::{Outcome, exchange};

/// What a browser sends with an image's request; some of it goes into the hit.
const BROWSER: &str = "user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 \
    Safari/537.36\r\naccept: image/avif,image/webp,image/*,*/*;q=0.8\r\naccept-encoding: gzip, deflate, br\r\n\
    accept-language: de-DE,de;q=0.9\r\nreferer: https://www.example.com/\r\n";

/// Whether visitors have been there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitors {
    New,
    Returning,
}

/// A load of hits on a server.
#[derive(Clone, Copy, Debug)]
pub struct Hits {
    pub address: SocketAddr,
    pub visitors: Visitors,
    pub connections: usize,
    pub window: Duration,
}

impl Hits {
    /// Asks for the window, each connection again as soon as it has its answer. Returning visitors got their cookies
    /// before that.
    pub async fn run(self) -> Outcome {
        let begin = Instant::now() + Duration::from_millis(500);
        let mut tasks = JoinSet::new();
        for number in 0..self.connections {
            tasks.spawn(self.connection(number, begin));
        }
        let mut sum = Outcome::default();
        while let Some(outcome) = tasks.join_next().await {
            sum.add(outcome.unwrap());
        }
        sum.took = begin.elapsed().max(self.window);
        sum
    }

    async fn connection(self, number: usize, begin: Instant) -> Outcome {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let mut answer = Vec::with_capacity(1024);
        let mut request = request(number, "");
        if self.visitors == Visitors::Returning {
            ask(&mut connection, &request, &mut answer).await;
            request = self::request(number, &cookies(&answer));
        }
        tokio::time::sleep_until(begin).await;
        let mut outcome = Outcome::default();
        loop {
            let sent = Instant::now();
            if sent >= begin + self.window && outcome.accepted > 0 {
                return outcome;
            }
            ask(&mut connection, &request, &mut answer).await;
            outcome.accepted += 1;
            outcome.bytes += request.len();
            outcome.latencies.push(sent.elapsed());
            if outcome.accepted == 1 {
                let sets_cookie = !cookies(&answer).is_empty();
                assert_eq!(
                    sets_cookie,
                    self.visitors == Visitors::New,
                    "{}",
                    String::from_utf8_lossy(&answer)
                );
            }
        }
    }
}

async fn ask(connection: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) {
    let status = exchange(connection, request, answer).await;
    assert!(
        matches!(status, Ok(200)),
        "{status:?}: {}",
        String::from_utf8_lossy(answer)
    );
    assert!(answer.windows(6).any(|bytes| bytes == b"GIF89a"));
}

fn request(number: usize, cookies: &str) -> Vec<u8> {
    let cookie = match cookies {
        "" => String::new(),
        cookies => format!("cookie: {cookies}\r\n"),
    };
    format!(
        "GET /p.gif?event=Article%20Viewed&url=https%3A%2F%2Fwww.example.com%2Farticles%2F{number}&prop.section=science \
         HTTP/1.1\r\nhost: events.example.com\r\n{BROWSER}{cookie}\r\n"
    )
    .into_bytes()
}

/// The cookies that an answer sets, as the next request brings them.
fn cookies(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let set = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("set-cookie")
            .then(|| value.split(';').next().unwrap_or_default())
    });
    set.collect::<Vec<_>>().join("; ")
}
