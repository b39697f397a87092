//! The head of a plain request that came in one piece.

use std::net::IpAddr;

use super::cors::OriginAllowed;
use super::head::Head;

/// The most headers.
pub(super) const HEADERS: usize = 48;
/// What a request has that is left to the framework.
const LEFT: [&str; 6] = [
    "content-length",
    "transfer-encoding",
    "upgrade",
    "expect",
    "origin",
    "http2-settings",
];

/// A whole head of a plain request.
pub(super) struct ShortHead<'a, 'b> {
    headers: &'a [httparse::Header<'b>],
    query: &'b str,
    peer: Option<IpAddr>,
    /// Whether the client wants the connection closed behind it; `None` where it is not clear.
    pub(super) is_last: Option<bool>,
}

impl<'a, 'b> ShortHead<'a, 'b> {
    /// `None` where it is not whole, not plain, of another path, or not alone.
    pub(super) fn read(
        bytes: &'b [u8],
        headers: &'a mut [httparse::Header<'b>],
        path: &str,
        peer: Option<IpAddr>,
    ) -> Option<Self> {
        let mut request = httparse::Request::new(headers);
        let length = request.parse(bytes).ok()?;
        if length != httparse::Status::Complete(bytes.len()) || request.version != Some(1) {
            return None;
        }
        let target = request.path.filter(|_| request.method == Some("GET"))?;
        let rest = target.strip_prefix(path)?;
        let query = match rest.strip_prefix('?') {
            Some(query) if query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') => query,
            None if rest.is_empty() => "",
            _ => return None,
        };
        let headers = &*request.headers;
        let is_plain = |name: &str| !LEFT.iter().any(|left| name.eq_ignore_ascii_case(left));
        if !headers.iter().all(|header| is_plain(header.name)) {
            return None;
        }
        let head = Self {
            headers,
            query,
            peer,
            is_last: None,
        };
        head.header("host")?;
        let is_last = match head.headers_of("connection").as_slice() {
            [] => Some(false),
            [one] if one.eq_ignore_ascii_case("keep-alive") => Some(false),
            [one] if one.eq_ignore_ascii_case("close") => Some(true),
            _ => None,
        };
        Some(Self { is_last, ..head })
    }

    fn values(&self, name: &str) -> impl Iterator<Item = Option<&'b str>> {
        let named = self
            .headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| text(header.value))
    }
}

impl Head for ShortHead<'_, '_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.values(name).next()?
    }

    fn headers_of(&self, name: &str) -> Vec<&str> {
        self.values(name).flatten().collect()
    }

    fn query(&self) -> &str {
        self.query
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Requests with an origin are the framework's.
    fn note_origin(&self, _: OriginAllowed) {}
}

fn text(value: &[u8]) -> Option<&str> {
    let is_visible = value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    std::str::from_utf8(value).ok().filter(|_| is_visible)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PLAIN: &str =
        "GET /p.gif?a=b%20c HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\nUser-Agent: M\u{fc}\r\ncookie: b=2\r\n";

    fn taken<T>(request: &str, look: impl FnOnce(&ShortHead<'_, '_>) -> T) -> Option<T> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        ShortHead::read(request.as_bytes(), &mut headers, "/p.gif", None).map(|head| look(&head))
    }

    #[test]
    fn a_plain_request_is_taken_with_its_headers() {
        let seen = taken(&format!("{PLAIN}\r\n"), |head| {
            assert_eq!(head.headers_of("cookie"), ["a=1", "b=2"]);
            assert_eq!(head.header("user-agent"), None, "it is no visible ASCII");
            (head.query().to_owned(), head.is_last)
        });
        assert_eq!(seen, Some(("a=b%20c".to_owned(), Some(false))));
        for (connection, is_last) in [
            ("keep-alive", Some(false)),
            ("Close", Some(true)),
            ("close, te", None),
        ] {
            let request = format!("{PLAIN}Connection: {connection}\r\n\r\n");
            assert_eq!(
                taken(&request, |head| head.is_last),
                Some(is_last),
                "{connection}"
            );
        }
    }

    #[test]
    fn whatever_is_not_plain_is_left() {
        let whole = format!("{PLAIN}\r\n");
        let mut others = vec![
            PLAIN.to_owned(),
            format!("{whole}G"),
            format!("{whole}{whole}"),
            whole.replace("GET", "HEAD"),
            whole.replace("GET", "POST"),
            whole.replace("HTTP/1.1", "HTTP/1.0"),
            whole.replace("/p.gif?", "/p.gifs?"),
            whole.replace("/p.gif?", "/p.gif/?"),
            whole.replace("/p.gif?", "//p.gif?"),
            whole.replace("/p.gif?", "http://x/p.gif?"),
            whole.replace("b%20c", "b#c"),
            whole.replace("b%20c", "\u{fc}"),
            whole.replace("Host: x\r\n", ""),
            format!("\u{0}{whole}"),
        ];
        let extra = [
            "Content-Length: 0",
            "Transfer-Encoding: chunked",
            "Upgrade: h2c",
            "Expect: 100-continue",
            "Origin: https://x",
        ];
        others.extend(extra.map(|header| format!("{PLAIN}{header}\r\n\r\n")));
        let many = "X-Many: 1\r\n".repeat(HEADERS);
        others.push(format!("{PLAIN}{many}\r\n"));
        for request in others {
            assert!(taken(&request, |_| ()).is_none(), "{request}");
        }
        assert!(taken(&whole, |_| ()).is_some());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 0usize..200) {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS];
            ShortHead::read(&bytes, &mut headers, "/p.gif", None);
            let mut headers = [httparse::EMPTY_HEADER; HEADERS];
            let spliced = [&PLAIN.as_bytes()[..cut.min(PLAIN.len())], &bytes].concat();
            ShortHead::read(&spliced, &mut headers, "/p.gif", None);
        }
    }
}
