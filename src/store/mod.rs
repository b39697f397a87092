//! The event store in PostgreSQL.

pub mod migrate;
pub mod pool;
pub mod reader;
