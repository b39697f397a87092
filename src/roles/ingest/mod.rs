//! Takes events over HTTP into the event log: the Segment HTTP API before the [`Collector`](crate::collector::Collector).

mod routes;
mod settings;

pub use routes::{paths, routes};
