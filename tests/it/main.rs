//! Integration tests, in one binary so that linking is paid once, against the real PostgreSQL.
#![allow(clippy::unwrap_used)]

mod capture;
mod cdnow;
mod cli;
mod embedded_postgres;
mod event_log;
mod layering;
mod lifecycle;
mod log_contract;
mod schema;
mod serve;
mod shared;
mod soak;
mod support;
