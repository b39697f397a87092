//! The HTTP servers: keys, body caps, errors to statuses, probes.
//!
//! [`Gate`] lets a request in: it finds the source of its key and reads its body within every limit. Roles
//! bring the routes: each gives a [`Routes`] that registers its handlers on the one public listener.

pub mod admin;
mod body;
mod budget;
mod client;
mod cors;
mod gate;
mod guard;
mod head;
mod inflate;
mod key;
mod lane;
mod listen;
mod openapi;
mod portions;
mod probe;
mod problem;
mod retry_after;
mod server;
mod short_head;
mod source;
mod valve;

pub use body::BodyError;
pub use budget::{Budget, Overloaded, Reservation};
pub use client::Client;
pub use gate::{Admitted, Gate};
pub use head::Head;
pub use inflate::{Encoding, InflateError, inflate};
pub use lane::{Lane, Lanes};
pub use listen::{Bound, holder};
pub use openapi::OPENAPI;
pub use problem::{Problem, ProblemCode};
pub use retry_after::for_outage;
pub use server::{Handlers, Routes, Server};
pub use source::{DEFAULT_SOURCE, KeyError, Source, Sources};
