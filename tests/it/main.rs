//! Integration tests, in one binary so that linking is paid once, against the real PostgreSQL.
#![allow(clippy::unwrap_used)]

mod capture;
mod embedded_postgres;
mod event_log;
mod log_contract;
mod schema;
mod shared;
mod soak;
mod support;
