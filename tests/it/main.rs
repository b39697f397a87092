//! Integration tests, one binary, against the real PostgreSQL.
#![allow(clippy::unwrap_used)]

mod capture;
mod embedded_postgres;
mod schema;
mod shared;
mod support;
