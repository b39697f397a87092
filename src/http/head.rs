use std::net::IpAddr;

use actix_web::{HttpMessage as _, HttpRequest};

use super::cors::OriginAllowed;

/// A request's head as handlers look at it, whoever parsed it. Names of headers are in lower case.
pub trait Head {
    /// The first header of a name; `None` where that is no visible ASCII.
    fn header(&self, name: &str) -> Option<&str>;

    /// Every header of a name that is visible ASCII.
    fn headers_of(&self, name: &str) -> Vec<&str>;

    /// What stands behind the `?`, as it was sent.
    fn query(&self) -> &str;

    /// The connection's other end.
    fn peer(&self) -> Option<IpAddr>;

    /// Notes for the answer's headers whether the page may read it.
    fn note_origin(&self, allowed: OriginAllowed);
}

impl Head for HttpRequest {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    fn headers_of(&self, name: &str) -> Vec<&str> {
        let values = self.headers().get_all(name);
        values.filter_map(|value| value.to_str().ok()).collect()
    }

    fn query(&self) -> &str {
        self.query_string()
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer_addr().map(|peer| peer.ip())
    }

    fn note_origin(&self, allowed: OriginAllowed) {
        self.extensions_mut().insert(allowed);
    }
}
