//! Integration tests, one binary, against the real PostgreSQL.
#![allow(clippy::unwrap_used)]

mod embedded_postgres;
mod schema;
mod support;
