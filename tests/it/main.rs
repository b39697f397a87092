//! Integration tests: one binary, so that linking is paid once.
#![allow(clippy::unwrap_used, clippy::too_many_lines)] // tables of cases

mod http_answers;
mod http_bodies;
mod http_keys;
mod http_support;
mod http_transport;
