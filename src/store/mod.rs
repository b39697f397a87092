//! The event store and the user view database in PostgreSQL. One query, one file under `sql/`.

pub mod batch;
pub mod catalog;
mod copy;
pub mod databases;
pub mod dead_letters;
pub mod dedupe;
pub mod gaps;
pub mod guilty;
pub mod hosts;
pub mod identity;
pub mod lease;
mod memory;
pub mod migrate;
pub mod month;
pub mod months;
mod names;
pub mod pool;
pub mod reader;
pub mod removal;
mod rollup;
pub mod server;
pub mod sqlstate;
mod tls;
pub mod views;
pub mod writer;

pub use memory::Memory;
pub use names::Names;
