//! The GIF's short way: the same as its route, without the framework.

use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use super::Pixel;
use super::gathering::Gathering;
use super::routes::{EVERYWHERE, GIF, GIF_PATH, hit};
use crate::http::{Gate, Head, Lane, Lanes};

/// Makes the short way of the GIF, for the public listener.
pub fn lane(pixel: Arc<Pixel>, gate: Arc<Gate>) -> Lanes {
    Arc::new(move || -> Rc<dyn Lane> {
        Rc::new(GifLane {
            gathering: pixel.gathering(),
            headers: headers(),
            pixel: Arc::clone(&pixel),
            gate: Arc::clone(&gate),
        })
    })
}

struct GifLane {
    pixel: Arc<Pixel>,
    gate: Arc<Gate>,
    gathering: Rc<Gathering>,
    /// Those of every answer.
    headers: String,
}

fn headers() -> String {
    let mut text = "content-type: image/gif\r\ncache-control: no-store\r\n".to_owned();
    for (name, value) in EVERYWHERE {
        // Writing into memory does not fail.
        let _ = write!(text, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    text
}

impl Lane for GifLane {
    fn path(&self) -> &'static str {
        GIF_PATH
    }

    fn body(&self) -> &'static [u8] {
        GIF
    }

    fn take(&self, head: &dyn Head, out: &mut Vec<u8>) -> LocalBoxFuture<'static, ()> {
        out.extend_from_slice(self.headers.as_bytes());
        let (cookies, ticket) = hit(&self.pixel, &self.gate, &self.gathering, head);
        for cookie in cookies {
            let value = cookie.to_string();
            // Names and values are plain by the config's rules.
            if !value.contains(['\r', '\n']) {
                out.extend_from_slice(format!("set-cookie: {value}\r\n").as_bytes());
            }
        }
        match ticket {
            Some(ticket) => ticket.boxed_local(),
            None => std::future::ready(()).boxed_local(),
        }
    }
}
